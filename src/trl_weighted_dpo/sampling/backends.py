"""The sampler backends of the package. What is slow to import is imported when one is used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trl_weighted_dpo.plugins.hookspecs import SamplerFactory

if TYPE_CHECKING:
    from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler


def _transformers(model: str, options: Mapping[str, Any]) -> "TransformersSampler":
    from trl_weighted_dpo.sampling.transformers_sampler import transformers_sampler

    return transformers_sampler(model, options)


BACKENDS: dict[str, SamplerFactory] = {"transformers": _transformers}
