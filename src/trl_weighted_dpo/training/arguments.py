"""Flags and YAML keys of `weighted-dpo train`: those of `trl dpo`, and ours."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from transformers import TrainingArguments
from trl import DatasetMixtureConfig, DPOConfig, ModelConfig, ScriptArguments, TrlParser

from trl_weighted_dpo.core.seam import last_checkpoint
from trl_weighted_dpo.core.sources import SUFFIXES, named_columns
from trl_weighted_dpo.settings import PairsConfig
from trl_weighted_dpo.settings.setting import read_settings
from trl_weighted_dpo.training.config import WeightedDPOConfig, WeightedTrainingConfig, declared

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_USAGE = """weighted-dpo train --config recipe.yaml [flags]
       weighted-dpo train --model_name_or_path MODEL --dataset_name pairs.parquet --output_dir FOLDER [flags]"""
_DESCRIPTION = (
    "Train with weighted DPO. Takes the flags of `trl dpo` and those below, on the command line or as keys of a YAML "
    "file (--config recipe.yaml; flags win), and passes the flags of `accelerate launch` on to it (--num_processes, "
    "--config_file, ...; --accelerate_config takes a file or one of trl's by name, such as zero2)."
)


@dataclass
class PairArguments(ScriptArguments):
    """Where pairs come from, and how they become text: TRL's `ScriptArguments` with the fields of
    [`~settings.PairsConfig`]; `eval_datasets` is in YAML also a mapping.

    Raises:
        `ValueError`: If a value is none of these.
    """

    eval_datasets: list[str] | None = declared(PairsConfig, "eval_datasets")
    render_pairs: Literal["auto", "always", "never"] = declared(PairsConfig, "render_pairs")
    prompt_template: str = declared(PairsConfig, "prompt_template")
    system_prompt: str | None = declared(PairsConfig, "system_prompt")
    # A command line has JSON, a YAML a mapping.
    chat_template_kwargs: dict[str, Any] | str | None = declared(PairsConfig, "chat_template_kwargs")
    train_on: Literal["all", "answer"] = declared(PairsConfig, "train_on")
    column: list[str] | None = declared(PairsConfig, "column")

    def __post_init__(self) -> None:
        rendering = ("render_pairs", "prompt_template", "system_prompt", "chat_template_kwargs", "train_on")
        read = read_settings(PairsConfig, {name: getattr(self, name) for name in rendering})
        self.chat_template_kwargs = read.chat_template_kwargs
        # Checks them.
        self.evaluation_paths, self.columns  # noqa: B018

    @property
    def evaluation_paths(self) -> dict[str, str]:
        """Where evaluation pairs come from, by name; one path that is given alone has the name `""`."""
        return _named(self.eval_datasets)

    @property
    def columns(self) -> dict[str, str]:
        """Our column → theirs."""
        return named_columns(self.column)


def _named(given: Any) -> dict[str, str]:
    if isinstance(given, dict):
        entries = [(str(name), path) for name, path in given.items()]
    else:
        entries = [_entry(text) for text in ([given] if isinstance(given, str) else given or [])]
    for name, path in entries:
        if not isinstance(path, str) or not path:
            raise ValueError(f"eval_datasets: {name or path!r} names no dataset but {path!r}. Give NAME=PATH.")
        if not name and len(entries) > 1:
            raise ValueError(f"eval_datasets: {path!r} has no name, but there are several. Give NAME={path}.")
        if name and not _NAME.fullmatch(name):
            raise ValueError(f"eval_datasets: {name!r} is no name. Use letters, digits, '_', '-' and '.'.")
    if len(dict(entries)) < len(entries):
        raise ValueError(f"eval_datasets: a name is given twice: {', '.join(name for name, _ in entries)}.")
    return dict(entries)


def _entry(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    return (name, path) if sign and _NAME.fullmatch(name) else ("", text)


class TrainParser(TrlParser):
    """TRL's parser for `weighted-dpo train`, whose errors are `ValueError`, with the flags in groups."""

    def __init__(self) -> None:
        dataclasses = (PairArguments, WeightedDPOConfig, ModelConfig, DatasetMixtureConfig)
        super().__init__(dataclasses, prog="weighted-dpo train", usage=_USAGE, description=_DESCRIPTION)
        training = set(TrainingArguments.__dataclass_fields__)
        weighting = set(WeightedTrainingConfig.__dataclass_fields__)
        self._group("Weights and reference", weighting)
        self._group("Pairs", {*PairArguments.__dataclass_fields__, *DatasetMixtureConfig.__dataclass_fields__})
        self._group("DPO (trl's DPOConfig)", set(DPOConfig.__dataclass_fields__) - training)
        self._group("Model, adapter, quantization (trl's ModelConfig)", set(ModelConfig.__dataclass_fields__))
        self._group("Training (transformers' TrainingArguments)", training)

    def _group(self, title: str, names: set[str]) -> None:
        # argparse cannot regroup: TRL's parser knows one group for each dataclass, and ours has fields of three.
        group = self.add_argument_group(title)
        group._group_actions += [action for action in self._optionals._group_actions if action.dest in names]
        self._optionals._group_actions = [
            action for action in self._optionals._group_actions if action.dest not in names
        ]

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}. See weighted-dpo train --help.")

    def parse(self, arguments: Iterable[str]) -> tuple[Any, ...]:
        """Parse a command line and the YAML that it names.

        Returns:
            The four dataclasses, and what is left: of the YAML, and of the command line, in its order.

        Raises:
            `ValueError`: If a value is wrong, or the YAML is not there or none.
        """
        arguments = list(arguments)
        if "--config" in arguments:
            _check_yaml(arguments[arguments.index("--config") + 1 :])
        return tuple(
            self.parse_args_and_config(arguments, return_remaining_strings=True, separate_remaining_strings=True)
        )


