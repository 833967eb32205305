"""What settings of several subjects share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval
from typing_extensions import Doc

from trl_weighted_dpo.settings.setting import Shape, SpeedOnly, check

DEFAULT_PROMPT_TEMPLATE = "{problem}\n"
SEEDS = 2**32
"""A seed is at least 0 and less than this."""

PromptTemplate = Annotated[
    str, Doc("How a problem becomes a prompt if the tokenizer has no chat template; holds `{problem}`.")
]
LoadIn4Bit = Annotated[bool, Doc("Load the model in NF4, by bitsandbytes.")]
DoubleQuant = Annotated[bool, Doc("Quantise the constants of NF4 too, as `qlora` in Axolotl does.")]
SystemPrompt = Annotated[str | None, Doc("System message if the tokenizer has a chat template.")]
ChatTemplateKwargs = Annotated[
    Mapping[str, Any] | None, Doc('Variables of the chat template, such as `{"enable_thinking": false}`.')
]
TrainOn = Annotated[
    Literal["all", "answer"],
    Doc(
        "What is trained on of a solution with a thought: all of it (`all`), or what follows the thought (`answer`). "
        "Scoring, mining and training need the same."
    ),
]
Columns = Annotated[
    Sequence[str], Shape("OURS=THEIRS"), Doc("A column of ours and what it is called there, such as problem=question.")
]
Split = Annotated[str | None, Doc("Which split of a folder or of a dataset on the hub, if there are several.")]
Share = Interval(ge=0, le=1)
Seeded = Interval(ge=0, lt=SEEDS)


@dataclass(frozen=True)
class RenderingConfig:
    """How problems become prompts.

    Raises:
        `ValueError`: If a value is of another type.
    """

    prompt_template: PromptTemplate = DEFAULT_PROMPT_TEMPLATE
    system_prompt: SystemPrompt = None
    chat_template_kwargs: ChatTemplateKwargs = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class RowsConfig:
    """How rows are read.

    Raises:
        `ValueError`: If a value is of another type.
    """

    column: Columns = ()
    split: Split = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReadingConfig:
    """What the columns of rows mean.

    Raises:
        `ValueError`: If a value is of another type.
    """

    column: Columns = RowsConfig.column
    reward_threshold: Annotated[
        float | None,
        Doc("Least `reward` of a correct solution, where rows have rewards in place of reference answers."),
    ] = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PoolRowsConfig(ReadingConfig):
    """How pool rows and solution rows are read.

    Raises:
        `ValueError`: If a value is of another type.
    """

    split: Split = RowsConfig.split


@dataclass(frozen=True)
class WorkersConfig:
    """How many processes verify solutions.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    workers: Annotated[int, Ge(1), SpeedOnly(), Doc("Processes that verify solutions.")] = 1

    def __post_init__(self) -> None:
        check(self)
