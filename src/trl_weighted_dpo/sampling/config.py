"""How solutions are sampled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError, row_error
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.core.rendering import DEFAULT_PROMPT_TEMPLATE

SEEDS = 2**32
"""A seed is at least 0 and less than this."""


@dataclass(frozen=True)
class SamplingConfig:
    """How many solutions of a problem are sampled, from which distribution and with which prompt.

    Args:
        completions (`int`, *optional*, defaults to `8`):
            Solutions of each problem.
        temperature (`float`, *optional*, defaults to `0.8`):
            Divides the logits. 0 takes the most likely token each time, which gives the same text each time: it goes
            with one completion.
        top_p (`float`, *optional*, defaults to `1.0`):
            Smallest set of the most likely tokens with this probability, in (0, 1]; 1 keeps all.
        top_k (`int`, *optional*, defaults to `0`):
            This many of the most likely tokens; 0 keeps all. Temperature comes first, then `top_k`, then `top_p`, as in
            transformers.
        max_new_tokens (`int`, *optional*, defaults to `512`):
            A completion that has not ended by then is cut, and marked as `truncated`.
        stop (`Sequence[str]`, *optional*):
            Texts that end a completion; they are cut from it.
        seed (`int`, *optional*, defaults to `0`):
            The noise of a token depends on it, on the problem's id, on the number of the sample and on the position.
        prompt_template (`str`, *optional*, defaults to `"{problem}\\n"`), system_prompt (`str`, *optional*),
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            How problems are rendered (see [`~core.rendering.render_completions`]).
        few_shot (`Sequence[tuple[str, str]]`, *optional*):
            Problems with solutions that come before, from [`read_few_shot`].
        batch_tokens (`int`, *optional*, defaults to `65536`, on a CPU `32768`):
            Tokens of a batch with `max_new_tokens` and padding: decides speed and memory. Samples depend on it by
            rounding only. Of use to the transformers backend.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    completions: int = 8
    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 512
    stop: Sequence[str] = ()
    seed: int = 0
    prompt_template: str = DEFAULT_PROMPT_TEMPLATE
    system_prompt: str | None = None
    few_shot: Sequence[tuple[str, str]] = ()
    batch_tokens: int | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("completions", 1), ("max_new_tokens", 1), ("top_k", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least {least}.")
        if not 0.0 <= self.temperature <= 100.0:
            raise ValueError(f"temperature is {self.temperature}; give 0 (the most likely token) to 100.")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is {self.top_p}; give more than 0 and at most 1, which keeps all tokens.")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"seed is {self.seed}; give 0 to {SEEDS - 1}.")
        if self.temperature == 0 and self.completions > 1:
            raise ValueError(
                f"temperature 0 gives the same text each time, but completions is {self.completions}: set completions "
                "to 1 (-k 1), or a temperature above 0."
            )
        if isinstance(self.stop, str) or not all(self.stop):
            raise ValueError(f"stop is {self.stop!r}; give a list of texts that are not empty.")
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise ValueError(f"batch_tokens is {self.batch_tokens}; give at least 1.")

    @property
    def distribution(self) -> list[Any]:
        """What decides a sample besides model, prompt, problem and number, in plain JSON types."""
        return [self.temperature, self.top_p, self.top_k, self.max_new_tokens, sorted(self.stop), self.seed]


def read_few_shot(path: Path) -> tuple[tuple[str, str], ...]:
    """Problems with solutions from a JSONL file, for [`SamplingConfig`].

    Args:
        path (`Path`): Rows with `problem` and `solution`, or `reference_solution` in place of that.

    Raises:
        [`~core.checks.SchemaError`]: If a row has no problem or no solution, or there is no row.
        `FileNotFoundError`: If there is no such file.
    """
    shots = tuple(_shot(row, index, str(path)) for index, row in enumerate(read_jsonl(path)))
    if not shots:
        raise SchemaError(f"{path}: there is no row. Give at least one problem with a solution, or no file.")
    return shots


def _shot(row: Mapping[str, Any], index: int, source: str) -> tuple[str, str]:
    column = schema.SOLUTION if schema.SOLUTION in row else schema.REFERENCE_SOLUTION
    for name in (schema.PROBLEM, column):
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise row_error(source, index, name, value, "Give the text of a problem and of its solution.")
    return row[schema.PROBLEM], row[column]
