"""Pairs whose prompt keeps its own tokens where TRL's would merge with the completion's."""

from collections.abc import Iterable
from typing import Any

from accelerate import PartialState
from accelerate.logging import get_logger
from datasets import Dataset, IterableDataset

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.tokens import after_prompt
from trl_weighted_dpo.training.record import TOKEN_COLUMNS

logger = get_logger(__name__)

_TEXTS = (schema.PROMPT, schema.CHOSEN, schema.REJECTED)
_BATCH = 1000


def keep_prompt_tokens(dataset: Any, tokenizer: Any, args: Any, name: str) -> Any:
    """Tokenised pairs with the prompt's own tokens, as they were sampled from (see [`~core.tokens.after_prompt`]).

    Args:
        dataset (`Dataset` or `IterableDataset`):
            As TRL prepares it. Pairs that are conversations stay as they are.
        tokenizer (`PreTrainedTokenizerBase`):
            The model's.
        args ([`~training.config.WeightedDPOConfig`]):
            Its `max_length` and `truncation_mode` are used.
        name (`str`):
            Name of the dataset, for messages.
    """

    def split(batch: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        columns = {name: batch[name] for name in TOKEN_COLUMNS}
        found = {name: list(values) for name, values in columns.items()}
        for row, ids in enumerate(_ids(zip(*(batch[name] for name in _TEXTS), strict=True), tokenizer)):
            if ids is not None:
                for name, own in zip(found, ids, strict=True):
                    found[name][row] = own
        return found

    first: dict[str, Any] = next(iter(dataset), {})
    if not isinstance(first.get(schema.PROMPT), str):
        return dataset
    if isinstance(dataset, IterableDataset):
        return dataset.map(split, batched=True, batch_size=_BATCH)
    if not _differ(dataset, tokenizer):
        return dataset
    logger.warning(
        "In some pairs of the %s dataset, tokens of prompt and completion would merge. The prompt keeps its tokens, "
        "from which the model was sampled, so that you can ignore TRL's warnings of a mismatch.",
        name,
    )
    with PartialState().main_process_first():
        dataset = dataset.map(split, batched=True, batch_size=_BATCH)
        if args.max_length is not None and args.truncation_mode == "keep_start":
            # As TRL does, for prompts that it has shortened.
            dataset = dataset.filter(lambda row: len(row["prompt_ids"]) < args.max_length)
    return dataset


def _ids(texts: Iterable[tuple[str, str, str]], tokenizer: Any) -> list[tuple[list[int], ...] | None]:
    """For each pair the tokens of its prompt, chosen and rejected; `None` where they cannot be told apart."""
    pairs = list(texts)
    joined = [text for prompt, *answers in pairs for text in (prompt, *(prompt + answer for answer in answers))]
    ids = tokenizer(text=joined)["input_ids"] if joined else []
    found: list[tuple[list[int], ...] | None] = []
    for row, (_, *answers) in enumerate(pairs):
        prompt_ids, *all_ids = ids[3 * row : 3 * row + 3]
        apart = [after_prompt(prompt_ids, own, text, tokenizer) for own, text in zip(all_ids, answers, strict=True)]
        found.append(None if None in apart else (prompt_ids, *(own for own in apart if own is not None)))
    return found


def _differ(dataset: Dataset, tokenizer: Any) -> bool:
    """Whether a pair has other tokens than TRL has made."""
    columns = (*_TEXTS, *TOKEN_COLUMNS)
    for batch in dataset.select_columns(list(columns)).iter(batch_size=_BATCH):
        theirs = zip(*(batch[name] for name in columns[3:]), strict=True)
        ours = _ids(zip(*(batch[name] for name in _TEXTS), strict=True), tokenizer)
        if any(own is not None and own != their for own, their in zip(ours, theirs, strict=True)):
            return True
    return False
