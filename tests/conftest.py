"""Tiny real models, tokenizers and data, made on the spot. Importing this loads no torch."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


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
