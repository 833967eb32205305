"""Importing the package is light, and its names resolve."""

import json
import subprocess
import sys

import pytest

import trl_weighted_dpo

PROBE = """
import json, sys, time
start = time.process_time()
import trl_weighted_dpo
seconds = time.process_time() - start
heavy = [name for name in ("torch", "trl", "transformers", "datasets", "sympy", "axolotl") if name in sys.modules]
print(json.dumps({"heavy": heavy, "seconds": seconds}))
"""


def test_importing_loads_nothing_heavy():
    output = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    result = json.loads(output)
    assert result["heavy"] == []
    assert result["seconds"] < 0.3


@pytest.mark.parametrize("name", [name for name in trl_weighted_dpo.__all__ if name != "hard_negatives"])
def test_public_names_resolve(name):
    assert getattr(trl_weighted_dpo, name) is not None


LIGHT = {
    "training.health": (),
    "core.tokens": (),
    "training.objective": ("torch",),
    "training.head": ("torch",),
    "training.layout": ("torch",),
    "training.masks": ("torch",),
    "training.tables": ("torch",),
    "training.telemetry": ("torch", "accelerate"),
}
"""What a module of pure functions may load of the heavy packages."""


@pytest.mark.parametrize("module", LIGHT)
def test_pure_modules_load_little(module):
    heavy = ("torch", "trl", "transformers", "datasets", "accelerate", "peft", "bitsandbytes", "torchao", "axolotl")
    probe = f"import sys, trl_weighted_dpo.{module}; print(*[name for name in {heavy} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert set(output.split()) <= set(LIGHT[module])


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = trl_weighted_dpo.nonsense
