"""A recipe → the stages that are run, each with the command line that does it."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from trl_weighted_dpo import plugins
from trl_weighted_dpo.core.identity import digest
from trl_weighted_dpo.mining import MINING_VERSION
from trl_weighted_dpo.pipeline.engines import Engine, engine_of
from trl_weighted_dpo.pipeline.options import COMMANDS, RENDERING, existing_file
from trl_weighted_dpo.pipeline.recipe import (
    DATA_STAGES,
    Block,
    Recipe,
    RecipeError,
    Source,
    Training,
    has_own_data,
    recipe_block,
)
from trl_weighted_dpo.sampling import SAMPLING_VERSION
from trl_weighted_dpo.scoring import SCORING_VERSION
from trl_weighted_dpo.settings import ScoringConfig
from trl_weighted_dpo.verifier import VERIFIER_VERSION, MathVerifier
from trl_weighted_dpo.weighting import FORMULA_VERSION

_OUTPUTS = {"sample": "pool", "verify": "verified", "score": "scored", "mine": "pairs"}
_CLI = "trl_weighted_dpo.cli"
_DECIDING = {
    "sample": ("sampling",),
    "verify": ("verifier",),
    "score": ("scoring",),
    "mine": ("mining", "verifier"),
    "weigh": ("weighting",),
    "evaluate": ("sampling", "verifier"),
}
"""Result versions that decide what a command makes."""
_PLUGINS = {"dimension": "dimensions", "function": "hardnesses", "scheme": "raw_weights", "backend": "samplers"}
"""Options that plugins bring values of, with the kind of plugin."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Args:
        name (`str`): Such as `"problems"` or `"round-1/score"`.
        output (`Path`): The file or folder that it makes.
        command (`tuple[str, ...]`): Its command line; empty if it is left out.
        inputs (`Mapping[str, str]`): What it reads, by what that is to it: files, folders, or names on the hub.
        settings (`Mapping[str, Any]`): What decides its output besides: all settings, with the defaults of those that
            the recipe does not give.
        result_versions (`Mapping[str, str]`): Versions that decide it, of the package's stages and of plugins.
        config (`Mapping[str, Any]`, *optional*): Content of the YAML that the command reads.
        config_file (`Path`, *optional*): Where that is written before.
        engine ([`~pipeline.engines.Engine`], *optional*): What trains, with checkpoints in the output.
        to_stdout (`bool`): Whether the command prints its output, instead of writing it.
        left_out (`str`): Why there is nothing to run, such as `"skipped"`.
    """

    name: str
    output: Path
    command: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    config_file: Path | None = None
    engine: Engine | None = None
    to_stdout: bool = False
    left_out: str = ""
    result_versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name without its round."""
        return self.name.rsplit("/", 1)[-1]


def plan_stages(recipe: Recipe) -> list[Stage]:
    """All stages of a recipe, in the order in which they are run.

    Raises:
        [`~pipeline.recipe.RecipeError`]: If earlier rounds have no pool to reuse.
    """
    return list(_Planner(recipe).stages())


