from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.arena import Arena
from tests.tiny import exact_model, tiny_model, tiny_pairs


@pytest.fixture
def arena(tmp_path: Any) -> Callable[..., Arena]:
    def build(dtype: torch.dtype = torch.float32, pairs: list[dict[str, Any]] | None = None) -> Arena:
        return Arena(tmp_path, pairs or tiny_pairs(4), exact_model() if dtype is torch.float64 else tiny_model())

    return build
