"""Lengths of the pairs that a run trains on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pair_row


@dataclass(frozen=True)
class PairLength:
    """Tokens of a pair; means may be broken numbers.

    Args:
        prompt, chosen, rejected (`float`): Tokens of each.
    """

    prompt: float
    chosen: float
    rejected: float

    @property
    def completions(self) -> float:
        """Tokens of both completions: positions that go through the head."""
        return self.chosen + self.rejected

    def rows(self, shared: bool) -> tuple[float, ...]:
        """Lengths of the rows that a pair becomes: two, or one with the prompt once, in which last tokens, which
        predict nothing, make room for a second copy of the prompt's last ([`~training.layout`])."""
        if shared:
            return (self.prompt - 1 + self.completions,)
        return self.prompt + self.chosen, self.prompt + self.rejected


@dataclass(frozen=True)
class Pairs:
    """The training pairs.

    Args:
        count (`int`): How many there are.
        mean (`PairLength`): Mean length; time goes by it.
        longest (`PairLength`): The longest that can come; memory goes by it.
        have_reference (`bool` or `None`): Whether they bring reference log-probs; `None` if that is not known.
    """

    count: int
    mean: PairLength
    longest: PairLength
    have_reference: bool | None = None


def assumed_pairs(count: int, prompt: float, completion: float, max_length: int | None) -> Pairs:
    """Pairs of which only the means are known: the longest fills `max_length` with a prompt of mean length.

    Args:
        count (`int`): How many there are.
        prompt, completion (`float`): Mean tokens of the prompt and of one completion.
        max_length (`int` or `None`): Tokens that training keeps of prompt and completion.

    Raises:
        `ValueError`: If the mean pair does not fit into `max_length`, or there is no limit.
    """
    if max_length is None:
        raise ValueError("Without a maximal length memory has no bound: set `max_length`, or give a file of pairs.")
    if prompt + completion > max_length:
        raise ValueError(
            f"A mean pair of {prompt:g} + {completion:g} tokens is longer than the {max_length} that training keeps. "
            "Give smaller --prompt-tokens and --completion-tokens, or set a longer `sequence_len` (`max_length`)."
        )
    rest = max_length - prompt
    return Pairs(count, PairLength(prompt, completion, completion), PairLength(prompt, rest, rest))


def measured_pairs(rows: Iterable[Mapping[str, Any]], tokenizer: Any, max_length: int | None, shared: bool) -> Pairs:
    """Lengths of the pairs of a file.

    Args:
        rows (`Iterable[Mapping[str, Any]]`): Pairs, with bare problems or conversations; rendered as for training.
        tokenizer (`PreTrainedTokenizerBase`): The model's.
        max_length (`int` or `None`): Tokens that training keeps of prompt and completion.
        shared (`bool`): Whether the prompt is computed once.

    Raises:
        [`~core.checks.SchemaError`]: If a row is no pair; names it.
        `ValueError`: If there are no rows.
    """
    from trl_weighted_dpo.core.pairs import PairLayout, checked_pair, layout_of, render_bare

    lengths = []
    references = 0
    layout: PairLayout | None = None
    for index, row in enumerate(rows):
        if layout is None:
            layout = layout_of(row, str(rows))
        row = checked_pair(row, layout, index, str(rows))
        check_pair_row(row, index, str(rows))
        references += row.get(schema.REF_CHOSEN_LOGPS) is not None and row.get(schema.REF_REJECTED_LOGPS) is not None
        texts = render_bare(row, tokenizer)
        prompt, chosen, rejected = (
            len(tokenizer(texts[name], add_special_tokens=name == schema.PROMPT)["input_ids"])
            for name in (schema.PROMPT, schema.CHOSEN, schema.REJECTED)
        )
        # TRL adds an end token to a completion.
        chosen, rejected = chosen + 1, rejected + 1
        if max_length is not None:
            prompt = min(prompt, max_length)
            chosen, rejected = min(chosen, max_length - prompt), min(rejected, max_length - prompt)
        lengths.append(PairLength(prompt, chosen, rejected))
    if not lengths:
        raise ValueError(f"{rows}: there are no pairs in it.")
    count = len(lengths)
    mean = PairLength(*(sum(values) / count for values in zip(*map(_tokens, lengths), strict=True)))
    longest = max(lengths, key=lambda pair: max(pair.rows(shared)))
    return Pairs(count, mean, longest, references == count)


def _tokens(pair: PairLength) -> tuple[float, float, float]:
    return pair.prompt, pair.chosen, pair.rejected
