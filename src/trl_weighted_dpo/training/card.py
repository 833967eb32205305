"""The part of a model card that says what weighted DPO did: settings, weights and data, from `weighted_dpo.json`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trl_weighted_dpo.report.text import one_line
from trl_weighted_dpo.report.weighting import histogram_rows, weight_figures
from trl_weighted_dpo.training.objective import Objective
from trl_weighted_dpo.training.record import RECORD_FILE

CARD_FILE = "README.md"
_BEGIN, _END = "<!-- weighted-dpo: begin -->", "<!-- weighted-dpo: end -->"
_CITATIONS = "\n## Citations"
_NO_NAME = {"[None](https://huggingface.co/None)": "a local model", 'model="None"': 'model="path/to/this/folder"'}
"""What TRL writes where neither the base model nor this one is on the hub."""
_PAPER = "https://huggingface.co/papers/2512.19728"
_COEFFICIENTS = ("severity", "confidence_gap", "nll")


def extend_card(folder: str | Path, content: Mapping[str, Any] | None = None) -> None:
    """Put the part about weighted DPO into a folder's model card, before its citations or at its end; one that is
    there already is replaced, and a card is made if there is none.

    Args:
        folder (`str` or `Path`):
            Folder of a model, with its `README.md`.
        content (`Mapping[str, Any]`, *optional*):
            The record to write about; the folder's `weighted_dpo.json` if left out.

    Raises:
        `FileNotFoundError`: If there is no record.
    """
    folder = Path(folder)
    if content is None:
        content = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    path = folder / CARD_FILE
    card = path.read_text(encoding="utf-8") if path.is_file() else ""
    if _BEGIN in card and _END in card:
        before, _, rest = card.partition(_BEGIN)
        card = before + rest.partition(_END)[2].lstrip("\n")
    for nothing, instead in _NO_NAME.items():
        card = card.replace(nothing, instead)
    before, heading, after = card.partition(_CITATIONS)
    separator = "\n\n" if before.strip() else ""
    path.write_text(f"{before.rstrip()}{separator}{card_section(content)}{heading}{after}", encoding="utf-8")


def card_section(content: Mapping[str, Any]) -> str:
    """What a model was trained with, in Markdown.

    Args:
        content (`Mapping[str, Any]`): As [`~training.record.run_record`] makes it, or read from `weighted_dpo.json`.
    """
    weighting, summary = content["weighting"], content["weighting"]["summary"]
    lines = [
        _BEGIN,
        "## Weighted DPO",
        "",
        "The loss of a batch of B pairs is `(1/B) Σ w_i ℓ_i`, with a weight `w_i` for each pair. The method is that of "
        f"[2512.19728]({_PAPER}); the paper publishes no formula of the weights, and the one used here is "
        "trl-weighted-dpo's.",
        "",
        *_table(("setting", "value"), _settings(content)),
        "",
        "### Weights of the training pairs",
        "",
        *_table(("figure", "value"), weight_figures(weighting)),
    ]
    if summary is not None:
        lines += ["", *_table(("weight", "pairs", ""), histogram_rows(summary["histogram"]))]
        lines += ["", *(f"* {one_line(note)}" for note in summary["notes"])] if summary["notes"] else []
    versions = {"trl-weighted-dpo": content["version"], **content["versions"]}
    lines += ["", "### Versions", "", ", ".join(f"{name} {version}" for name, version in versions.items())]
    return "\n".join([*lines, "", f"All of it, for programs: `{RECORD_FILE}`.", _END, ""])


def _settings(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    settings, objective, data = content["weighting"]["settings"], content["objective"], content["data"]
    yield "weights", f"scheme {settings['scheme']}, λ = {settings['lambda_']}"
    if content["weighting"]["statistics"]["scheme"] not in ("uniform", "column"):
        yield "bounds of u", f"{settings['clip_min']} to {settings['clip_max']}"
        yield "coefficients", ", ".join(f"{name} {settings[name]}" for name in _COEFFICIENTS)
    terms = objective["loss_types"]
    if objective["loss_weights"] is not None:
        terms = [f"{weight} × {term}" for term, weight in zip(terms, objective["loss_weights"], strict=True)]
    yield "objective", f"{' + '.join(terms)}, β = {objective['beta']}"
    defaults = {**asdict(Objective()), "ld_alpha": None, "use_weighting": False}
    for name, value in objective.items():
        if name not in ("loss_types", "loss_weights", "beta") and value != defaults.get(name):
            yield name, str(value)
    if data.get("loss_columns"):
        yield "columns in the loss", ", ".join(data["loss_columns"])
    yield "reference log-probs", content["reference"]
    yield "max_length, truncation_mode", f"{data['max_length']}, {data['truncation_mode']}"
    yield "pairs", "a stream" if data["pairs"] is None else str(data["pairs"])
    if data["fingerprint"] is not None:
        yield "data fingerprint (SHA-256)", f"`{data['fingerprint']}`"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    header = list(header)
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]
