"""Settings that weighted DPO adds to training, besides those of weighting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import (
    DEFAULT_PROMPT_TEMPLATE,
    ChatTemplateKwargs,
    PromptTemplate,
    SystemPrompt,
    TrainOn,
)
from trl_weighted_dpo.settings.setting import Setting, Shape, check, settings_of
from trl_weighted_dpo.settings.weighting import WeightingConfig

WEIGHT_PREFIX = "weight_"


@dataclass(frozen=True)
class TrainingConfig:
    """Reference, objective, speed and health of weighted DPO.

    DPO-Positive (arXiv 2402.13228, Eq. 3) subtracts λ max(0, log π_ref(y_w) − log π_θ(y_w)) from the margin, inside β;
    the paper trains with λ = 50.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    ref_logps: Annotated[
        Literal["auto", "columns", "model"],
        Doc(
            "Where reference log-probs come from: the pairs' columns if they fit, else the reference model (`auto`); "
            "the columns, or an error (`columns`); the reference model (`model`)."
        ),
    ] = "auto"
    share_prompt: Annotated[
        Literal["auto"] | bool,
        Doc(
            "Compute the prefix that a pair's sequences share once: if the model allows it (`auto`), always or with an "
            "error (`true`), or never (`false`). The numbers are the same."
        ),
    ] = "auto"
    dpop_lambda: Annotated[
        float, Ge(0), Doc("λ of DPO-Positive, against chosen completions that lose probability; 0 switches it off.")
    ] = 0.0
    health_check: Annotated[bool, Doc("Watch the logs for signs of failing training, and report each once.")] = True
    health_early_stop: Annotated[bool, Doc("Stop training at signs that further steps make the model worse.")] = False

    def __post_init__(self) -> None:
        check(self)


def training_fields() -> dict[str, Setting]:
    """The settings that a training config has, by the names of its fields: those of weighting with a prefix."""
    weights = {WEIGHT_PREFIX + setting.key: setting for setting in settings_of(WeightingConfig)}
    return weights | {setting.name: setting for setting in settings_of(TrainingConfig)}


@dataclass(frozen=True)
class PairsConfig:
    """Where the pairs of `weighted-dpo train` come from, and how they become text.

    Raises:
        `ValueError`: If a value is not one of its choices.
    """

    eval_datasets: Annotated[
        Sequence[str] | None,
        Shape("NAME=PATH"),
        Doc(
            "Evaluation sets: NAME=PATH for each, or one PATH alone; in YAML also a mapping. A path is a file of "
            "pairs, a folder or a dataset on the hub."
        ),
    ] = None
    render_pairs: Annotated[
        Literal["auto", "always", "never"],
        Doc(
            "Which pairs the tokenizer's chat template renders, or `prompt_template` if it has none: those that mining "
            "made, and bare problems (`auto`), all, or none. With `auto`, conversations go to TRL as they are."
        ),
    ] = "auto"
    prompt_template: PromptTemplate = DEFAULT_PROMPT_TEMPLATE
    system_prompt: SystemPrompt = None
    chat_template_kwargs: ChatTemplateKwargs = None
    train_on: TrainOn = "all"
    column: Annotated[
        Sequence[str] | None,
        Shape("OURS=THEIRS"),
        Doc("A column of ours and what it is called there, such as prompt=question; in YAML also a mapping."),
    ] = None

    def __post_init__(self) -> None:
        check(self)
