"""Callbacks of the trainer: the record beside a model, and signs of training that goes wrong."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.training.health import HEALTH_FILE, STOPPING, Finding, Log, RunContext, diagnose
from trl_weighted_dpo.training.objective import Objective
from trl_weighted_dpo.training.record import write_record

logger = logging.getLogger(__name__)


class RecordCallback(TrainerCallback):
    """Writes the record into the output directory when training ends, whoever then saves the model there."""

    def __init__(self, make_record: Callable[[], dict[str, Any]]) -> None:
        self.make_record = make_record

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.should_save:
            write_record(args.output_dir, self.make_record())


class PreferenceHealthCallback(TrainerCallback):
    """Looks at every log of training for the signs in [`~training.health`], says once of each what was seen, why it
    matters and what to change, and writes `health.json` into the output directory, when something is found and when
    training ends.

    It sees what is logged, which is the same on all processes; the first one speaks and writes. After a resume it takes
    what was seen before from the log history.

    Args:
        objective ([`~training.objective.Objective`]): What is trained on.
        weighting (`Mapping[str, Any]`, *optional*): As in `weighted_dpo.json`.
        early_stop (`bool`, *optional*, defaults to `False`): Whether the signs in [`~training.health.STOPPING`] stop
            training.
    """

    def __init__(
        self, objective: Objective, weighting: Mapping[str, Any] | None = None, early_stop: bool = False
    ) -> None:
        self.objective, self.weighting, self.early_stop = objective, weighting, early_stop
        self.findings: list[Finding] = []
        self._logs: list[Log] = []
        self._stopped = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.findings, self._logs, self._stopped = [], [], False
        for log in state.log_history:
            self._look(log, args)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        new = self._look({**(logs or {}), "step": state.global_step}, args)
        if not new:
            return
        if self.early_stop and any(finding.signature in STOPPING for finding in new):
            control.should_training_stop = self._stopped = True
        if state.is_world_process_zero:
            for finding in new:
                stops = self._stopped and finding.signature in STOPPING
                logger.warning("%s%s", finding.sentence, " Training stops here (health_early_stop)." if stops else "")
            self._write(args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._write(args, state)

    def _look(self, log: Log, args: Any) -> list[Finding]:
        # Logs of evaluation, and the summary when training ends, have no `loss`.
        if "loss" not in log:
            return []
        self._logs.append(log)
        pairs = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        context = RunContext(self.objective, self.weighting, pairs, args.fp16)
        new = diagnose(self._logs, context, [finding.signature for finding in self.findings])
        self.findings += new
        return new

    def _write(self, args: Any, state: Any) -> None:
        path = Path(args.output_dir) / HEALTH_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "version": __version__,
            "step": state.global_step,
            "logs": len(self._logs),
            "stopped_early": self._stopped,
            "findings": [asdict(finding) for finding in self.findings],
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
