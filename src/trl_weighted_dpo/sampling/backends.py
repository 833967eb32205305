"""The sampler backends of the package. What is slow to import is imported when one is used."""

from collections.abc import Mapping
from typing import Any

from trl_weighted_dpo.plugins.hookspecs import Sampler, SamplerFactory


def _transformers(model: str, options: Mapping[str, Any]) -> Sampler:
    from trl_weighted_dpo.sampling.transformers_sampler import load_sampler

    return load_sampler(model, options)


def _vllm(model: str, options: Mapping[str, Any]) -> Sampler:
    from trl_weighted_dpo.sampling.vllm_sampler import VLLMSampler

    return VLLMSampler(model, options)


def _server(model: str, options: Mapping[str, Any]) -> Sampler:
    from trl_weighted_dpo.sampling.server_sampler import ServerSampler

    return ServerSampler(model, options)


BACKENDS: dict[str, SamplerFactory] = {"transformers": _transformers, "vllm": _vllm, "server": _server}
"""By the name that `--backend` takes."""
