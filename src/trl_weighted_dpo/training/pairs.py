"""Pairs for `weighted-dpo train`: loaded from files, folders or the hub, checked, rendered, and split."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.logging import get_logger
from datasets import Dataset, DatasetDict, Features, IterableDataset, List, Value, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError
from trl import DatasetMixtureConfig, get_dataset

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError, check_pair_row
from trl_weighted_dpo.core.files import RowFile, row_types
from trl_weighted_dpo.core.pairs import PairLayout, checked_pair, layout_of, render_bare
from trl_weighted_dpo.core.rendering import pair_variables
from trl_weighted_dpo.core.sources import is_plain, names_of, rename
from trl_weighted_dpo.training.arguments import PairArguments, given_paths

logger = get_logger(__name__)

_SAVED = ("state.json", "dataset_dict.json")
"""What `datasets` leaves where it saves to disk; such a folder has a function of its own to load it."""
_MESSAGES = List({"role": Value("string"), "content": Value("string")})
_TEXTS = (schema.PROMPT, schema.CHOSEN, schema.REJECTED)
_MINED = (schema.CHOSEN_INDEX, schema.REJECTED_INDEX)
"""Columns that mining alone leaves."""


def load_pairs(
    pairs: PairArguments, mixture: DatasetMixtureConfig, tokenizer: Any, evaluate: bool, seed: int
) -> tuple[Any, Any]:
    """The pairs to train on and those to evaluate on, as text or conversations for the trainer.

    Args:
        pairs ([`~training.arguments.PairArguments`]):
            Where pairs are, and how they are rendered.
        mixture (`DatasetMixtureConfig`):
            trl's `datasets`, whose paths may also be files of pairs; `test_split_size` holds for any source.
        tokenizer (`PreTrainedTokenizerBase`):
            The model's.
        evaluate (`bool`):
            Whether there is evaluation.
        seed (`int`):
            Seed of the test split.

    Returns:
        A `Dataset` or a stream; and such a one, a dictionary of them by name, or `None`.

    Raises:
        [`~core.checks.SchemaError`]: If a row of a file is no pair; names file, row, column and value.
        `ValueError`: If data cannot be found or does not go together.
    """
    streaming = mixture.streaming or pairs.dataset_streaming
    train, source = _training_pairs(pairs, mixture, streaming)
    held_out, paths = {}, pairs.evaluation_paths
    if evaluate and mixture.test_split_size is not None:
        if streaming:
            raise ValueError("test_split_size cannot split a stream. Give eval_datasets.")
        train, held_out[""] = _split(train, mixture.test_split_size, seed)
        paths = {"": source}
    elif evaluate:
        config = None if paths else pairs.dataset_config
        if not paths and (mixture.datasets or Path(source).is_file()):
            raise ValueError(
                "eval_strategy is set, but there are no pairs to evaluate on: give eval_datasets or test_split_size."
            )
        paths = paths or {"": source}
        held_out = {name: _load(path, config, pairs.dataset_test_split, streaming) for name, path in paths.items()}
    rendered = {name: _render(dataset, paths[name], pairs, tokenizer) for name, dataset in held_out.items()}
    return _render(train, source, pairs, tokenizer), rendered.get("", rendered or None)


def _training_pairs(pairs: PairArguments, mixture: DatasetMixtureConfig, streaming: bool) -> tuple[Any, str]:
    """The pairs to train on, and where they are from."""
    if not mixture.datasets:
        source = str(pairs.dataset_name)
        return _load(source, pairs.dataset_config, pairs.dataset_train_split, streaming), source
    parts = [replace(part, **_as_files(part.path)) for part in mixture.datasets]
    source = ", ".join(part.path for part in mixture.datasets)
    try:
        return get_dataset(replace(mixture, datasets=parts, test_split_size=None))["train"], source
    except DatasetGenerationError as error:
        raise ValueError(
            f"{source}: {error.__cause__}. Where a column of a large JSONL file begins with nulls, write Parquet."
        ) from error


def check_rows(pairs: PairArguments, mixture: DatasetMixtureConfig) -> None:
    """Check the rows of every file of pairs.

    Raises:
        [`~core.checks.SchemaError`]: If a row is no pair; names file, row, column and value.
    """
    for name in given_paths(pairs, mixture):
        if Path(name).is_file():
            _check_file(RowFile(name), pairs.columns)


def _check_file(rows: RowFile, columns: Mapping[str, str]) -> None:
    first = next(iter(rows), None)
    if first is None:
        raise SchemaError(f"{rows}: the file is empty.")
    renaming = names_of(first, columns, str(rows))
    rows = RowFile(rows.path, columns={ours: theirs for theirs, ours in renaming.items()})
    layout = layout_of(next(iter(rows)), str(rows))
    for index, row in enumerate(rows):
        check_pair_row(checked_pair(row, layout, index, str(rows)), index, str(rows))


def _as_files(path: str) -> dict[str, Any]:
    """Arguments of `load_dataset` for a file of pairs; none for another path."""
    if not Path(path).is_file():
        return {}
    name = Path(path).name.removesuffix(".gz")
    kind = "parquet" if name.endswith(".parquet") else "csv" if name.endswith((".csv", ".tsv")) else "json"
    return {"path": kind, "data_files": path, **({"sep": "\t"} if name.endswith(".tsv") else {})}


def _load(path: str, name: str | None, split: str, streaming: bool) -> Any:
    folder = Path(path)
    if folder.is_file():
        # The types are those of the whole file: `datasets` would take them from its first part, which may hold nulls.
        is_typed = not is_plain(folder, ".parquet") and not streaming
        features = Features.from_arrow_schema(row_types(folder, RowFile(folder))) if is_typed else None
        if not (is_plain(folder, ".parquet") or is_plain(folder, ".jsonl")):
            file = folder.stat()
            # Its size and time: the cache of `datasets` must not outlive a change. (It takes a list for shards.)
            given = {"path": path, "stamp": f"{file.st_size} {file.st_mtime_ns}"}
            made = IterableDataset if streaming else Dataset
            return made.from_generator(_rows, features=features, gen_kwargs=given)
        return load_dataset(**_as_files(path), split="train", streaming=streaming, features=features)
    if not any((folder / file).is_file() for file in _SAVED):
        return load_dataset(path, name=name, split=split, streaming=streaming)
    saved = load_from_disk(path)
    if isinstance(saved, DatasetDict):
        if split not in saved:
            raise ValueError(f"{path}: there is no split {split!r}, but {', '.join(map(repr, saved))}.")
        saved = saved[split]
    return saved.to_iterable_dataset() if streaming else saved


def _rows(path: str, stamp: str) -> Iterator[dict[str, Any]]:
    yield from RowFile(path)


def _as_pairs(dataset: Any, source: str, columns: Mapping[str, str]) -> tuple[Any, PairLayout]:
    """The dataset with prompt, chosen and rejected, whatever its columns are called, and its layout."""
    first = next(iter(dataset), None)
    if first is None:
        return dataset, layout_of(_TEXTS, source)
    renaming = names_of(first, columns, source)
    dataset = rename(dataset, first, renaming)
    first = next(iter(dataset))
    layout = layout_of(first, source)
    made = checked_pair(first, layout, 0, source)
    if all(column in first and first[column] == made[column] for column in _TEXTS):
        return dataset, layout
    if layout.prompt is not None and layout.prompt != schema.PROMPT:
        logger.warning_once(f"{source}: the column {layout.prompt!r} is the prompt.")
    elif not isinstance(made[schema.CHOSEN], str):
        logger.warning_once(f"{source}: the last message of a conversation is the completion, the others the prompt.")
    features = None
    if dataset.features is not None:
        kind = dataset.features[layout.chosen]
        if isinstance(first[layout.chosen], str):
            kind = Value("string") if isinstance(made[schema.CHOSEN], str) else _MESSAGES
        elif isinstance(first[layout.chosen], dict):
            kind = List(kind)
        features = Features({**dataset.features, **dict.fromkeys(_TEXTS, kind)})
    settings = {"layout": layout, "source": source}
    return dataset.map(_converted, with_indices=True, fn_kwargs=settings, features=features), layout


def _converted(row: Mapping[str, Any], index: int, layout: PairLayout, source: str) -> dict[str, Any]:
    return checked_pair(row, layout, index, source)


def _split(pairs: Dataset, size: float, seed: int) -> tuple[Dataset, Dataset]:
    """Pairs to train on and pairs to evaluate on. Where pairs name their problem, a problem's pairs stay together: the
    model would else be evaluated on problems that it is trained on."""
    problems = pairs[schema.PROBLEM_ID][:] if schema.PROBLEM_ID in pairs.column_names else [None]
    if None in problems:
        split = pairs.train_test_split(test_size=size if size < 1 else int(size), seed=seed)
        return split["train"], split["test"]
    wanted = size * len(pairs) if size < 1 else size
    names, counts = np.unique(np.array(problems, dtype=str), return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    # As many problems, in random order, as it takes to have at least that many pairs.
    taken = set(names[order[: int(np.searchsorted(counts[order].cumsum(), wanted)) + 1]].tolist())
    test = [row for row, problem in enumerate(problems) if str(problem) in taken]
    train = [row for row, problem in enumerate(problems) if str(problem) not in taken]
    if not train:
        raise ValueError(f"test_split_size {size} leaves no problem of {len(names)} to train on. Give a smaller one.")
    return pairs.select(train), pairs.select(test)


def _render(dataset: Any, source: str, pairs: PairArguments, tokenizer: Any) -> Any:
    dataset, layout = _as_pairs(dataset, source, pairs.columns)
    columns = set(dataset.column_names or next(iter(dataset), {}))
    needed = {"auto": {*_TEXTS, *_MINED}, "always": set(_TEXTS), "never": None}[pairs.render_pairs]
    is_bare = layout.is_bare and needed is not None
    is_rendered = is_bare or (needed is not None and columns >= needed)
    if layout.is_bare and needed is None:
        logger.warning_once(f"{source}: its problems are prompts as they are, since render_pairs is never.")
    if pairs.system_prompt and not (is_rendered and tokenizer.chat_template):
        reason = "the tokenizer has no chat template" if is_rendered else "its pairs are not rendered"
        logger.warning_once(f"{source}: system_prompt is not used, since {reason}.")
    variables: Any = pairs.chat_template_kwargs or {}
    if not is_rendered:
        return _with_variables(dataset, variables, source)
    if variables and not tokenizer.chat_template:
        logger.warning_once(f"{source}: chat_template_kwargs is not used, since the tokenizer has no chat template.")
    is_every = is_bare or pairs.render_pairs == "always"
    which = "all pairs are" if is_every else "pairs that mining left are"
    template = "the tokenizer's chat template" if tokenizer.chat_template else f"the template {pairs.prompt_template!r}"
    logger.warning_once(f"{source}: {which} rendered by {template}.")
    settings = {
        "tokenizer": tokenizer,
        "prompt_template": pairs.prompt_template,
        "system_prompt": pairs.system_prompt,
        "variables": variables,
        "train_on": pairs.train_on,
        "all_rows": is_every,
    }
    texts = dict.fromkeys(_TEXTS, Value("string"))
    features = None if dataset.features is None else Features({**dataset.features, **texts})
    return dataset.map(_rendered, fn_kwargs=settings, features=features)


def _rendered(
    row: Mapping[str, Any],
    tokenizer: Any,
    prompt_template: str,
    system_prompt: str | None,
    variables: Mapping[str, Any],
    train_on: str,
    all_rows: bool,
) -> dict[str, Any]:
    if all_rows or (isinstance(row[schema.PROMPT], str) and all(row[column] is not None for column in _MINED)):
        return render_bare(
            row,
            tokenizer,
            prompt_template=prompt_template,
            system_prompt=system_prompt,
            chat_template_kwargs=variables,
            train_on=train_on,
        )
    return dict(row)


def _with_variables(dataset: Any, variables: Mapping[str, Any], source: str) -> Any:
    """Conversations with the variables of the chat template in the column that TRL reads."""
    if not variables:
        return dataset
    first: dict[str, Any] = next(iter(dataset), {})
    if isinstance(first.get(schema.CHOSEN), str):
        logger.warning_once(f"{source}: chat_template_kwargs is not used, since its pairs are not rendered.")
        return dataset

    def add(row: Mapping[str, Any]) -> dict[str, Any]:
        return {schema.CHAT_TEMPLATE_KWARGS: pair_variables(row, variables)}

    return dataset.map(add)
