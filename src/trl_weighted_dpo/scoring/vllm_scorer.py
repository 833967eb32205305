"""Log-probs from vLLM instead of transformers, on a GPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trl_weighted_dpo.core.models import import_vllm
from trl_weighted_dpo.core.tokens import Tokens

SAMPLING = {"max_tokens": 1, "prompt_logprobs": 0, "temperature": 0.0}
"""vLLM always generates: one token, which is not used. 0 log-probs besides the token's own at each place of the prompt,
which is prompt and completion here."""


class VLLMModel:
    """A model in vLLM that tells log-probs: goes into [`~scoring.scoring.Scorer`] in place of a transformers model.

    Args:
        path (`str`):
            Folder, or name on the hub.
        dtype (`str`, *optional*, defaults to `"auto"`):
            As vLLM takes it.
        max_length (`int` or `None`, *optional*, defaults to `None`):
            Longest sequence, as the scorer has it; `None` leaves it to vLLM.

    Raises:
        `ImportError`: If vLLM is not installed.
    """

    def __init__(self, path: str, dtype: str = "auto", max_length: int | None = None) -> None:
        vllm = import_vllm()
        from transformers import AutoConfig

        self.config = AutoConfig.from_pretrained(path)
        self._llm = vllm.LLM(**engine_arguments(path, dtype, max_length))
        self._sampling = vllm.SamplingParams(**SAMPLING)
        self.dtype = self._llm.llm_engine.model_config.dtype

    def logps(self, sequences: Sequence[Tokens]) -> list[NDArray[np.float64]]:
        """As [`~scoring.logps.ForwardPass.logps`]."""
        scored = [tokens for tokens in sequences if tokens.scored]
        prompts = [{"prompt_token_ids": tokens.ids} for tokens in scored]
        outputs = iter(self._llm.generate(prompts, self._sampling, use_tqdm=False) if prompts else ())
        return [read_logps(next(outputs), tokens) if tokens.scored else np.empty(0) for tokens in sequences]


def engine_arguments(path: str, dtype: str, max_length: int | None) -> dict[str, Any]:
    """Arguments of `vllm.LLM`. A cached prefix has no log-probs, so that caching is off."""
    arguments = {"model": path, "dtype": dtype, "enable_prefix_caching": False}
    # One more, for the token that is generated.
    return arguments if max_length is None else {**arguments, "max_model_len": max_length + 1}


def read_logps(output: Any, tokens: Tokens) -> NDArray[np.float64]:
    """The log-probs of the scored tokens, shape (scored,), from vLLM's `RequestOutput`.

    Raises:
        `ValueError`: If the output is that of other tokens.
    """
    if list(output.prompt_token_ids) != tokens.ids:
        raise ValueError("vLLM gave back other tokens than it was given: score with --backend transformers.")
    places = range(tokens.first, len(tokens.ids))
    return np.array([output.prompt_logprobs[place][tokens.ids[place]].logprob for place in places])