def _check_yaml(after: list[str]) -> None:
    if not after:
        raise ValueError("--config needs the path of a YAML file.")
    if not Path(after[0]).is_file():
        raise ValueError(f"{after[0]}: there is no such file, as seen from {Path.cwd()}.")
    try:
        content = yaml.safe_load(Path(after[0]).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{after[0]}: this is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{after[0]}: give a YAML mapping of flags, without their '--', to values.")


def check(pairs: PairArguments, args: WeightedDPOConfig, model: ModelConfig, mixture: DatasetMixtureConfig) -> None:
    """Refuse what cannot work, before a model or data is loaded. `resume_from_checkpoint` becomes a folder or `None`.

    Raises:
        `ValueError`: Says what to do instead.
    """
    if not model.model_name_or_path:
        raise ValueError("No model is given: --model_name_or_path FOLDER, or a model of the hub by name.")
    # transformers would put the adapter into the layers of its base, where nothing tells the reference apart.
    if (Path(model.model_name_or_path) / "adapter_config.json").is_file():
        raise ValueError(
            f"{model.model_name_or_path}: this is an adapter. Merge it into its base model, and train that."
        )
    if bool(pairs.dataset_name) == bool(mixture.datasets):
        what = "Both dataset_name and datasets are given" if mixture.datasets else "No pairs are given"
        raise ValueError(f"{what}: give --dataset_name pairs.jsonl, or `datasets:` in the YAML.")
    if pairs.eval_datasets and mixture.test_split_size is not None:
        raise ValueError("Both eval_datasets and test_split_size are given. Leave out one of them.")
    if args.eval_strategy == "no" and (pairs.eval_datasets or mixture.test_split_size is not None):
        raise ValueError("There are pairs to evaluate on, but eval_strategy is 'no'. Set it to 'steps' or 'epoch'.")
    for name in given_paths(pairs, mixture):
        _check_path(name)
    args.resume_from_checkpoint = _checkpoint(args.resume_from_checkpoint, args.output_dir)


def given_paths(pairs: PairArguments, mixture: DatasetMixtureConfig) -> list[str]:
    """Where pairs come from: files, folders or names of the hub."""
    names = [pairs.dataset_name, *(part.path for part in mixture.datasets), *pairs.evaluation_paths.values()]
    return [name for name in names if name]


def _check_path(name: str) -> None:
    path = Path(name)
    is_named_so = path.name.removesuffix(".gz").endswith(SUFFIXES)
    looks_local = is_named_so or path.is_absolute() or name.startswith(".")
    if looks_local and not path.exists():
        raise ValueError(f"{name}: there is no such file or folder, as seen from {Path.cwd()}.")
    if path.is_file() and not is_named_so:
        kinds = ", *".join(SUFFIXES)
        raise ValueError(f"{name}: pairs are read from *{kinds}, each also with .gz, as the suffix says.")


def _checkpoint(given: str | bool | None, output_dir: str) -> str | None:
    """Folder of the checkpoint to resume from, of which `True` is the last one in the output folder."""
    if given is None or str(given).lower() in ("false", "none"):
        return None
    if str(given).lower() != "true":
        if not Path(str(given)).is_dir():
            raise ValueError(f"resume_from_checkpoint: there is no folder {given}.")
        return str(given)
    last = last_checkpoint(output_dir) if Path(output_dir).is_dir() else None
    if last is None:
        raise ValueError(f"resume_from_checkpoint: there is no checkpoint in {output_dir}.")
    return last
