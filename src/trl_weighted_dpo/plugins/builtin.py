"""What the package itself brings, by the same hooks as any plugin."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from trl_weighted_dpo.plugins.hookspecs import SamplerFactory, hookimpl

if TYPE_CHECKING:
    from trl_weighted_dpo.mining.hardness import HardnessFunction
    from trl_weighted_dpo.verifier.view import DimensionCheck
    from trl_weighted_dpo.weighting import RawWeightFunction


@hookimpl
def weighted_dpo_dimensions() -> "Mapping[str, DimensionCheck]":
    """The six dimensions."""
    from trl_weighted_dpo.verifier.profile import DIMENSIONS
    from trl_weighted_dpo.verifier.view import package_check

    return {dimension: partial(package_check, dimension) for dimension in DIMENSIONS}


@hookimpl
def weighted_dpo_hardnesses() -> "Mapping[str, HardnessFunction]":
    """The hardness functions."""
    from trl_weighted_dpo.mining.hardness import HARDNESSES

    return HARDNESSES


@hookimpl
def weighted_dpo_raw_weights() -> "Mapping[str, RawWeightFunction]":
    """The schemes that compute raw weights from signals."""
    from trl_weighted_dpo.weighting import RAW_WEIGHTS

    return RAW_WEIGHTS


@hookimpl
def weighted_dpo_samplers() -> Mapping[str, SamplerFactory]:
    """The sampler backends."""
    from trl_weighted_dpo.sampling.backends import BACKENDS

    return BACKENDS
