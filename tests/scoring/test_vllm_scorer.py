"""What vLLM is asked for, and how its answer is read; vLLM itself needs a GPU."""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest

from tests.tiny import tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import Scorer
from trl_weighted_dpo.core.tokens import Tokens, tokenize_completions
from trl_weighted_dpo.scoring.logps import ForwardPass
from trl_weighted_dpo.scoring.vllm_scorer import SAMPLING, VLLMModel, engine_arguments, read_logps


@dataclass
class Logprob:
    """Shaped like vLLM's."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class RequestOutput:
    """Shaped like vLLM's, as far as it is read: no log-prob for the first token, then one dictionary for each."""

    prompt_token_ids: list[int]
    prompt_logprobs: list[dict[int, Logprob] | None]


TOKENS = Tokens([11, 12, 13, 14, 15], 2, False, "")


def output(ids):
    # With 0 log-probs asked for, vLLM may still add the most likely token.
    return RequestOutput(ids, [None, *({ids[i]: Logprob(-i / 4), 99: Logprob(-0.1)} for i in range(1, len(ids)))])


def test_log_probs_are_those_of_the_completion():
    assert read_logps(output([11, 12, 13, 14, 15]), TOKENS).tolist() == [-0.5, -0.75, -1.0]


def test_a_first_token_has_no_log_prob():
    tokens = Tokens([11, 12, 13], 0, True, "")
    assert read_logps(output([11, 12, 13]), tokens).tolist() == [-0.25, -0.5]


def test_an_answer_about_other_tokens_is_refused():
    with pytest.raises(ValueError, match="vLLM gave back other tokens than it was given"):
        read_logps(output([11, 12, 13, 14, 16]), TOKENS)


def test_one_token_is_generated_and_has_room():
    assert SAMPLING == {"max_tokens": 1, "prompt_logprobs": 0, "temperature": 0.0}
    arguments = engine_arguments("folder", "bfloat16", 1024)
    assert arguments == {
        "model": "folder", "dtype": "bfloat16", "enable_prefix_caching": False, "max_model_len": 1025,
    }  # fmt: skip
    assert "max_model_len" not in engine_arguments("folder", "auto", None)


class Engine:
    """Answers like `vllm.LLM`, by a tiny model."""

    def __init__(self):
        self.inner, self.asked = ForwardPass(tiny_model(3), 4096), []

    def generate(self, prompts, sampling_params, use_tqdm):
        assert use_tqdm is False
        self.asked.append(sampling_params)
        sequences = [Tokens(prompt["prompt_token_ids"], 0, False, "") for prompt in prompts]
        return [
            RequestOutput(
                tokens.ids, [None, *({t: Logprob(v)} for t, v in zip(tokens.ids[1:], values.tolist(), strict=True))]
            )
            for tokens, values in zip(sequences, self.inner.logps(sequences), strict=True)
        ]


@pytest.fixture
def model():
    model = VLLMModel.__new__(VLLMModel)
    model._llm, model._sampling = Engine(), "parameters"
    model.config, model.dtype = model._llm.inner.model.config, "float32"
    return model


def test_a_scorer_takes_vllm_in_place_of_a_model(model):
    tokenizer, pool = tiny_tokenizer(), tiny_pool(5)
    scorer, expected = Scorer(model, tokenizer), Scorer(tiny_model(3), tokenizer)
    assert scorer.fingerprint == expected.fingerprint
    for row, other in zip(scorer(pool), expected(pool), strict=True):
        for one, two in zip(row["candidates"], other["candidates"], strict=True):
            assert one["score"]["logp"] == pytest.approx(two["score"]["logp"], abs=1e-4)
            assert one["score"]["digest"] == two["score"]["digest"]
    assert model._llm.asked == ["parameters"]


def test_what_has_no_token_to_score_is_not_asked_for(model):
    full, scored = (
        tokenize_completions("Q\n", ["word"], tiny_tokenizer(), length, "keep_start")[0] for length in (2, 100)
    )
    found = model.logps([full, scored, full])
    assert [len(values) for values in found] == [0, scored.scored, 0]
    assert np.isfinite(found[1]).all()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="no GPU")
def test_without_vllm_the_extra_is_named():
    with pytest.raises(ImportError, match=r"pip install 'trl-weighted-dpo\[vllm\]'"):
        VLLMModel("folder")
