"""The recipe of `weighted-dpo run`: [`Recipe`] and its parts, which `reading.py` reads from the YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import SUFFIXES

ENGINES = ("axolotl", "trl")
DATA_STAGES = ("sample", "verify", "score", "mine")
"""The stages from problems to pairs, in order; a file may stand in for each."""
FORMATS = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)


@dataclass(frozen=True)
class Source:
    """Where problems come from.

    Args:
        path (`str`): File, folder, or name on the hub.
        options (`Mapping[str, Any]`): Options of `weighted-dpo problems`, such as `preset` and `limit`.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """A stage that one of our commands does.

    Args:
        options (`Mapping[str, Any]`): Options of the command, by their long names with underscores.
        file (`Path`, *optional*): What stands in for the stage's output in the first round.
        launch (`str`, *optional*): What the command is launched by, such as `accelerate launch --num_processes 4`.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    launch: str | None = None


@dataclass(frozen=True)
class Training:
    """SFT, or weighted DPO.

    Args:
        engine (`str`): `"axolotl"` or `"trl"`.
        recipe (`Path`, *optional*): The engine's own YAML.
        settings (`Mapping[str, Any]`): The content of that YAML with the block's `settings` in place of its own.
        launch (`str`, *optional*): What it is launched by.
    """

    engine: str
    recipe: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    launch: str | None = None


@dataclass(frozen=True)
class Recipe:
    """What is to be run.

    Args:
        path (`Path`): The YAML.
        output_dir (`Path`): Where everything is written.
        model (`str`): What SFT starts from or, without SFT, the SFT model: a folder or a name on the hub.
        seed (`int`, *optional*, defaults to `0`): Of sampling, mining, training and evaluation, unless a block has its
            own.
        format (`str`, *optional*, defaults to `"jsonl"`): Of pools and pairs: `"jsonl"` or `"parquet"`.
        prompt_template, system_prompt (`str`, *optional*), chat_template_kwargs (`Mapping[str, Any]`, *optional*): How
            problems are rendered, everywhere.
        train_on (`str`, *optional*): What scoring, mining and training take of a solution with a thought.
        problems (`Source`, *optional*): What is sampled for and, with SFT, learnt from.
        evaluation_problems (`Source`, *optional*), evaluation (`Block`, *optional*): What models are compared on, and
            how.
        sft, train (`Training`, *optional*), sample, verify, score, mine, weigh (`Block`, *optional*):
            The stages; `None` is one that is left out.
        rounds (`int`, *optional*, defaults to `1`): How often sampling to training is gone through.
        earlier_pool (`float`, *optional*, defaults to `0.0`): Share of problems, in [0, 1], whose candidates of earlier
            rounds join those of a later one.
    """

    path: Path
    output_dir: Path
    model: str
    seed: int = 0
    format: str = "jsonl"
    prompt_template: str | None = None
    system_prompt: str | None = None
    chat_template_kwargs: Mapping[str, Any] | None = None
    train_on: str | None = None
    problems: Source | None = None
    evaluation_problems: Source | None = None
    evaluation: Block | None = None
    sft: Training | None = None
    sample: Block | None = None
    verify: Block | None = None
    score: Block | None = None
    mine: Block | None = None
    weigh: Block | None = None
    train: Training | None = None
    rounds: int = 1
    earlier_pool: float = 0.0


class RecipeError(ValueError):
    """A recipe that cannot be run. The message names file, key, value and a way out."""


def recipe_block(recipe: Recipe, name: str) -> Block:
    """The block of a stage that one of our commands does; one without options if it is left out."""
    block: Block | None = getattr(recipe, name)
    return block or Block()


def has_own_data(sft: Training) -> bool:
    """Whether the settings of SFT name what it learns from."""
    return bool(sft.settings.get("datasets") or sft.settings.get("dataset_name"))
