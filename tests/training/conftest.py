"""A tiny model and scored pairs, once for each module. Importing this loads no torch."""

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tests.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("reference-columns"))


@pytest.fixture(scope="module")
def rows(folder, tmp_path_factory):
    from tests.tiny import tiny_pairs
    from tests.training.columns import PAIRS, with_columns

    return with_columns(folder, tmp_path_factory.mktemp("scored"), tiny_pairs(PAIRS))
