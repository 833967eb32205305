"""What an audit is to look for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trl_weighted_dpo.audit.report import OF_THE_SET, SEVERITIES, Tally
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.rendering import DEFAULT_PROMPT_TEMPLATE
from trl_weighted_dpo.weighting import WeightingConfig

NGRAM_WORDS = 13
"""Words of an n-gram that tells of contamination: as GPT-3 (arXiv 2005.14165, appendix C)."""


@dataclass(frozen=True)
class AuditConfig:
    """What an audit is to look for.

    Args:
        max_length (`int`, *optional*):
            Tokens of prompt and completion that training keeps, ≥ 1. With it, a tokenizer is needed.
        render (`bool`, *optional*, defaults to `False`):
            Whether the prompts are bare problems, which are put into the chat template or `prompt_template` before
            tokens are counted: see [`~core.rendering.render_pair`].
        prompt_template (`str`, *optional*, defaults to `"{problem}\\n"`), system_prompt (`str`, *optional*),
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            For `render`.
        eval_column (`str`, *optional*, defaults to `"problem"`):
            Column of the evaluation rows that holds the problem.
        ngram_words (`int`, *optional*, defaults to `13`):
            Words in a row that a pair may not share with an evaluation problem, ≥ 8.
        weighting ([`WeightingConfig`], *optional*):
            How the pairs will be weighed; by default a `weight` column, else the signals.
        tolerated (`Mapping[str, float]`, *optional*):
            Share in [0, 1] of the rows, by check, that may be found without the check failing; 0 by default.
        examples (`int`, *optional*, defaults to `3`):
            Rows that each check explains, ≥ 0.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    max_length: int | None = None
    render: bool = False
    prompt_template: str = DEFAULT_PROMPT_TEMPLATE
    system_prompt: str | None = None
    eval_column: str = schema.PROBLEM
    ngram_words: int = NGRAM_WORDS
    weighting: WeightingConfig = field(default_factory=WeightingConfig)
    tolerated: Mapping[str, float] = field(default_factory=dict)
    examples: int = 3
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 1:
            raise ValueError(f"max_length must be at least 1 token, got {self.max_length}.")
        if self.ngram_words < 8:
            raise ValueError(f"ngram_words must be at least 8, got {self.ngram_words}: fewer words are common phrases.")
        if self.examples < 0:
            raise ValueError(f"examples must be at least 0, got {self.examples}.")
        for name, share in self.tolerated.items():
            if name not in SEVERITIES or name in OF_THE_SET:
                there = ", ".join(check for check in SEVERITIES if check not in OF_THE_SET)
                raise ValueError(f"No check {name!r} finds rows, so none can be tolerated. Choose one of {there}.")
            if not 0 <= share <= 1:
                raise ValueError(f"The tolerated share of {name!r} must lie in [0, 1], got {share}.")

    def tally(self, name: str) -> Tally:
        """A tally for a check."""
        return Tally(name, self.tolerated.get(name, 0.0), self.examples)
