"""A tiny model and scored pairs, once for each module."""

import pytest

from tests.tiny import save_tiny_model, tiny_pairs
from tests.training.columns import PAIRS, with_columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("reference-columns"))


@pytest.fixture(scope="module")
def rows(folder, tmp_path_factory):
    return with_columns(folder, tmp_path_factory.mktemp("scored"), tiny_pairs(PAIRS))
