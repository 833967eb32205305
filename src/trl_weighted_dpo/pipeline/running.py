"""Runs the stages that are not up to date, each as a separate process."""

import difflib
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trl_weighted_dpo.core.files import write_whole
from trl_weighted_dpo.core.identity import Contents, digest
from trl_weighted_dpo.pipeline.manifest import (
    Manifest,
    reasons_to_run,
    row_count,
    shell_line,
    versions,
)
from trl_weighted_dpo.pipeline.processes import alone, environment, execute, signals
from trl_weighted_dpo.pipeline.recipe import Recipe
from trl_weighted_dpo.pipeline.stages import Stage, plan_stages


class StageError(Exception):
    """A stage that failed. The message says which, and what to do."""


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Args:
        stage ([`~pipeline.stages.Stage`]): The stage.
        state (`str`): `"done"`, `"up to date"`, `"not asked for"`, `"to do"`, or why it is left out.
        rows (`int` or `None`): Rows of its output, if it is a file of rows.
        seconds (`float` or `None`): How long it took when it was run.
    """

    stage: Stage
    state: str
    rows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Selection:
    """Which stages are run: `only` one kind, or those `first` to `last`; a name is `"score"` or `"round-2/score"`."""

    only: str | None = None
    first: str | None = None
    last: str | None = None

    def of(self, stages: Sequence[Stage]) -> list[bool]:
        """Whether each stage is asked for.

        Raises:
            `ValueError`: If there is no such stage, or it is left out.
        """
        if self.only is not None:
            if self.first or self.last:
                raise ValueError("--only goes without --from and --until.")
            there = self._places("--only", self.only, stages)
            return [place in there for place in range(len(stages))]
        first = self._places("--from", self.first, stages)[0] if self.first else 0
        last = self._places("--until", self.last, stages)[-1] if self.last else len(stages) - 1
        if first > last:
            raise ValueError(f"--from {self.first} comes after --until {self.last}, so there is nothing to run.")
        return [first <= place <= last for place in range(len(stages))]

    def _places(self, option: str, name: str, stages: Sequence[Stage]) -> list[int]:
        found = [place for place, stage in enumerate(stages) if name in (stage.name, stage.kind)]
        runnable = [place for place in found if not stages[place].left_out]
        if not found:
            names = list(dict.fromkeys(stage.kind for stage in stages))
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names)}."
            raise ValueError(f"{option} {name}: there is no such stage. {hint}")
        if not runnable:
            raise ValueError(f"{option} {name}: the recipe leaves it out ({stages[found[0]].left_out}).")
        return runnable


def run_recipe(recipe: Recipe, selection: Selection, say: Any, dry_run: bool = False) -> list[Outcome]:
    """Run the stages of a recipe that are not up to date.

    Args:
        recipe ([`~pipeline.recipe.Recipe`]): What is to be run.
        selection ([`Selection`]): Which of its stages.
        say (`Callable[[str], None]`): Takes the lines that tell what goes on.
        dry_run (`bool`, *optional*, defaults to `False`): Whether only to say what would be run.

    Returns:
        `list[Outcome]`: One for each stage.

    Raises:
        [`StageError`]: If a stage fails, or what it reads is not there.
        `ValueError`: If the selection or an engine's YAML is wrong.
        [`~pipeline.processes.Stopped`]: If a signal ends the run; the processes that it started have ended then.
    """
    stages = plan_stages(recipe)
    chosen = selection.of(stages)
    if dry_run:
        return _Runner(recipe, stages, say, None).plan(chosen)
    recipe.output_dir.mkdir(parents=True, exist_ok=True)
    with alone(recipe.output_dir) as lock, signals():
        runner = _Runner(recipe, stages, say, lock)
        runner.check(chosen)
        return runner.run(chosen)


class _Runner:
    def __init__(self, recipe: Recipe, stages: list[Stage], say: Any, lock: int | None) -> None:
        self.folder, self.stages, self.say, self.lock = recipe.output_dir, stages, say, lock
        self.contents = Contents(self.folder / "logs" / "contents.json", is_kept=lock is not None)
        self.versions = versions()
        self.to_run = [stage for stage in stages if not stage.left_out]

    def path(self, stage: Stage, end: str) -> Path:
        return self.folder / f"{stage.name}.{end}"

    def log(self, stage: Stage) -> Path:
        return self.folder / "logs" / f"{stage.name.replace('/', '-')}.log"

    def reasons(self, stage: Stage, inputs: dict[str, str]) -> list[str]:
        manifest = Manifest.read(self.path(stage, "manifest.json"))
        output = None if manifest is None else self.contents.identity(stage.output)
        return reasons_to_run(manifest, stage.settings, inputs, output, stage.result_versions)

    def plan(self, chosen: list[bool]) -> list[Outcome]:
        """What would be run. A stage that reads what another is yet to make is to be run, too."""
        outcomes, stale = [], set[Path]()
        for stage, is_chosen in zip(self.stages, chosen, strict=True):
            if stage.left_out or not is_chosen:
                outcomes.append(Outcome(stage, stage.left_out or "not asked for"))
                continue
            waits = [name for name, place in stage.inputs.items() if Path(place) in stale]
            reasons = [f"{name} is yet to be made" for name in waits] or self.reasons(stage, self._inputs(stage, True))
            if reasons:
                stale.add(stage.output)
                self.say(f"{stage.name}: {'; '.join(reasons)}\n  {_line(stage, stage.command)}")
            outcomes.append(Outcome(stage, "to do" if reasons else "up to date"))
        return outcomes

    def run(self, chosen: list[bool]) -> list[Outcome]:
        outcomes = []
        for stage, is_chosen in zip(self.stages, chosen, strict=True):
            if stage.left_out or not is_chosen:
                outcomes.append(Outcome(stage, stage.left_out or "not asked for", _rows(stage)))
                continue
            inputs = self._inputs(stage)
            reasons = self.reasons(stage, inputs)
            if reasons:
                outcomes.append(self._run(stage, inputs, reasons))
            else:
                outcomes.append(self._kept(stage))
        return outcomes

    def check(self, chosen: list[bool]) -> None:
        """Let engines read their YAMLs before hours of sampling; what was right once is not checked again."""
        memory = self.folder / "logs" / "checked.json"
        known: list[str] = json.loads(memory.read_text()) if memory.is_file() else []
        for stage, is_chosen in zip(self.stages, chosen, strict=True):
            if stage.engine is None or not is_chosen:
                continue
            # Rounds differ in paths only. Versions count here: they decide what an engine accepts.
            key = digest([stage.kind, dict(stage.settings), self.versions])
            if key in known:
                continue
            # Not where the stage reads it: there may be the YAML of a finished run.
            config_file = self.folder / "logs" / f"{stage.name.replace('/', '-')}.yaml"
            _write_config(stage, config_file)
            self.say(f"Checking the settings of {stage.name}: {config_file}")
            done = subprocess.run(
                stage.engine.check_command(config_file), env=environment(), capture_output=True, text=True
            )
            if done.returncode:
                lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
                said = next((line for line in reversed(lines) if line.startswith("Error: ")), None)
                reason = said.removeprefix("Error: ") if said else "\n".join(lines[-12:])
                raise ValueError(f"`{stage.kind}`, as in {config_file}: {reason}")
            known.append(key)
            write_whole(memory, json.dumps(known))

    def _inputs(self, stage: Stage, may_lack: bool = False) -> dict[str, str]:
        found = {}
        for name, place in stage.inputs.items():
            identity = self.contents.identity(place)
            if identity is None:
                is_ours = Path(place).is_relative_to(self.folder)
                if is_ours and not may_lack:
                    raise StageError(
                        f"{stage.name} reads {place}, which is not there. Run the stages before it too (without --only "
                        "and --from)."
                    )
                identity = f"name:{place}"
            found[name] = identity
        return found

    def _kept(self, stage: Stage) -> Outcome:
        manifest = Manifest.read(self.path(stage, "manifest.json"))
        assert manifest is not None
        other = [
            f"{name} {manifest.versions.get(name)} (now {version})"
            for name, version in self.versions.items()
            if manifest.versions.get(name) != version
        ]
        note = f"; made with {', '.join(other)}" if other else ""
        self.say(f"{self._head(stage)}: up to date{note}")
        return Outcome(stage, "up to date", manifest.rows, manifest.seconds)

    def _head(self, stage: Stage) -> str:
        return f"[{self.to_run.index(stage) + 1}/{len(self.to_run)}] {stage.name}"

    def _run(self, stage: Stage, inputs: dict[str, str], reasons: list[str]) -> Outcome:
        started_file = self.path(stage, "started.json")
        key = digest([stage.settings, inputs, stage.result_versions])
        added: list[str] = []
        if stage.engine is not None:
            checkpoint = self._prepare(stage, started_file, key)
            if checkpoint is not None:
                added = stage.engine.resuming(checkpoint)
                reasons = [f"{reasons[0]}; goes on from {checkpoint.name}"]
        write_whole(started_file, json.dumps({"key": key}) + "\n")
        self.path(stage, "manifest.json").unlink(missing_ok=True)
        if stage.config_file is not None:
            _write_config(stage, stage.config_file)
        command = (*stage.command, *added)
        self.say(f"{self._head(stage)} → {stage.output} ({'; '.join(reasons)})\n  {_line(stage, command)}")
        stage.output.parent.mkdir(parents=True, exist_ok=True)
        begun, clock = _now(), time.perf_counter()
        code = execute(command, self.log(stage), stage.output if stage.to_stdout else None, self.lock)
        seconds = time.perf_counter() - clock
        if code:
            raise StageError(
                f"{stage.name} failed (exit code {code}); what it said is in {self.log(stage)}. Run again to go on "
                "from where it stopped."
            )
        output = self.contents.identity(stage.output)
        if output is None:
            raise StageError(f"{stage.name} ended well, but left no {stage.output}; see {self.log(stage)}.")
        rows = row_count(stage.output)
        line, ended = _line(stage, command), _now()
        manifest = Manifest(
            stage.name, line, dict(stage.settings), inputs, output, rows, self.versions, begun, ended,
            round(seconds, 3), dict(stage.result_versions),
        )  # fmt: skip
        manifest.write(self.path(stage, "manifest.json"))
        started_file.unlink()
        return Outcome(stage, "done", rows, seconds)

    def _prepare(self, stage: Stage, started_file: Path, key: str) -> Path | None:
        """The checkpoint to go on from. What training with other settings or data has left is removed: an engine would
        go on from it, whatever it was made of."""
        folder = stage.output
        if not folder.is_dir() or not any(folder.iterdir()):
            return None
        begun = json.loads(started_file.read_text()) if started_file.is_file() else None
        if begun is None and not self.path(stage, "manifest.json").is_file():
            raise StageError(f"{folder}: there is something that this pipeline has not made. Move it, or remove it.")
        if begun is None or begun.get("key") != key:
            shutil.rmtree(folder)
            return None
        whole = []
        for checkpoint in folder.glob("checkpoint-*"):
            if _is_whole(checkpoint):
                whole.append(checkpoint)
            else:
                shutil.rmtree(checkpoint)
        return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _write_config(stage: Stage, path: Path) -> None:
    import yaml

    write_whole(path, yaml.safe_dump(dict(stage.config or {}), sort_keys=False, allow_unicode=True))


def _is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: the trainer's state comes last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return True


def _line(stage: Stage, command: Sequence[str]) -> str:
    return shell_line(command, stage.output if stage.to_stdout else None)


def _rows(stage: Stage) -> int | None:
    return row_count(stage.output) if stage.left_out.startswith("replaced") else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
