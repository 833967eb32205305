"""An evaluation in a folder: pools with their profiles, `evaluation.json`, `problems.jsonl`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import write_jsonl, write_whole
from trl_weighted_dpo.core.identity import CONTENTS
from trl_weighted_dpo.core.pools import PoolFile
from trl_weighted_dpo.evaluation.evaluating import Evaluation
from trl_weighted_dpo.evaluation.measures import GREEDY, SAMPLES, Model
from trl_weighted_dpo.evaluation.pools import Answered, read_answered
from trl_weighted_dpo.settings.evaluation import EvaluationConfig

REPORT = "evaluation.json"
PROBLEMS = "problems.jsonl"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class ModelFiles:
    """The pools of a model.

    Args:
        name (`str`): Its name: letters, digits and `._+-`, as files are named after it.
        greedy (`Path`, *optional*), samples (`Path`, *optional*): Its pools; at least one of them.

    Raises:
        `ValueError`: If the name is another one.
    """

    name: str
    greedy: Path | None = None
    samples: Path | None = None

    def __post_init__(self) -> None:
        check_name(self.name)


def check_name(name: str) -> None:
    """Check the name of a model, which files are named after.

    Raises:
        `ValueError`: If it has other characters than letters, digits and `._+-`, or does not begin with the first two.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be the name of a model, as files are named after it: use letters, digits and ._+-, "
            "with a letter or digit first."
        )


def evaluate_files(
    folder: Path,
    models: Sequence[ModelFiles],
    config: EvaluationConfig | None = None,
    workers: int = 1,
    opened: Mapping[Path, PoolFile] | None = None,
) -> dict[str, Any]:
    """Evaluate models from their pools, and write `evaluation.json` and `problems.jsonl` into a folder.

    Candidates without profiles are verified, and the profiles kept in `NAME.greedy.profiles` and
    `NAME.samples.profiles`, from which a run that was stopped goes on.

    Args:
        folder (`Path`): Made if need be.
        models (`Sequence[ModelFiles]`): The first is the baseline.
        config ([`~settings.EvaluationConfig`], *optional*): How they are compared.
        workers (`int`, *optional*, defaults to `1`): Processes to verify in.
        opened (`Mapping[Path, PoolFile]`, *optional*): Pools with columns of other names, by their paths.

    Returns:
        The report, as it is written.

    Raises:
        [`~core.checks.SchemaError`]: If a row is not what it should be.
        `ValueError`: If the models cannot be compared (see [`~evaluation.evaluating.Evaluation`]).
    """
    folder.mkdir(parents=True, exist_ok=True)

    def answered(model: ModelFiles, kind: str, pool: Path | None) -> Answered | None:
        if pool is None:
            return None
        rows = opened[pool] if opened is not None and pool in opened else PoolFile(pool)
        return read_answered(rows, folder / f"{model.name}.{kind}.profiles", workers)

    answers = [
        Model(model.name, answered(model, GREEDY, model.greedy), answered(model, SAMPLES, model.samples))
        for model in models
    ]
    evaluation = Evaluation(answers, config or EvaluationConfig())
    report = {**evaluation.report(), "files": _digests(models)}
    write_jsonl(folder / PROBLEMS, evaluation.problem_rows())
    write_whole(folder / REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n")
    return report


def _digests(models: Sequence[ModelFiles]) -> Mapping[str, str]:
    """SHA-256 of each pool that is a file."""
    paths = [path for model in models for path in (model.greedy, model.samples) if path is not None]
    return {str(path): CONTENTS.file(path) for path in paths if path.is_file()}
