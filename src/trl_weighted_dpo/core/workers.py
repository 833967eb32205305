"""Worker processes with limits on time and memory, usable from any thread.

A worker is a fresh interpreter that reads one JSON line per task and writes one per result. It is no
`multiprocessing` child: those run the caller's main script again when they start, and may not be started at all from a
daemonic process, such as a worker of `datasets.map(num_proc=...)`.
"""

import contextlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

START_SECONDS = 120.0
"""How long a worker may take to start, which is not counted as time of its first task."""

GRACE_SECONDS = 5.0
"""How much longer than its time a task lives if nobody is left to kill it."""

_SERVE = "from trl_weighted_dpo.core.workers import serve; serve()"


class WorkerError(RuntimeError):
    """A task gave no result; the message says why: `"timeout"`, `"memory limit"` or `"worker failed"`."""


class _Worker:
    """One process and the pipe to it. Not for two threads at once."""

    def __init__(self, preload: str, memory_bytes: int) -> None:
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        # A fixed hash seed gives every worker the same order of sets, and with it the same results.
        environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self.finalizer = weakref.finalize(self, _end, self.process, os.getpid())
        try:
            self.ask({"preload": preload, "memory_bytes": memory_bytes}, START_SECONDS)
        except WorkerError:
            self.close()
            raise

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            self.process.kill()

        clock = threading.Timer(seconds, kill)
        clock.daemon = True
        clock.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            reply = json.loads(line) if line.endswith("\n") else None
        except (OSError, ValueError):
            reply = None
        finally:
            clock.cancel()
        if timed_out.is_set():
            raise WorkerError("timeout")
        if reply is None:
            raise WorkerError("worker failed")
        return dict(reply)

    def close(self) -> None:
        self.finalizer()


def _end(process: subprocess.Popen[str], owner: int) -> None:
    if owner == os.getpid():
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


class Workers:
    """A pool of killable worker processes that start when they are first needed.

    Args:
        preload (`str`):
            The module that a worker imports before it takes tasks.
        timeout (`float`):
            Seconds that one task may take.
        memory_mib (`int`):
            Address space of one worker in MiB; without effect where the platform has no `resource` module.
        max_workers (`int`):
            Processes that may live at once; further callers wait for a free one.
    """

    def __init__(self, preload: str, timeout: float, memory_mib: int, max_workers: int) -> None:
        self.preload = preload
        self.timeout = timeout
        self.memory_mib = memory_mib
        self.max_workers = max_workers
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._idle: list[_Worker] = []
        self._free = threading.Semaphore(self.max_workers)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickled pool arrives without its processes and starts its own.
        return type(self), (self.preload, self.timeout, self.memory_mib, self.max_workers)

    def run(self, task: str, *arguments: Any) -> Any:
        """Runs `task`, the `"module:function"` of an importable function, on JSON `arguments` and returns its JSON
        result.

        Raises:
            `WorkerError`: If the task passed its time or memory or ended its process.
        """
        if self._owner != os.getpid():
            # After a fork the workers and a lock that was held belong to the parent.
            self._reset()
        with self._free:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            worker = idle or _Worker(self.preload, self.memory_mib * 2**20)
            try:
                seconds = self.timeout + GRACE_SECONDS
                reply = worker.ask({"task": task, "arguments": arguments, "seconds": seconds}, self.timeout)
            except BaseException:
                # Not only a failure: an interrupt, too, may leave half a reply in the pipe.
                worker.close()
                raise
            if "error" in reply:
                worker.close()
                logger.debug("A worker failed: %s", reply["error"])
                raise WorkerError("memory limit" if reply["error"] == "MemoryError" else "worker failed")
            with self._lock:
                self._idle.append(worker)
            return reply["result"]

    def close(self) -> None:
        """Ends the processes. The pool can be used again and then starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


def _limit(memory_bytes: int) -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _alarm(seconds: float) -> None:
    """Ends this process in `seconds`, even inside a long operation in C; 0 calls it off."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        module, _, name = request["task"].partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return {"result": function(*request["arguments"])}
    except Exception as error:
        return {"error": type(error).__name__}


def serve() -> None:
    """Serves tasks from standard input until it ends. Runs in a worker process."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever a task prints must not get between the replies.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if "memory_bytes" in request:
            # Imports come before the limit and before the first clock.
            importlib.import_module(request["preload"])
            _limit(request["memory_bytes"])
            reply: dict[str, Any] = {"result": None}
        else:
            _alarm(request["seconds"])
            reply = _answer(request)
            _alarm(0)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
