"""What vLLM is asked for and how its answer is read, with a stand-in for it: vLLM itself needs a GPU."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest

from tests.tiny import tiny_pool
from trl_weighted_dpo.sampling import SampleRequest, SamplingConfig
from trl_weighted_dpo.sampling.requests import sample_seed
from trl_weighted_dpo.sampling.vllm_sampler import (
    VLLMBackendConfig,
    VLLMSampler,
    engine_arguments,
    gpu_shares,
    sampling_arguments,
)

REQUESTS = [
    SampleRequest(row["problem"] + "\n", sample_seed(0, row["id"], index), row["id"], index)
    for row in tiny_pool(3)
    for index in range(2)
]
# Answers with what it was asked for; a seed that is even is cut at the maximum length.
VLLM = """
import os
from types import SimpleNamespace


def SamplingParams(**arguments):
    return SimpleNamespace(**arguments)


class LLM:
    def __init__(self, **arguments):
        self.arguments = arguments
        if arguments.get("max_model_len") == 13:
            raise RuntimeError("no room")

    def generate(self, prompts, parameters, use_tqdm, lora_request):
        assert use_tqdm is False
        return [self._answer(*pair, lora_request) for pair in zip(prompts, parameters, strict=True)]

    def _answer(self, prompt, asked, lora):
        place = os.environ.get("CUDA_VISIBLE_DEVICES"), getattr(lora, "path", None)
        text = f"{prompt['prompt_token_ids']} {asked.seed} {place}"
        reason = "stop" if asked.seed % 2 else "length"
        return SimpleNamespace(outputs=[SimpleNamespace(text=text, token_ids=[1, 2, 3], finish_reason=reason)])
"""
LORA = "from types import SimpleNamespace\ndef LoRARequest(name, number, path): return SimpleNamespace(path=path)\n"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    package = tmp_path / "site" / "vllm"
    (package / "lora").mkdir(parents=True)
    (package / "__init__.py").write_text(VLLM)
    (package / "lora" / "__init__.py").write_text("")
    (package / "lora" / "request.py").write_text(LORA)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]


def test_sampling_arguments():
    config = SamplingConfig(temperature=0.7, top_p=0.9, top_k=5, max_new_tokens=9, stop=("\n\n",))
    assert sampling_arguments(config, 77, [0, 2]) == {
        "n": 1, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "max_tokens": 9, "stop": ["\n\n"],
        "stop_token_ids": [0, 2], "skip_special_tokens": False, "seed": 77,
    }  # fmt: skip
    assert sampling_arguments(SamplingConfig(), 0, [])["top_k"] == -1


def test_engine_arguments(tmp_path):
    assert engine_arguments("folder", VLLMBackendConfig()) == {
        "model": "folder", "tokenizer": "folder", "dtype": "auto", "tensor_parallel_size": 1,
        "gpu_memory_utilization": 0.9, "enable_prefix_caching": True, "generation_config": "vllm", "seed": 0,
    }  # fmt: skip
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 24}))
    given = VLLMBackendConfig("tokenizer", str(tmp_path), "bfloat16", 0.5, 2048, 4)
    assert engine_arguments("folder", given) == {
        "model": "folder", "tokenizer": "tokenizer", "dtype": "bfloat16", "tensor_parallel_size": 4,
        "gpu_memory_utilization": 0.5, "enable_prefix_caching": True, "generation_config": "vllm", "seed": 0,
        "max_model_len": 2048, "enable_lora": True, "max_lora_rank": 24,
    }  # fmt: skip


def test_each_engine_gets_gpus_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7,6")
    options = VLLMBackendConfig(tensor_parallel_size=2)
    assert gpu_shares(2, options) == ["4,5", "7,6"]
    with pytest.raises(ValueError, match="3 engines on 2 GPUs each need 6, but 4 are to be seen"):
        gpu_shares(3, options)


def test_answers_are_read_and_belong_to_their_requests(stand_in, tiny_model_dir):
    sampler = VLLMSampler(str(tiny_model_dir), {"dtype": "float32"})
    found = dict(sampler.generate(REQUESTS, SamplingConfig(stop=(", (",))))
    assert [*found] == [*range(len(REQUESTS))]
    for place, request in enumerate(REQUESTS):
        ids = sampler.tokenizer(request.prompt)["input_ids"]
        assert found[place].solution.startswith(f"{ids} {request.seed} ")
        assert (found[place].truncated, found[place].tokens) == (request.seed % 2 == 0, 3)
    assert {sample.truncated for sample in found.values()} == {True, False}
    assert sampler._eos == [0]


def test_several_engines_share_the_requests(stand_in, tiny_model_dir, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    sampler = VLLMSampler(str(tiny_model_dir), {"data_parallel_size": "2"})
    for _ in range(2):
        found = dict(sampler.generate(REQUESTS[:5], SamplingConfig()))
        assert sorted(found) == [0, 1, 2, 3, 4]
        for place, sample in found.items():
            assert f" {REQUESTS[place].seed} ('{'45'[place % 2]}', None)" in sample.solution
    sampler._engine.close()


def test_an_engine_that_fails_is_told(stand_in, tiny_model_dir, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    sampler = VLLMSampler(str(tiny_model_dir), {"data_parallel_size": 2, "max_model_len": 13})
    with pytest.raises(ValueError, match="A vLLM engine has failed: RuntimeError: no room"):
        dict(sampler.generate(REQUESTS, SamplingConfig()))


def test_an_adapter_goes_with_each_request_and_into_the_identity(stand_in, tiny_model_dir, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"this is no folder of a LoRA adapter, which has adapter_config.json and"):
        VLLMSampler(str(tiny_model_dir), {"adapter": str(folder)})
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
    (folder / "adapter_model.safetensors").write_bytes(b"tensors")
    with_it, plain = (VLLMSampler(str(tiny_model_dir), {"adapter": path}) for path in (str(folder), None))
    assert with_it.identity != plain.identity
    [(_, sample)] = with_it.generate(REQUESTS[:1], SamplingConfig())
    assert str(folder) in sample.solution


def test_a_launcher_is_refused(stand_in, tiny_model_dir, monkeypatch):
    monkeypatch.setattr("accelerate.PartialState", lambda: SimpleNamespace(num_processes=2))
    with pytest.raises(ValueError, match="starts its processes itself: leave out the launcher"):
        VLLMSampler(str(tiny_model_dir), {})


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="no GPU")
def test_without_vllm_the_extra_is_named():
    with pytest.raises(ImportError, match=r"pip install 'trl-weighted-dpo\[vllm\]'"):
        VLLMSampler("folder", {})
