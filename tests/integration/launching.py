"""Starts scripts of several processes on a CPU, by torchrun or by `accelerate launch` with a recipe."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import REPOSITORY

ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(REPOSITORY), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "", "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1",
    # Else accelerate's device is `cpu:0`, which torch cannot load an optimizer's state to.
    "ACCELERATE_TORCH_DEVICE": "cpu",
    # Axolotl calls its launchers by name.
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}  # fmt: skip


def recipe(name: str) -> Path:
    return REPOSITORY / "recipes" / name


def launch(script: str, *arguments: Any, processes: int = 2, config: Path | None = None) -> None:
    """Run a script of this folder; `config` is what `accelerate launch` reads, without it torchrun starts it."""
    if config is None:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    else:
        # Port 0: the default one may be taken. (`--cpu` would start one process, whatever the number.)
        launcher = ["-m", "accelerate.commands.launch", "--config_file", str(config), "--main_process_port", "0"]
        launcher += ["--num_processes", str(processes)]
    path = REPOSITORY / "tests" / "integration" / script
    command = [sys.executable, *launcher, str(path), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def kill_when_begun(command: list[str], journals: list[Path], lines: int) -> None:
    """Start a command of several processes, and kill all of them once each journal has more lines than these."""
    process = psutil.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def has_begun(journal: Path) -> bool:
        return journal.is_file() and journal.read_bytes().count(b"\n") > lines

    while process.is_running() and process.poll() is None and not all(map(has_begun, journals)):
        time.sleep(0.005)
    for one in [*process.children(recursive=True), process]:
        os.kill(one.pid, signal.SIGKILL)
    process.wait()


def history(folder: Path, processes: int = 2) -> Any:
    """What the worker's ranks logged; all must have logged the same."""
    first, *others = (json.loads((folder / f"history-{rank}.json").read_text()) for rank in range(processes))
    assert all(other == first for other in others)
    return first
