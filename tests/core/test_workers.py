import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

from trl_weighted_dpo.core.workers import WorkerError, Workers

HERE = __name__


def spin() -> None:
    while True:
        pass


def long_operation_in_c() -> int:
    # Raising to a power holds the interpreter: no signal handler of Python's would run.
    return len(str(bin(7 ** (10**9))))


def allocate() -> int:
    return len(bytearray(64 * 2**30))


def die() -> None:
    os._exit(3)


def chatter(text: str) -> str:
    print("not a reply")
    return text


def fail() -> None:
    raise KeyError("no")


@pytest.fixture
def workers():
    workers = Workers(HERE, timeout=2.0, memory_mib=2048, max_workers=1)
    yield workers
    workers.close()


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("spin", "timeout"),
        ("long_operation_in_c", "timeout"),
        ("allocate", "memory limit"),
        ("die", "worker failed"),
        ("fail", "worker failed"),
    ],
)
def test_a_task_that_misbehaves_ends_and_the_next_one_runs(workers: Workers, task: str, reason: str) -> None:
    with pytest.raises(WorkerError, match=reason):
        workers.run(f"{HERE}:{task}")

    assert workers.run(f"{HERE}:chatter", "ok") == "ok"


def test_tasks_from_many_threads_share_the_workers(workers: Workers) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(workers.run(f"{HERE}:chatter", str(n)))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == list("012345")
    assert len(workers._idle) == 1


def test_closing_ends_the_processes(workers: Workers) -> None:
    workers.run(f"{HERE}:chatter", "ok")
    (process,) = [worker.process for worker in workers._idle]
    workers.close()

    assert process.poll() is not None


def test_a_forgotten_pool_leaves_no_process() -> None:
    workers = Workers(HERE, timeout=2.0, memory_mib=2048, max_workers=1)
    workers.run(f"{HERE}:chatter", "ok")
    (process,) = [worker.process for worker in workers._idle]
    del workers
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)

    assert process.poll() is not None


ORPHANING = f"""
from trl_weighted_dpo.core import workers
workers.GRACE_SECONDS = 0.5
workers.Workers({HERE!r}, timeout=8.0, memory_mib=2048, max_workers=1).run("{HERE}:long_operation_in_c")
"""


def test_a_task_ends_even_if_its_owner_is_killed() -> None:
    owner = psutil.Popen([sys.executable, "-c", ORPHANING], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (children := owner.children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    while sum(children[0].cpu_times()[:2]) < 0.5 and time.monotonic() < deadline:
        time.sleep(0.01)
    owner.kill()
    owner.wait()
    _, alive = psutil.wait_procs(children, timeout=30)

    assert children
    assert not alive
