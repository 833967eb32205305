"""Tiny real models, tokenizers and data, made on the spot. Importing this loads no torch."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers with as many threads as cores each get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_USES_TORCH = re.compile(
    r"^\s*(?:from|import) (?:torch|transformers|trl|peft|datasets|accelerate|axolotl)\b|"
    r"tests\.(?:tiny|arena)\b|tiny_model_dir",
    re.MULTILINE,
)
_LOADS_TORCH = (
    "tests/integration",
    "tests/axolotl",
    "tests/pipeline",
    "tests/audit/test_weights.py",
    "tests/benchmarks/test_weighting_experiment.py",
)
"""Folders whose tests load torch in other processes, or by what they call."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="run the test files that need no torch: minutes")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--without-torch`, leave out the files that use it; that the others do not is checked below."""
    if not config.getoption("without_torch") or not collection_path.name.startswith("test_"):
        return None
    if str(collection_path.relative_to(REPOSITORY)).startswith(_LOADS_TORCH):
        return True
    return True if _USES_TORCH.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.fixture(autouse=True)
def _no_torch(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--without-torch`, a test that loads it after all fails; its file belongs into `_LOADS_TORCH`."""
    was_there = "torch" in sys.modules
    yield
    if request.config.getoption("without_torch") and not was_there and "torch" in sys.modules:
        pytest.fail("This test loads torch: name its file in tests/conftest.py.", pytrace=False)


_LONGEST_FIRST = [
    f"tests/{start}"
    for start in (
        "integration/test_quickstart",
        "integration/",
        "pipeline/",
        "benchmarks/",
        "cli/test_train_run",
        "training/",
        "",
    )
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start processes come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: next(i for i, start in enumerate(_LONGEST_FIRST) if item.nodeid.startswith(start)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data, if it is there."""
    folder = Path(os.environ.get("TRL_WEIGHTED_DPO_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "gsm8k_solutions_pool.jsonl").is_file():
        pytest.skip("shared data not found")
    return folder


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random two-layer Qwen2 with a byte-level BPE tokenizer."""
    from tests.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny-model"))


ALLOWED_SKIPS = ("shared data not found", "no GPU")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test skipped for another reason than missing shared data or GPU fails the run: nothing drops out unnoticed."""
    reasons = [str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", [])]
    unexpected = sorted({reason for reason in reasons if not reason.endswith(ALLOWED_SKIPS)})
    if unexpected:
        terminalreporter.section("skipped for a reason that is not allowed")
        for reason in unexpected:
            terminalreporter.line(reason)
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
