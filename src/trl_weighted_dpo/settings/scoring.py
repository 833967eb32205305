"""Settings of scoring."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import (
    DEFAULT_PROMPT_TEMPLATE,
    ChatTemplateKwargs,
    DoubleQuant,
    LoadIn4Bit,
    PromptTemplate,
    SystemPrompt,
    TrainOn,
)
from trl_weighted_dpo.settings.setting import NoneAs, SpeedOnly, check


@dataclass(frozen=True)
class ScoringConfig:
    """How candidates become tokens, and how many go through the model at once.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    max_length: Annotated[
        int | None,
        Ge(2),
        NoneAs(0),
        Doc("Tokens of prompt and completion that are kept, as in training; the default is TRL's, 0 is no limit."),
    ] = 1024
    truncation_mode: Annotated[
        Literal["keep_start", "keep_end"], Doc("Which tokens of longer ones are kept, as in training.")
    ] = "keep_start"
    prompt_template: PromptTemplate = DEFAULT_PROMPT_TEMPLATE
    system_prompt: SystemPrompt = None
    chat_template_kwargs: ChatTemplateKwargs = None
    train_on: TrainOn = "all"
    batch_tokens: Annotated[
        int | None,
        Ge(1),
        SpeedOnly(),
        Doc("Tokens of a forward pass, with padding: 4096, on a CPU 512. Lower it if memory runs out."),
    ] = None
    autocast: Annotated[
        Literal["bfloat16", "float16"] | None,
        Doc(
            "Precision of the computation, if it differs from that of the weights: what `bf16` and `fp16` do in "
            "training."
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ScoringModelConfig:
    """How the model that scores is loaded.

    Raises:
        `ValueError`: If a value is not one of its choices.
    """

    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Doc("Precision of the weights; `auto` is that of the model's files."),
    ] = "auto"
    load_in_4bit: LoadIn4Bit = False
    double_quant: DoubleQuant = False
    backend: Annotated[Literal["transformers", "vllm"], Doc("What computes; `vllm` needs a GPU.")] = "transformers"

    def __post_init__(self) -> None:
        check(self)
