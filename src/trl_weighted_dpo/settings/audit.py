"""Settings of an audit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.settings.common import (
    DEFAULT_PROMPT_TEMPLATE,
    ChatTemplateKwargs,
    PromptTemplate,
    SystemPrompt,
    TrainOn,
)
from trl_weighted_dpo.settings.setting import check
from trl_weighted_dpo.settings.weighting import WeightingConfig


@dataclass(frozen=True)
class AuditConfig:
    """What an audit looks for.

    13 words are the n-gram of GPT-3 (arXiv 2005.14165, appendix C).

    Raises:
        `ValueError`: If a value is out of its range, or no check that finds rows has a name in `tolerated`.
    """

    max_length: Annotated[
        int | None, Ge(1), Doc("Tokens of prompt and completion that training keeps; needs a tokenizer.")
    ] = None
    render: Annotated[bool, Doc("Render the prompts, which are bare problems, before tokens are counted.")] = False
    prompt_template: PromptTemplate = DEFAULT_PROMPT_TEMPLATE
    system_prompt: SystemPrompt = None
    chat_template_kwargs: ChatTemplateKwargs = None
    train_on: TrainOn = "all"
    eval_column: Annotated[str, Doc("Column of the evaluation rows that holds the problem.")] = schema.PROBLEM
    ngram_words: Annotated[int, Ge(8), Doc("Words in a row that a pair may not share with an evaluation problem.")] = 13
    weighting: Annotated[
        WeightingConfig, Doc("How the pairs will be weighted; by default by a `weight` column, else by the signals.")
    ] = field(default_factory=WeightingConfig)
    tolerated: Annotated[
        Mapping[str, float], Doc("Share of the rows, by check, that a check may find without failing.")
    ] = field(default_factory=dict)
    examples: Annotated[int, Ge(0), Doc("Rows that each check explains.")] = 3

    def __post_init__(self) -> None:
        check(self)
        if self.tolerated:
            from trl_weighted_dpo.audit.report import check_tolerated

            check_tolerated(self.tolerated)
