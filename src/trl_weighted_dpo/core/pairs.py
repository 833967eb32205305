"""Pair rows of public layouts as TRL's format: prompt, chosen and rejected, as texts or conversations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError, row_error
from trl_weighted_dpo.core.printing import short_repr
from trl_weighted_dpo.core.rendering import render_pair

_HUMAN, _ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
"""What turns begin with in a dialogue of hh-rlhf."""
_QUESTIONS = (schema.PROBLEM, "question")
"""Columns whose text has to be in the prompt, where there is a prompt beside them."""


@dataclass(frozen=True)
class PairLayout:
    """How the rows of a set become pairs.

    Args:
        sets (`str`), url (`str`): Which sets have these columns, and where one of them is; `""` for our own.
        prompt (`str`, *optional*): Column of the prompt; `None` if completions begin with it.
        is_bare (`bool`, *optional*): Whether the prompt is the bare problem, which is rendered as mined pairs are.
        after (`str`, *optional*), before (`str`, *optional*): Columns of texts that come after the prompt, and before
            both completions.
        chosen (`str`, *optional*), rejected (`str`, *optional*): Columns of the completions.
    """

    sets: str
    url: str
    prompt: str | None
    is_bare: bool = True
    after: str | None = None
    before: str | None = None
    chosen: str = schema.CHOSEN
    rejected: str = schema.REJECTED

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that have to be there, by which a set is recognised."""
        columns = (self.prompt, self.after, self.before, self.chosen, self.rejected)
        return tuple(name for name in columns if name is not None)


_HUB = "https://huggingface.co/datasets/"

PAIR_LAYOUTS: dict[str, PairLayout] = {
    "step_dpo": PairLayout(
        "Step-DPO", _HUB + "xinlai/Math-Step-DPO-10K", schema.PROMPT, before="initial_reason_steps",
    ),
    "own": PairLayout(
        "pairs of TRL and of `mine`, UltraFeedback, OpenRLHF", _HUB + "HuggingFaceH4/ultrafeedback_binarized",
        schema.PROMPT, is_bare=False,
    ),
    "orca": PairLayout("Orca DPO pairs", _HUB + "Intel/orca_dpo_pairs", "question"),
    "alpaca": PairLayout("Alpaca's columns, as in LLaMA-Factory", "", "instruction", after="input"),
    "argilla": PairLayout("Argilla's Orca pairs", _HUB + "argilla/distilabel-intel-orca-dpo-pairs", "input"),
    "argilla_math": PairLayout(
        "Argilla's math preferences", _HUB + "argilla/distilabel-math-preference-dpo", "instruction",
        chosen="chosen_response", rejected="rejected_response",
    ),
    "instruction": PairLayout("sets with an `instruction`", "", "instruction"),
    "problem": PairLayout("sets with a `problem`", "", schema.PROBLEM),
    "implicit": PairLayout(
        "hh-rlhf, OpenRLHF: conversations, or dialogues of `Human:` and `Assistant:`", _HUB + "Anthropic/hh-rlhf",
        None, is_bare=False,
    ),
}  # fmt: skip
"""The layouts, in the order in which they are tried."""

SYSTEM = "system"
"""Column of the system message, which bare problems may have."""


class PairError(ValueError):
    """A row that is no pair; the message says why."""


def layout_of(columns: Collection[str], source: str) -> PairLayout:
    """The layout of pairs with these columns.

    Raises:
        [`~core.checks.SchemaError`]: If it is that of a pool, or a completion has no column.
    """
    _refuse_pool(columns, source)
    for layout in PAIR_LAYOUTS.values():
        if set(layout.needs) <= set(columns):
            return layout
    missing = next(name for name in (schema.CHOSEN, schema.REJECTED) if name not in columns)
    raise SchemaError(
        f"{source}: these are no pairs: the column {missing!r} is missing; there are: {', '.join(map(str, columns))}. "
        f"If another column has it, name that: --column {missing}=NAME. `weighted-dpo mine` makes pairs of a pool."
    )


