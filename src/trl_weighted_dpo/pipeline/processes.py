"""Runs the process of a stage: passes its output through, and ends it with the run."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from trl_weighted_dpo.pipeline.manifest import shell_line

_GRACE_SECONDS = 10.0
"""How long processes that are told to end may take before they are killed."""


_ENDING_SECONDS = 10.0
"""How long a run waits for another one's processes: those that were killed take a while to be gone."""


class Stopped(BaseException):
    """A signal that ends the run.

    Args:
        number (`int`): Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def environment() -> dict[str, str]:
    """That of the process, with the programs of this Python first; what is printed comes through at once."""
    variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if sys.stdout.isatty():
        variables.setdefault("COLUMNS", str(shutil.get_terminal_size().columns))
    return variables


def execute(command: Sequence[str], log: Path, to: Path | None, lock: int | None) -> int:
    """Exit code of a command. What it says goes to this process's output and to a log; with `to`, its standard output
    goes there."""
    log.parent.mkdir(parents=True, exist_ok=True)
    partial = None if to is None else to.with_name(to.name + ".partial")
    with log.open("wb") as logged:
        logged.write(f"$ {shell_line(command, to)}\n".encode())
        # In this process's own group, so that one signal to the group reaches all. The child holds the lock as well: a
        # second run must not begin as long as it works, whatever becomes of this process.
        options: dict[str, Any] = {"env": environment(), "pass_fds": () if lock is None else (lock,)}
        if partial is None:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
            said = process.stdout
        else:
            with partial.open("wb") as output:
                process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, **options)
            said = process.stderr
        assert said is not None
        try:
            _pass_through(said, logged)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
    if partial is not None and to is not None and code == 0:
        partial.replace(to)
    return code


def _pass_through(said: IO[bytes], logged: IO[bytes]) -> None:
    shown = getattr(sys.stdout, "buffer", None)
    sys.stdout.flush()
    while part := os.read(said.fileno(), 65536):
        logged.write(part)
        logged.flush()
        if shown is not None:
            shown.write(part)
            shown.flush()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    import psutil

    try:
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        _tell(member.terminate)
    _, alive = psutil.wait_procs(family, timeout=_GRACE_SECONDS)
    for member in alive:
        _tell(member.kill)
    process.wait()


def _tell(signal_it: Callable[[], None]) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        signal_it()


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """SIGINT and SIGTERM end the run by [`Stopped`], so that no child is left behind."""

    def stop(number: int, _: Any) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[int]:
    """A lock on the folder, as long as this process or a child that was given it lives.

    Raises:
        `ValueError`: If another run holds it.
    """
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + _ENDING_SECONDS
        while not _is_taken(lock):
            if time.monotonic() > deadline:
                raise ValueError(
                    f"{folder}: another `weighted-dpo run`, or a stage that one has left behind, works in this folder. "
                    "Wait for it, end it, or set another output_dir."
                )
            time.sleep(0.1)
        yield lock
    finally:
        os.close(lock)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