class _Planner:
    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.folder = recipe, recipe.output_dir
        self.rendering = {name: getattr(recipe, name) for name in RENDERING}
        self.train_on = {} if recipe.train_on is None else {"train_on": recipe.train_on}
        self.problems = self.folder / "problems.jsonl"
        self.model = recipe.model
        """The model as the stages so far have left it."""
        self.earlier: Path | None = None
        """The pool that the last round scored."""

    def stages(self) -> Iterator[Stage]:
        recipe = self.recipe
        if recipe.problems is not None and (recipe.sample is not None or recipe.sft is not None):
            yield self._problems(recipe.problems)
        models = {}
        if recipe.sft is None:
            yield Stage("sft", Path(self.model), left_out="skipped")
        else:
            yield from self._sft(recipe.sft)
        models["sft"] = self.model
        for number in range(1, recipe.rounds + 1):
            yield from self._round(number)
            if recipe.train is not None:
                models[f"round-{number}"] = self.model
        if recipe.evaluation is not None and recipe.evaluation_problems is not None:
            yield self._evaluation(recipe.evaluation, recipe.evaluation_problems, models)
        else:
            yield Stage("evaluate", self.folder / "evaluation", left_out="skipped")

    def _own(
        self,
        name: str,
        kind: str,
        inputs: Mapping[str, str],
        output: Path,
        options: Mapping[str, Any],
        block: Block | None = None,
        to_stdout: bool = False,
    ) -> Stage:
        """A stage that one of our commands does (`kind` is a key of `COMMANDS`); its first input is the command's
        argument, another one named as an option is that option."""
        known = COMMANDS[kind]
        launch = None if block is None else block.launch
        program = ["weighted-dpo"] if launch is None else [*shlex.split(launch), "-m", _CLI]
        first, *others = inputs
        paths = {key: inputs[key] for key in others if key in known.others}
        words = [*program, known.name, inputs[first]]
        words += ["--json"] if to_stdout else ["--output", str(output)]
        words += known.words({**options, **paths})
        settings, files = known.resolved(options)
        return Stage(
            name, output, tuple(words), {**inputs, **files}, settings, to_stdout=to_stdout,
            result_versions=_result_versions(_DECIDING.get(known.name, ()), options),
        )  # fmt: skip

    def _problems(self, source: Source) -> Stage:
        return self._own("problems", "problems", {"problems": source.path}, self.problems, source.options)

    def _sft(self, sft: Training) -> Iterator[Stage]:
        folder = self.folder / "sft"
        data = folder / "data.jsonl"
        if not has_own_data(sft):
            inputs = {"problems": str(self.problems), "completions_for": self.model}
            yield self._own("sft-data", "sft-data", inputs, data, self.rendering)
        yield from self._trained("sft", sft, folder, None if has_own_data(sft) else data)

    def _trained(self, name: str, training: Training, folder: Path, data: Path | None) -> Iterator[Stage]:
        """Training, and the merging of its adapter if it leaves one: later stages see a whole model."""
        engine = engine_of(training, name.rsplit("/", 1)[-1])
        output, config_file = folder / "model", folder / f"{name.rsplit('/', 1)[-1]}.yaml"
        settings = {"seed": self.recipe.seed, **training.settings}
        config = engine.config(settings, self.model, data, folder, self.rendering | self.train_on)
        inputs = {"model": self.model} | ({} if data is None else {"data": str(data)})
        mines = self.recipe.mine is None
        deciding, files = _deciding(engine.deciding(settings, has_data=data is not None))
        deciding = engine.resolved(deciding, mines)
        rendering, _ = COMMANDS["sft-data"].resolved(self.rendering)
        if name != "sft":
            rendering["train_on"] = self.recipe.train_on or ScoringConfig.train_on
        versions = {} if name == "sft" else _result_versions(self._training_results(), engine.weighting(settings))
        yield Stage(
            name, output, tuple(engine.command(config_file, training.launch)), inputs | files, deciding | rendering,
            config, config_file, engine, result_versions=versions,
        )  # fmt: skip
        base, self.model = self.model, str(output)
        if engine.makes_adapter(settings):
            merged = folder / "merged"
            words = ["python", "-m", "trl_weighted_dpo.pipeline.merge", str(output), "--base", base]
            quantization = engine.quantization(settings)
            words += ["--output", str(merged), *quantization]
            yield Stage(
                f"{name}-merge" if name == "sft" else f"{folder.name}/merge", merged, tuple(words),
                {"adapter": str(output), "base": base}, {"quantization": quantization},
            )  # fmt: skip
            self.model = str(merged)

    def _round(self, number: int) -> Iterator[Stage]:
        recipe, folder = self.recipe, self.folder / f"round-{number}"
        replaced = [
            index
            for index, name in enumerate(DATA_STAGES)
            if number == 1 and recipe_block(recipe, name).file is not None
        ]
        first = max(replaced, default=-1)
        data = self.problems
        entering: Path | None = None
        for index, name in enumerate(DATA_STAGES):
            block: Block | None = getattr(recipe, name)
            stage_name, output = f"round-{number}/{name}", folder / f"{_OUTPUTS[name]}.{recipe.format}"
            if name == "score":
                if number > 1 and recipe.earlier_pool:
                    joined = folder / f"joined.{recipe.format}"
                    yield self._joined(number, data, joined)
                    data = joined
                entering = data if first < DATA_STAGES.index("score") and recipe.sample is not None else None
            if index < first:
                yield Stage(stage_name, output, left_out="not needed")
            elif index == first and block is not None and block.file is not None:
                yield Stage(stage_name, block.file, left_out=f"replaced by {block.file}")
                data = block.file
            elif block is None:
                yield Stage(stage_name, output, left_out="skipped")
            else:
                yield self._data(stage_name, name, block, data, output, number)
                data = output
        self.earlier = entering
        if recipe.weigh is None:
            yield Stage(f"round-{number}/weigh", folder / "weights.json", left_out="skipped")
        else:
            options = {**self._weights(), **recipe.weigh.options}
            inputs = {"pairs": str(data)}
            yield self._own(f"round-{number}/weigh", "weigh", inputs, folder / "weights.json", options, to_stdout=True)
        if recipe.train is None:
            yield Stage(f"round-{number}/train", folder / "model", left_out="skipped")
        else:
            yield from self._trained(f"round-{number}/train", recipe.train, folder, data)

    def _data(self, stage: str, name: str, block: Block, data: Path, output: Path, number: int) -> Stage:
        first = {"sample": "problems", "verify": "pool", "score": "pool", "mine": "pool"}[name]
        inputs, options = {first: str(data)}, dict(block.options)
        if name in ("sample", "score"):
            inputs["model"] = self.model
            options = {**options, **self.rendering}
        if name in ("score", "mine"):
            options |= self.train_on
        if name == "sample":
            # Another round is to see other noise.
            options.setdefault("seed", self.recipe.seed + number - 1)
        if name == "mine":
            options.setdefault("seed", self.recipe.seed)
        if name == "score" and self.recipe.train is not None:
            training = self.recipe.train
            options = {**engine_of(training, "train").scoring(training.settings), **options}
        return self._own(stage, name, inputs, output, options, block)

    def _joined(self, number: int, data: Path, output: Path) -> Stage:
        if self.earlier is None:
            raise RecipeError(
                f"{self.recipe.path}: `earlier_pool: {self.recipe.earlier_pool}`: round {number - 1} has no pool to "
                "reuse, since a file of scored rows or pairs stands in. Leave it out, or give a pool by `sample.file`."
            )
        share, seed = self.recipe.earlier_pool, self.recipe.seed
        words = ["python", "-m", "trl_weighted_dpo.pipeline.reuse", str(data), "--earlier", str(self.earlier)]
        words += ["--share", str(share), "--seed", str(seed), "--output", str(output)]
        inputs = {"pool": str(data), "earlier": str(self.earlier)}
        return Stage(f"round-{number}/reuse", output, tuple(words), inputs, {"share": share, "seed": seed})

    def _weights(self) -> dict[str, Any]:
        """The weighting that training will use, as options of `weighted-dpo weigh`."""
        if self.recipe.train is None:
            return {}
        weighting = engine_of(self.recipe.train, "train").weighting(self.recipe.train.settings)
        names = [setting.key for setting in COMMANDS["weigh"].keys]
        return {name: weighting[name] for name in names if weighting.get(name) is not None}

    def _training_results(self) -> tuple[str, ...]:
        """Without a mining stage, Axolotl mines the pool itself."""
        return ("weighting",) if self.recipe.mine is not None else ("weighting", *_DECIDING["mine"])

    def _evaluation(self, block: Block, source: Source, models: Mapping[str, str]) -> Stage:
        output = self.folder / "evaluation"
        options = {"seed": self.recipe.seed, **block.options, **source.options, **self.rendering}
        stage = self._own("evaluate", "evaluation", {"problems": source.path}, output, options, block)
        words = [word for name, path in models.items() for word in ("--model", f"{name}={path}")]
        return replace(stage, command=(*stage.command, *words), inputs={**stage.inputs, **models})


