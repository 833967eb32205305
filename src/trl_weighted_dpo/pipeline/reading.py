"""The YAML of `weighted-dpo run` → [`~pipeline.recipe.Recipe`], checked before anything is run.

Relative paths are seen from the working directory, as in Axolotl's YAML.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import SUFFIXES
from trl_weighted_dpo.core.printing import cut
from trl_weighted_dpo.pipeline.options import COMMANDS, RENDERING, TRAIN_ON, Command
from trl_weighted_dpo.pipeline.recipe import (
    DATA_STAGES,
    ENGINES,
    FORMATS,
    Block,
    Recipe,
    RecipeError,
    Source,
    Training,
    has_own_data,
    recipe_block,
)
from trl_weighted_dpo.settings import RenderingConfig, setting_of

_TOP = (
    "output_dir", "seed", "model", "format", *RENDERING, "train_on", "problems", "evaluation", "sft", *DATA_STAGES,
    "weigh", "train", "rounds", "earlier_pool",
)  # fmt: skip
_LAUNCHED = ("sample", "score", "evaluation")


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        [`~pipeline.recipe.RecipeError`]: If it is no YAML, a key is unknown, a value is not what the key takes, a file
            is missing, or stages do not follow from one another.
    """
    return _Reader(path).read()


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML that is a mapping.

    Raises:
        [`~pipeline.recipe.RecipeError`]: If it is not there or none.
    """
    import yaml

    if not path.is_file():
        raise RecipeError(f"{path}: there is no such file, as seen from {Path.cwd()}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: this is no YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: give a YAML mapping of keys to values; there is {content!r:.80}.")
    return {str(key): value for key, value in content.items()}


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Recipe:
        content = read_yaml(self.path)
        self._known("", content, _TOP)
        problems = self._source("problems", content.get("problems"))
        evaluation = self._mapping("evaluation", content)
        evaluation_problems = None
        if evaluation is not None:
            given = evaluation.pop("problems", None)
            evaluation_problems = self._source("evaluation.problems", given)
            if evaluation_problems is None:
                raise self._error("evaluation.problems", given, "Give what models are compared on, as `path: FILE`.")
        recipe = Recipe(
            path=self.path,
            output_dir=Path(self._text("output_dir", content, "Give the folder that everything is written to.")),
            model=self._model(content),
            seed=self._number("seed", content, Recipe.seed, int, 0),
            format=self._choice("format", content.get("format", Recipe.format), FORMATS),
            prompt_template=self._optional("prompt_template", content),
            system_prompt=self._optional("system_prompt", content),
            chat_template_kwargs=self._variables("chat_template_kwargs", content.get("chat_template_kwargs")),
            train_on=None
            if content.get("train_on") is None
            else self._choice("train_on", content["train_on"], TRAIN_ON.choices),
            problems=problems,
            evaluation_problems=evaluation_problems,
            evaluation=None if evaluation is None else self._block("evaluation", evaluation),
            sft=self._training("sft", content),
            sample=self._own("sample", content),
            verify=self._own("verify", content),
            score=self._own("score", content),
            mine=self._own("mine", content),
            weigh=self._own("weigh", content),
            train=self._training("train", content),
            rounds=self._number("rounds", content, Recipe.rounds, int, 1),
            earlier_pool=self._number("earlier_pool", content, Recipe.earlier_pool, float, 0.0, 1.0),
        )
        self._check_order(recipe)
        return recipe

    # Values

    def _error(self, key: str, value: object, what: str) -> RecipeError:
        shown = "null" if value is None else repr(value)
        return RecipeError(f"{self.path}: `{key}: {cut(shown)}`. {what}")

    def _known(self, where: str, content: Mapping[str, Any], known: Iterable[str]) -> None:
        known = list(known)
        for key, value in content.items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(known)}."
                raise self._error(f"{where}{key}", value, f"There is no such key. {hint}")

    def _mapping(self, key: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """A block's content; `None` if it is left out or skipped."""
        if key not in content:
            return None
        value = content[key] if content[key] is not None else {}
        if not isinstance(value, dict):
            raise self._error(key, value, "Give a mapping of keys to values; `{}` takes all defaults.")
        value = {str(name): item for name, item in value.items()}
        skip = value.pop("skip", False)
        if not isinstance(skip, bool):
            raise self._error(f"{key}.skip", skip, "Give true or false.")
        return None if skip else value

    def _text(self, key: str, content: Mapping[str, Any], hint: str) -> str:
        value = content.get(key.rsplit(".", 1)[-1])
        if not isinstance(value, str) or not value.strip():
            raise self._error(key, value, hint)
        return value

    def _optional(self, key: str, content: Mapping[str, Any]) -> str | None:
        return None if content.get(key) is None else self._text(key, content, "Give a text, or leave it out.")

    def _variables(self, key: str, value: object) -> Mapping[str, Any] | None:
        try:
            return setting_of(RenderingConfig, "chat_template_kwargs").read(value) or None
        except ValueError as error:
            raise self._error(key, value, str(error)) from error

    def _choice(self, key: str, value: object, choices: tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in choices:
            raise self._error(key, value, f"Give {' or '.join(choices)}.")
        return value

    def _number(
        self, key: str, content: Mapping[str, Any], default: Any, kind: type, least: float, most: float | None = None
    ) -> Any:
        value = content.get(key, default)
        is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not is_number or value < least or (most is not None and value > most):
            span = f"of at least {least}" if most is None else f"in [{least}, {most}]"
            raise self._error(key, value, f"Give a {'whole number' if kind is int else 'number'} {span}.")
        return kind(value)

    def _model(self, content: Mapping[str, Any]) -> str:
        model = self._text("model", content, "Give the model to start from: a folder, or a name on the hub.")
        self._check_place("model", model)
        if (Path(model) / "adapter_config.json").is_file():
            raise self._error("model", model, "This is an adapter. Merge it into its base, and give that.")
        return model

    def _check_place(self, key: str, value: str) -> None:
        """Refuse a path that is not there; what has the form `owner/name` may be on the hub."""
        is_path = (
            value.startswith((".", "/", "~")) or value.count("/") != 1 or Path(value).suffix in (*SUFFIXES, ".csv")
        )
        if is_path and not Path(value).exists():
            where = f"There is no such file or folder, as seen from {Path.cwd()}"
            raise self._error(key, value, f"{where}. (A name on the hub is OWNER/NAME.)")

    def _file(self, key: str, value: object) -> Path:
        if not isinstance(value, str) or not Path(value).is_file():
            raise self._error(key, value, f"There is no such file, as seen from {Path.cwd()}.")
        return Path(value)

    # Blocks

    def _source(self, key: str, value: object) -> Source | None:
        if value is None:
            return None
        content = {"path": value} if isinstance(value, str) else value
        if not isinstance(content, dict):
            raise self._error(key, value, "Give a path, or a mapping with `path`.")
        options = {str(name): item for name, item in content.items() if name != "path"}
        path = self._text(f"{key}.path", content, "Give a file, a folder, or a name on the hub.")
        self._check_place(f"{key}.path", path)
        self._options(key, COMMANDS["problems"], options, ("path",))
        return Source(path, options)

    def _options(self, key: str, command: Command, given: Mapping[str, Any], more: tuple[str, ...]) -> None:
        for name, value in given.items():
            if command.is_filled_in(name):
                raise self._error(f"{key}.{name}", value, "The pipeline fills this in from the rest of the recipe.")
        self._known(f"{key}.", given, (*more, *(setting.key for setting in command.keys)))
        for name, value in given.items():
            if value is not None and name not in more:
                try:
                    command.check(name, value)
                except ValueError as error:
                    raise self._error(f"{key}.{name}", value, str(error)) from error

    def _own(self, key: str, content: Mapping[str, Any]) -> Block | None:
        given = self._mapping(key, content)
        return None if given is None else self._block(key, given)

    def _block(self, key: str, given: dict[str, Any]) -> Block:
        more = ("skip",) + (("launch",) if key in _LAUNCHED else ()) + (("file",) if key in DATA_STAGES else ())
        file, launch = (given.pop(name, None) if name in more else None for name in ("file", "launch"))
        if launch is not None and not isinstance(launch, str):
            raise self._error(f"{key}.launch", launch, "Give a text, such as `accelerate launch --num_processes 4`.")
        self._options(key, COMMANDS[key], given, more)
        if file is not None:
            path = self._file(f"{key}.file", file)
            if path.suffix not in SUFFIXES:
                raise self._error(f"{key}.file", file, f"Rows are read from *{' or *'.join(SUFFIXES)}.")
            return Block(given, path, launch)
        return Block(given, None, launch)

    def _training(self, key: str, content: Mapping[str, Any]) -> Training | None:
        given = self._mapping(key, content)
        if given is None:
            return None
        self._known(f"{key}.", given, ("engine", "recipe", "settings", "launch", "skip"))
        engine = self._choice(f"{key}.engine", given.get("engine"), ENGINES)
        launch, settings = given.get("launch"), given.get("settings") or {}
        if launch is not None and not isinstance(launch, str):
            raise self._error(f"{key}.launch", launch, "Give a text, such as `accelerate launch --num_processes 4`.")
        if not isinstance(settings, dict):
            raise self._error(f"{key}.settings", settings, "Give a mapping of the engine's own keys to values.")
        recipe = None if given.get("recipe") is None else self._file(f"{key}.recipe", given["recipe"])
        base = {} if recipe is None else read_yaml(recipe)
        return Training(engine, recipe, _merged(base, settings), launch)

    def _check_rendering(self, recipe: Recipe, train: Training) -> None:
        """Refuse prompts in training that are not those of sampling."""
        own = train.settings
        if train.engine == "axolotl":
            own = {"chat_template_kwargs": own.get("chat_template_kwargs"), **(own.get("weighted_dpo") or {})}
        for name in sorted((*RENDERING, "train_on")):
            given, here = own.get(name), getattr(recipe, name)
            why = "pairs are mined" if name == "train_on" else "solutions are sampled"
            if name == "chat_template_kwargs":
                given = self._variables(f"train.{name}", given)
            if given is not None and given != here:
                raise RecipeError(
                    f"{self.path}: `train`: its {name} is {given!r}, but that of the recipe is {here!r}, by which "
                    f"{why}. Set `{name}` in the recipe, and there alone."
                )

    def _check_order(self, recipe: Recipe) -> None:
        """Refuse stages that nothing leads to."""
        there = [name for name in DATA_STAGES if getattr(recipe, name) is not None]
        files = [name for name in there if getattr(recipe, name).file is not None]
        if there and not files and "sample" not in there:
            what = f"`{there[0]}` has no pool: add `sample:`, or a pool by `sample: {{file: pool.jsonl}}`"
            raise RecipeError(f"{self.path}: {what}.")
        if recipe.sample is not None and (not files or recipe.rounds > 1) and recipe.problems is None:
            raise RecipeError(f"{self.path}: `sample` has no problems: add `problems: {{path: FILE}}`.")
        if recipe.sft is not None and recipe.problems is None and not has_own_data(recipe.sft):
            raise RecipeError(
                f"{self.path}: `sft` has nothing to learn from: add `problems:`, or name data in its settings."
            )
        if recipe.train is not None and not there:
            raise RecipeError(
                f"{self.path}: `train` has no pairs: add `sample:` and `mine:`, or `mine: {{file: ...}}`."
            )
        if recipe.train is not None and recipe.mine is None and recipe.train.engine == "trl":
            raise RecipeError(
                f"{self.path}: `train` with `engine: trl` takes pairs: add `mine:`. (Axolotl mines by itself.)"
            )
        if recipe.train is not None:
            self._check_rendering(recipe, recipe.train)
        if recipe.weigh is not None and recipe.mine is None:
            raise RecipeError(f"{self.path}: `weigh` has no pairs: add `mine:`.")
        if recipe.rounds > 1 and (recipe.train is None or recipe.sample is None):
            raise RecipeError(
                f"{self.path}: `rounds: {recipe.rounds}`: a later round samples from the model that the one before has "
                "trained: add `sample:` and `train:`."
            )
        if recipe.earlier_pool and recipe.rounds == 1:
            raise RecipeError(
                f"{self.path}: `earlier_pool: {recipe.earlier_pool}` is for later rounds: set `rounds`, or leave it "
                "out."
            )
        if recipe.rounds == 1 and files:
            unused = [n for n in DATA_STAGES[: DATA_STAGES.index(files[-1]) + 1] if n in there]
            for name in unused:
                if name != files[-1] or recipe_block(recipe, name).options:
                    raise RecipeError(
                        f"{self.path}: `{name}`: its options have no effect, since `{files[-1]}.file` stands in. Leave "
                        "them out."
                    )
        if not there and recipe.sft is None and recipe.evaluation is None:
            raise RecipeError(f"{self.path}: there is no stage to run: add `sample:`, `train:` or others.")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with changes in it, key by key in nested mappings."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[str(key)] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
