"""`type: trl_weighted_dpo.hard_negatives`: pool rows → pairs, in Axolotl's dataset pipeline.

The whole pool is mined once, before Axolotl maps over its rows; the row function only looks its row's pairs up and
renders them, so that the pairs do not depend on how the map is split over processes. Pairs that were mined before are
only rendered.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from axolotl.utils.data.shared import load_dataset_with_config
from axolotl.utils.logging import get_logger
from datasets import Dataset, DatasetDict, Features, Value

from trl_weighted_dpo.axolotl.args import WeightedDPOBlockConfig
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError, check_pair_row, row_error
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.pairs import checked_pair, layout_of, render_bare
from trl_weighted_dpo.core.pools import PoolRows
from trl_weighted_dpo.core.rendering import render_pair
from trl_weighted_dpo.core.sources import named_columns, names_of, rename
from trl_weighted_dpo.mining.assessing import check_row, row_digest
from trl_weighted_dpo.mining.batches import pair_schema
from trl_weighted_dpo.mining.journal import mine_into, mining_key
from trl_weighted_dpo.mining.selection import PAIR_COLUMNS, REFERENCE_COLUMNS
from trl_weighted_dpo.settings.mining import PairingConfig
from trl_weighted_dpo.weighting import check_loss_columns, check_signals, check_weights

LOG = get_logger(__name__)

TYPE = "trl_weighted_dpo.hard_negatives"


def hard_negatives(cfg: Any, dataset_idx: int = 0, **_: Any) -> tuple[Any, dict[str, Any]]:
    """Dataset function of `type: trl_weighted_dpo.hard_negatives`, called by Axolotl once for each dataset.

    Args:
        cfg (`DictDefault`):
            The validated YAML.
        dataset_idx (`int`, *optional*, defaults to `0`):
            Position in `datasets` or `test_datasets`; Axolotl does not say which of the two, so both are mined.

    Returns:
        The row function and its arguments for `datasets.map`.

    Raises:
        [`~core.checks.SchemaError`]: If a row is neither a pool row nor a pair.
        `ValueError`: If mining leaves no pair.
    """
    settings = WeightedDPOBlockConfig(**(cfg.get("weighted_dpo") or {}))
    folder, workers = Path(cfg.dataset_prepared_path), cfg.dataset_num_proc or 1
    files: list[str] = []
    pair_columns: dict[frozenset[str], pa.Schema] = {}
    for split in ("datasets", "test_datasets"):
        for dataset_config in (cfg.get(split) or [])[dataset_idx : dataset_idx + 1]:
            if dataset_config.get("type") != TYPE:
                continue
            source = str(dataset_config.path)
            rows = _load(dataset_config, cfg.hf_use_auth_token)
            names = frozenset(rows.column_names)
            rows = _renamed(rows, settings, source)
            if schema.CANDIDATES in rows.column_names:
                pool = PoolRows(rows, source, settings.reward_threshold)
                files.append(str(mined_file(pool, source, settings.pairing, folder, workers)))
            else:
                texts = dict.fromkeys((schema.PROMPT, schema.CHOSEN, schema.REJECTED), Value("string"))
                pair_columns[names] = Features({**rows.features, **texts}).arrow_schema
                layout = layout_of(rows.column_names, source)
                if layout.prompt not in (None, schema.PROMPT):
                    LOG.info("%s: the column %r is the prompt.", source, layout.prompt)
    convert = functools.partial(
        rows_to_pairs,
        files=tuple(files),
        prompt_template=settings.prompt_template,
        system_prompt=settings.system_prompt,
        chat_template_kwargs={**(cfg.get("chat_template_kwargs") or {}), **(settings.chat_template_kwargs or {})},
        train_on=settings.train_on,
        columns=named_columns(settings.column),
        reward_threshold=settings.reward_threshold,
        pair_columns=pair_columns,
    )
    return convert, {"batched": True, "remove_columns": "__all__"}


def check_local_data(cfg: Any) -> None:
    """Check the rows of local pools, and of local pairs without a `type`.

    Raises:
        [`~core.checks.SchemaError`]: Names file, row, column and value.
    """
    for dataset_config in [*(cfg.get("datasets") or ()), *(cfg.get("test_datasets") or ())]:
        kind = dataset_config.get("type")
        if kind not in (None, TYPE) or not Path(str(dataset_config.path)).exists():
            continue
        rows = _load(dataset_config, cfg.hf_use_auth_token)
        source = str(dataset_config.path)
        settings = WeightedDPOBlockConfig(**(cfg.get("weighted_dpo") or {}))
        if kind == TYPE:
            rows = _renamed(rows, settings, source)
        if kind == TYPE and schema.CANDIDATES in rows.column_names:
            for index, row in enumerate(PoolRows(rows, source, settings.reward_threshold)):
                check_row(row, index, source)
            continue
        completions = (schema.CHOSEN, "chosen_response")
        if kind == TYPE and not any(name in rows.column_names for name in completions):
            raise SchemaError(
                f"{source}: `type: {TYPE}` takes pools, with {schema.PROBLEM!r} and {schema.CANDIDATES!r}, or pairs, "
                f"with {schema.PROMPT!r}, {schema.CHOSEN!r} and {schema.REJECTED!r}; there are: "
                f"{', '.join(rows.column_names)}."
            )
        layout = layout_of(rows.column_names, source) if kind == TYPE else None
        if schema.WEIGHT in rows.column_names and settings.scheme in ("auto", "column"):
            check_weights(rows[schema.WEIGHT][:], source)
        check_signals({name: rows[name][:] for name in schema.SIGNALS if name in rows.column_names}, source)
        check_loss_columns({name: rows[name][:] for name in schema.LOSS_COLUMNS if name in rows.column_names}, source)
        for index, row in enumerate(rows):
            check_pair_row(row if layout is None else checked_pair(row, layout, index, source), index, source)
            for column in (schema.PROMPT, schema.CHOSEN, schema.REJECTED):
                if kind is None and not isinstance(row.get(column), str):
                    hint = (
                        "Without a `type`, Axolotl needs text in prompt, chosen and rejected: set "
                        f"`type: {TYPE}`, which renders conversations, or `type: chat_template.default`."
                    )
                    raise row_error(source, index, column, row.get(column), hint)


def _load(dataset_config: Any, auth_token: Any) -> Dataset:
    rows = load_dataset_with_config(dataset_config, auth_token, streaming=False)
    return rows["train"] if isinstance(rows, DatasetDict) else rows


def _renamed(rows: Dataset, settings: WeightedDPOBlockConfig, source: str) -> Dataset:
    """The rows with our column names."""
    renaming = names_of(rows.column_names, named_columns(settings.column), source)
    return rename(rows, rows.column_names, renaming)


def mined_file(
    pool: Iterable[Mapping[str, Any]], source: str, pairing: PairingConfig, folder: Path, workers: int = 1
) -> Path:
    """Mine a pool into a file named by a hash of its rows, the settings and the versions, unless it is there.

    Raises:
        `ValueError`: If mining leaves no pair.
    """
    digest = hashlib.sha256(mining_key(pairing).encode())
    for index, row in enumerate(pool):
        check_row(row, index, source)
        digest.update(row_digest(row).encode())
    path = folder / f"pairs-{digest.hexdigest()[:16]}.jsonl"
    if not path.is_file():
        _mine(pool, pairing, path, source, workers)
    return path


def _mine(pool: Iterable[Mapping[str, Any]], pairing: PairingConfig, path: Path, source: str, workers: int) -> None:
    journal, mined = path.with_suffix(".journal"), path.with_suffix(".mined")
    report = mine_into(journal, mined, pool, config=pairing, source=source, workers=workers)
    counts = report.to_dict()
    LOG.info("Mined %s: %s", source, counts)
    if not report.pairs:
        raise ValueError(
            f"{source}: mining left no pair. Of {report.problems} problems, {counts['problems_without_pairs']}; "
            f"verdicts on {report.candidates} candidates: {counts['verdicts']}. A pair needs a correct and an "
            "incorrect candidate of a problem with a reference answer; see also `chosen_fallback` and "
            "`allow_weak_answers`."
        )
    if not report.is_scored and pairing.hardness.function == "product":
        LOG.info("%s is not scored, so hardness is proximity × flaw, without confidence.", source)
    path.with_suffix(".report.json").write_text(json.dumps({"source": source, **counts}, indent=2) + "\n")
    # The file of pairs comes last: where it is, the mining is complete.
    mined.replace(path)
    journal.unlink()


@functools.cache
def _pairs_by_row(files: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    return {entry["row"]: entry["pairs"] for file in files for entry in read_jsonl(file)}


def rows_to_pairs(
    batch: Mapping[str, list[Any]],
    tokenizer: Any,
    files: tuple[str, ...],
    prompt_template: str,
    system_prompt: str | None,
    train_on: str,
    pair_columns: Mapping[frozenset[str], pa.Schema],
    chat_template_kwargs: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    reward_threshold: float | None = None,
) -> pa.Table:
    """Row function for a batched `datasets.map`: look the pairs of each pool row up and render them; pairs are only
    rendered and keep their columns."""
    renaming = {theirs: ours for ours, theirs in (columns or {}).items() if theirs in batch}
    kept = {name: values for name, values in batch.items() if name in renaming or name not in renaming.values()}
    names = [renaming.get(name, name) for name in kept]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*kept.values(), strict=True)]
    settings: dict[str, Any] = {
        "prompt_template": prompt_template,
        "system_prompt": system_prompt,
        "chat_template_kwargs": chat_template_kwargs,
        "train_on": train_on,
    }
    layout = None
    if schema.CANDIDATES in names:
        by_row = _pairs_by_row(files)
        is_scored = any(schema.REF_DIGEST in pair for pairs in by_row.values() for pair in pairs)
        types = pair_schema((*PAIR_COLUMNS, *(REFERENCE_COLUMNS if is_scored else ())))
        rows = [pair for row in PoolRows(rows, "pool", reward_threshold) for pair in by_row.get(row_digest(row), ())]
    else:
        types = pair_columns[frozenset(batch)]
        layout = layout_of(names, "pairs")
        rows = [checked_pair(row, layout, index, "pairs") for index, row in enumerate(rows)]
    # A dialogue that completions begin with is text already.
    is_text = layout is not None and layout.prompt is None and all(isinstance(row[schema.PROMPT], str) for row in rows)
    render = render_bare if layout is not None and layout.is_bare else render_pair
    rendered = rows if is_text else [render(pair, tokenizer, **settings) for pair in rows]
    # Typed, since `map` would take the types of the first batch, where a column may be all null.
    return pa.Table.from_pylist(rendered, schema=types)
