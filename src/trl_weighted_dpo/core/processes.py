"""Maps items over worker processes in chunks: results in order, memory flat.

The processes are [`~workers.Workers`]: fresh interpreters, which work in any thread and in daemonic processes, need no
guard around the caller's main script, and die alone.
"""

import base64
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Generic, TypeVar

from trl_weighted_dpo.core.workers import WorkerError, Workers

CHUNKS_AHEAD = 8
"""Chunks for each process that are read before the first of them is done: a slow item then holds up no other one."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@lru_cache(maxsize=1)
def unpacked(packed: str) -> Any:
    """What the processes share, in one of them."""
    # From the parent process, through a pipe that nobody else holds.
    return pickle.loads(base64.b64decode(packed))


class Processes(Generic[_Item, _Result]):
    """Worker processes that share a task. A dead or hung one costs no other item than the one that it was at.

    Args:
        preload (`str`): Module that they import when they start.
        task (`str`): The `"module:function"` that gets the packed `shared` and some items, and returns their results.
        shared (`object`): What the task needs besides, such as the verifier; [`unpacked`] reads it there.
        read (`Callable`): Makes a result of what the task returned for an item, which is plain JSON.
        lost (`Callable`): Makes the result of an item that ended its process twice, the second time alone, and of the
            reason.
        seconds (`float`), memory_mib (`int`): What a chunk may take.
        count (`int`): How many processes.

    Raises:
        `ChildProcessError`: If they cannot start.
    """

    def __init__(
        self,
        preload: str,
        task: str,
        shared: object,
        read: Callable[[Any], _Result],
        lost: Callable[[_Item, str], _Result],
        seconds: float,
        memory_mib: int,
        count: int,
    ) -> None:
        self._task, self._read, self._lost, self._count = task, read, lost, count
        self._packed = base64.b64encode(pickle.dumps(shared)).decode()
        self._workers = Workers(preload, seconds, memory_mib, count)
        self._stopping = threading.Event()
        try:
            self._run([])
        except WorkerError as error:
            raise ChildProcessError(
                f"A worker process with the verifier cannot start ({error}). See whether `python -c 'import "
                f"{preload}'` runs and memory is left, or pass workers=1 to verify in this process."
            ) from error

    def map(
        self, items: Iterable[_Item], chunked: Callable[[Iterator[_Item]], Iterator[list[_Item]]], name: str
    ) -> Iterator[_Result]:
        """The result of each item, in order; ends the processes. An error of `items` comes after the results of those
        before it, as in one process.

        Args:
            items (`Iterable`): Read only a little ahead.
            chunked (`Callable`): Puts items into chunks.
            name (`str`): Of the threads that wait for the processes.
        """
        failures: list[Exception] = []
        threads = ThreadPoolExecutor(self._count, name)
        pending: deque[Future[list[_Result]]] = deque()
        try:
            for chunk in chunked(_until_failure(items, failures)):
                pending.append(threads.submit(self._chunk, chunk))
                while pending and (pending[0].done() or len(pending) > CHUNKS_AHEAD * self._count):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            self._stopping.set()
            threads.shutdown(cancel_futures=True)
            self._workers.close()
        if failures:
            raise failures[0]

    def _chunk(self, items: list[_Item]) -> list[_Result]:
        try:
            return self._run(items)
        except WorkerError:
            return [self._alone(item) for item in items]

    def _alone(self, item: _Item) -> _Result:
        if self._stopping.is_set():
            raise WorkerError("stopped")
        try:
            return self._run([item])[0]
        except WorkerError as error:
            return self._lost(item, str(error))

    def _run(self, items: list[_Item]) -> list[_Result]:
        return [self._read(result) for result in self._workers.run(self._task, self._packed, items)]


def _until_failure(items: Iterable[_Item], failures: list[Exception]) -> Iterator[_Item]:
    try:
        yield from items
    except Exception as error:
        failures.append(error)