@lru_cache(maxsize=1)
def _results() -> Mapping[str, str]:
    """Result versions of the package's stages, by what makes the result."""
    return {
        "sampling": SAMPLING_VERSION,
        "verifier": f"{VERIFIER_VERSION} ({digest(MathVerifier().identity)[:8]})",
        "scoring": SCORING_VERSION,
        "mining": MINING_VERSION,
        "weighting": FORMULA_VERSION,
    }


def _result_versions(names: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, str]:
    found = {name: _results()[name] for name in names}
    hardness = options.get("hardness")
    given = {**options, **(hardness if isinstance(hardness, Mapping) else {})}
    for option, kind in _PLUGINS.items():
        value = given.get(option)
        there = getattr(plugins, kind)() if value else {}
        for name in [value] if isinstance(value, str) else value or ():
            if name in there:
                found[f"{option} {name}"] = plugins.identity(kind, name)
    return found


def _deciding(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings without the folders of paths that are there, and these paths: they count by their content."""
    files: dict[str, str] = {}

    def plain(value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
        path = existing_file(value)
        # A word such as `train` is no path because there is a folder of that name.
        if path is None or (path.is_dir() and "/" not in value and not where.endswith(".path")):
            return value
        files[where] = str(path)
        return path.name

    return {key: plain(value, key) for key, value in settings.items()}, files