def as_pair(row: Mapping[str, Any], layout: PairLayout) -> dict[str, Any]:
    """The row with `prompt`, `chosen` and `rejected` as TRL has them; its other columns stay.

    Texts stay texts. Of conversations the last message is the completion, and what comes before it the prompt. One
    message is a conversation. What has another type stays, for [`~core.checks.check_pair_row`] to refuse.

    Raises:
        [`PairError`]: If the question would not be in the prompt: texts have no column for it, two conversations differ
            before their last message, or a column with the question is not what the prompt asks.
    """
    chosen, rejected = (_turns(row.get(column)) for column in (layout.chosen, layout.rejected))
    prompt = _turns(row.get(layout.prompt)) if layout.prompt is not None else None
    if layout.after is not None and row.get(layout.after):
        prompt = f"{prompt}\n\n{row[layout.after]}"
    if layout.before is not None and row.get(layout.before):
        chosen, rejected = (row[layout.before] + text if isinstance(text, str) else text for text in (chosen, rejected))
    is_text = isinstance(chosen, str) and isinstance(rejected, str)
    if isinstance(chosen, list) and isinstance(rejected, list) and chosen and rejected:
        prompt, chosen, rejected = _conversation(prompt, chosen, rejected, row.get(SYSTEM) if layout.is_bare else None)
    elif is_text and isinstance(prompt, list):
        chosen, rejected = ([{"role": "assistant", "content": text}] for text in (chosen, rejected))
    elif is_text and layout.prompt is None:
        prompt, chosen, rejected = _dialogue(chosen, rejected, row)
    for name in _QUESTIONS:
        question = row.get(name)
        if isinstance(question, str) and prompt and name != layout.prompt and not _is_in(question, prompt):
            raise PairError(
                f"{name} is {short_repr(question)}, which is not in the prompt, {short_repr(_text(prompt))}: the model "
                f"would never see it. Make it the prompt (--column prompt={name}), or drop the column"
            )
    own = {schema.PROMPT: prompt, schema.CHOSEN: chosen, schema.REJECTED: rejected}
    return {**row, **(own if prompt is not None or layout.prompt is not None else {})}


def checked_pair(row: Mapping[str, Any], layout: PairLayout, index: int, source: str) -> dict[str, Any]:
    """As [`as_pair`], with errors that name source and row.

    Raises:
        [`~core.checks.SchemaError`]: If a column is missing or the row is no pair.
    """
    for column in layout.needs:
        if column not in row:
            _refuse_pool(row, source)
            there = ", ".join(map(str, row)) or "none"
            raise SchemaError(f"{source}: row {index}, column {column!r}: the column is missing; there are: {there}.")
    try:
        return as_pair(row, layout)
    except PairError as error:
        raise row_error(source, index, layout.chosen, row[layout.chosen], f"{error}.") from error


def _refuse_pool(columns: Collection[str], source: str) -> None:
    if schema.CANDIDATES in columns:
        raise SchemaError(
            f"{source}: this is a pool of candidates. Make pairs of it: weighted-dpo mine {source} -o pairs.parquet"
        )


def _turns(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


def _conversation(prompt: Any, chosen: list[Any], rejected: list[Any], system: Any) -> tuple[Any, list[Any], list[Any]]:
    if isinstance(prompt, list):
        return prompt, chosen, rejected
    before = chosen[:-1]
    if before != rejected[:-1]:
        shared = _shared(before, rejected[:-1])
        if prompt is not None or not shared:
            raise PairError("chosen and rejected differ before their last message, so that they have no common prompt")
        return chosen[:shared], chosen[shared:], rejected[shared:]
    if prompt is not None:
        if before and not _is_in(str(prompt), before):
            raise PairError(f"the prompt {short_repr(prompt)} is not in the messages before the answer")
        before = before or [{"role": "user", "content": prompt}]
        if system and before[0].get("role") != "system":
            before = [{"role": "system", "content": system}, *before]
    elif not before:
        raise PairError("there is no message before the answer, and no column with the question: --column prompt=NAME")
    return before, chosen[-1:], rejected[-1:]


def _dialogue(chosen: str, rejected: str, row: Mapping[str, Any]) -> tuple[str, str, str]:
    """A dialogue of hh-rlhf, cut after the last `Assistant:` that both have."""
    end = chosen[: _shared(chosen, rejected)].rfind(_ASSISTANT) + len(_ASSISTANT)
    if not chosen.startswith((_HUMAN, _HUMAN.lstrip())) or end < len(_ASSISTANT):
        there = ", ".join(map(str, row))
        raise PairError(
            f"no column has the question, so that the model would never see it; there are: {there}. Name the one that "
            "does: --column prompt=NAME"
        )
    return chosen[:end], chosen[end:], rejected[end:]


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many items both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(str(message.get("content")) for message in prompt if isinstance(message, Mapping))


def _is_in(question: str, prompt: Any) -> bool:
    return "".join(question.split()) in "".join(_text(prompt).split())


def render_bare(pair: Mapping[str, Any], tokenizer: Any, **settings: Any) -> dict[str, Any]:
    """As [`~core.rendering.render_pair`], with the system message that the row itself may have.

    Without a chat template that is a paragraph before the problem.
    """
    system = pair.get(SYSTEM)
    if not isinstance(system, str) or not system.strip() or not isinstance(pair[schema.PROMPT], str):
        return render_pair(pair, tokenizer, **settings)
    if getattr(tokenizer, "chat_template", None):
        return render_pair(pair, tokenizer, **{**settings, "system_prompt": system})
    return render_pair({**pair, schema.PROMPT: f"{system}\n\n{pair[schema.PROMPT]}"}, tokenizer, **settings)
