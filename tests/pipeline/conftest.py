"""A working directory with the files that recipes name."""

from pathlib import Path

import pytest

from tests.pipeline.recipes import make_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
