"""The hooks. Each takes no arguments and returns a mapping from names to objects, so that a plugin may bring several.

Names are lower-case identifiers. Hooks are called once, with the first lookup of any name: what is slow to import
belongs inside the functions that they return.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from trl_weighted_dpo.mining.hardness import HardnessFunction
    from trl_weighted_dpo.verifier.verifier import Judge
    from trl_weighted_dpo.weighting import RawWeightFunction

PROJECT = "trl_weighted_dpo"
"""Name of the project in pluggy, and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as one that the package calls."""


class Sampler(Protocol):
    """Something that samples solutions."""

    def generate(self, prompts: Sequence[str], settings: Mapping[str, Any]) -> Iterator[list[str]]:
        """Yields the completions of each prompt, in order.

        Args:
            prompts (`Sequence[str]`): Prompts as the model reads them.
            settings (`Mapping[str, Any]`): How to sample, such as the temperature and the number of completions.
        """


SamplerFactory = Callable[[str], Sampler]
"""From the path or name of a model to a sampler."""


@hookspec
def weighted_dpo_dimensions() -> "Mapping[str, Judge]":
    """Dimensions of the error profile beside the six: functions `judge(facts: Facts) -> Judgement`.

    `weighted-dpo verify --dimension NAME` and `MathVerifier(judges={name: judge})` judge them too. They have to be
    functions of a module, which other processes can import. Model text is hostile: bound every loop, and never
    evaluate it.
    """
    raise NotImplementedError


@hookspec
def weighted_dpo_hardnesses() -> "Mapping[str, HardnessFunction]":
    """What ranks negatives: functions `hardness(signals: HardnessSignals) -> float`, in [0, 1]."""
    raise NotImplementedError


@hookspec
def weighted_dpo_raw_weights() -> "Mapping[str, RawWeightFunction]":
    """Raw weights: functions `raw(columns: Mapping[str, Array], config: WeightingConfig) -> Array`.

    The columns are float64 arrays of shape `(n,)`, NaN where a value is not known: those of the pairs with a value
    somewhere, and `relative_nll`; they are not to be changed. What is returned has the same shape and is finite and at
    least 0; each pair's comes from its own row alone. The name is a scheme of weighting.
    """
    raise NotImplementedError


@hookspec
def weighted_dpo_samplers() -> Mapping[str, SamplerFactory]:
    """Sampler backends: functions or classes `sampler(model: str) -> Sampler`."""
    raise NotImplementedError
