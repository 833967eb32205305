"""`type: trl_weighted_dpo.hard_negatives`: pool rows → pairs, in Axolotl's dataset pipeline.

The whole pool is mined once, before Axolotl maps over its rows; the row function only looks its row's pairs up and
renders them, so that the pairs do not depend on how the map is split over processes. Pairs that were mined before are
only rendered.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
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
from trl_weighted_dpo.core.rendering import render_pair
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
            rows = _load(dataset_config, cfg.hf_use_auth_token)
            if schema.CANDIDATES in rows.column_names:
                files.append(str(mined_file(rows, str(dataset_config.path), settings.pairing, folder, workers)))
            else:
                texts = dict.fromkeys((schema.PROMPT, schema.CHOSEN, schema.REJECTED), Value("string"))
                pair_columns[frozenset(rows.column_names)] = Features({**rows.features, **texts}).arrow_schema
    convert = functools.partial(
        rows_to_pairs,
        files=tuple(files),
        prompt_template=settings.prompt_template,
        system_prompt=settings.system_prompt,
        chat_template_kwargs={**(cfg.get("chat_template_kwargs") or {}), **(settings.chat_template_kwargs or {})},
        train_on=settings.train_on,
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
        if kind == TYPE and schema.CANDIDATES in rows.column_names:
            for index, row in enumerate(rows):
                check_row(row, index, source)
            continue
        if kind == TYPE and schema.CHOSEN not in rows.column_names:
            raise SchemaError(
                f"{source}: `type: {TYPE}` takes pools, with {schema.PROBLEM!r} and {schema.CANDIDATES!r}, or pairs, "
                f"with {schema.PROMPT!r}, {schema.CHOSEN!r} and {schema.REJECTED!r}; there are: "
                f"{', '.join(rows.column_names)}."
            )
        settings = WeightedDPOBlockConfig(**(cfg.get("weighted_dpo") or {}))
        if schema.WEIGHT in rows.column_names and settings.scheme in ("auto", "column"):
            check_weights(rows[schema.WEIGHT][:], source)
        check_signals({name: rows[name][:] for name in schema.SIGNALS if name in rows.column_names}, source)
        check_loss_columns({name: rows[name][:] for name in schema.LOSS_COLUMNS if name in rows.column_names}, source)
        for index, row in enumerate(rows):
            check_pair_row(row, index, source)
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


def mined_file(pool: Dataset, source: str, pairing: PairingConfig, folder: Path, workers: int = 1) -> Path:
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


def _mine(pool: Dataset, pairing: PairingConfig, path: Path, source: str, workers: int) -> None:
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
) -> pa.Table:
    """Row function for a batched `datasets.map`: look the pairs of each pool row up and render them; pairs are only
    rendered and keep their columns."""
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    if schema.CANDIDATES in batch:
        by_row = _pairs_by_row(files)
        is_scored = any(schema.REF_DIGEST in pair for pairs in by_row.values() for pair in pairs)
        columns = pair_schema((*PAIR_COLUMNS, *(REFERENCE_COLUMNS if is_scored else ())))
        rows = [pair for row in rows for pair in by_row.get(row_digest(row), ())]
    else:
        columns = pair_columns[frozenset(batch)]
    rendering = (tokenizer, prompt_template, system_prompt, chat_template_kwargs, train_on)
    rendered = [render_pair(pair, *rendering) for pair in rows]
    # Typed, since `map` would take the types of the first batch, where a column may be all null.
    return pa.Table.from_pylist(rendered, schema=columns)
