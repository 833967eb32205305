"""Samples from vLLM's offline engine, on a GPU."""

import atexit
import importlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from trl_weighted_dpo.core.fingerprint import fingerprint
from trl_weighted_dpo.core.identity import CONTENTS
from trl_weighted_dpo.core.models import import_vllm, load_tokenizer
from trl_weighted_dpo.sampling.options import read_options
from trl_weighted_dpo.sampling.requests import Sample, SampleRequest
from trl_weighted_dpo.sampling.text import ended, eos_ids
from trl_weighted_dpo.settings.sampling import SamplingConfig, VLLMBackendConfig

Job = tuple[list[int], dict[str, Any]]
"""Token ids of a prompt, and arguments of `vllm.SamplingParams`."""


class VLLMSampler:
    """Samples from one engine in this process, or from several in processes of their own.

    Args:
        model (`str`):
            Folder, or name on the hub.
        options (`Mapping[str, Any]`):
            Those of [`VLLMBackendConfig`].

    Raises:
        `ImportError`: If vLLM is not installed.
        `ValueError`: If an option is unknown, the adapter is no LoRA adapter, there are fewer GPUs than are needed, or
            a launcher has started several processes.
    """

    def __init__(self, model: str, options: Mapping[str, Any]) -> None:
        read = read_options(VLLMBackendConfig, options, "vllm")
        import_vllm()
        from accelerate import PartialState
        from transformers import AutoConfig, GenerationConfig

        if PartialState().num_processes > 1:
            raise ValueError(
                "--backend vllm starts its processes itself: leave out the launcher, and give --option "
                "data_parallel_size=N or tensor_parallel_size=N."
            )

        self.tokenizer = load_tokenizer(read.tokenizer or model)
        config = AutoConfig.from_pretrained(model)
        adapter = None if read.adapter is None else _adapter_identity(Path(read.adapter))
        found = fingerprint(SimpleNamespace(config=config), self.tokenizer, None, "keep_start", read.dtype)
        self.identity = f"vllm {found.to_json()} {json.dumps(adapter)}"
        try:
            self._eos = eos_ids(GenerationConfig.from_pretrained(model), self.tokenizer)
        except OSError:
            # Not every model has one.
            self._eos = eos_ids(config, self.tokenizer)
        arguments = engine_arguments(model, read)
        self._engine: Engine | Engines
        if read.data_parallel_size == 1:
            self._engine = Engine(arguments, read.adapter)
        else:
            self._engine = Engines(arguments, read.adapter, gpu_shares(read.data_parallel_size, read))

    def generate(self, requests: Sequence[SampleRequest], config: SamplingConfig) -> Iterator[tuple[int, Sample]]:
        """Yields position and sample of each request; those of a call come when all are done."""
        prompts = [*dict.fromkeys(request.prompt for request in requests)]
        ids = dict(zip(prompts, self.tokenizer(prompts)["input_ids"], strict=True)) if prompts else {}
        jobs = [(ids[request.prompt], sampling_arguments(config, request.seed, self._eos)) for request in requests]
        for place, (text, tokens, is_truncated) in self._engine.run(jobs):
            yield place, Sample(*ended(text, config.stop, is_truncated), tokens)


def engine_arguments(model: str, options: VLLMBackendConfig) -> dict[str, Any]:
    """Arguments of `vllm.LLM`.

    `generation_config="vllm"` keeps a penalty of the model's own out of the distribution. Samples of a problem share
    its prompt, so that prefixes are cached.
    """
    arguments: dict[str, Any] = {
        "model": model,
        "tokenizer": options.tokenizer or model,
        "dtype": options.dtype,
        "tensor_parallel_size": options.tensor_parallel_size,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "seed": 0,
    }
    if options.max_model_len is not None:
        arguments["max_model_len"] = options.max_model_len
    if options.adapter is not None:
        settings = json.loads((Path(options.adapter) / "adapter_config.json").read_bytes())
        arguments |= {"enable_lora": True, "max_lora_rank": settings["r"]}
    return arguments


def sampling_arguments(config: SamplingConfig, seed: int, eos: Sequence[int]) -> dict[str, Any]:
    """Arguments of `vllm.SamplingParams` for one sample."""
    return {
        "n": 1,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k or -1,
        "max_tokens": config.max_new_tokens,
        "stop": [*config.stop],
        "stop_token_ids": [*eos],
        "skip_special_tokens": False,
        "seed": seed,
    }


class Engine:
    """An engine in this process."""

    def __init__(self, arguments: Mapping[str, Any], adapter: str | None) -> None:
        self._vllm = import_vllm()
        self._llm = self._vllm.LLM(**arguments)
        self._lora = None
        if adapter is not None:
            self._lora = importlib.import_module("vllm.lora.request").LoRARequest("adapter", 1, adapter)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, tuple[str, int, bool]]]:
        """Yields position, and text, tokens and whether it was cut, of each job."""
        prompts = [{"prompt_token_ids": ids} for ids, _ in jobs]
        parameters = [self._vllm.SamplingParams(**arguments) for _, arguments in jobs]
        outputs = self._llm.generate(prompts, parameters, use_tqdm=False, lora_request=self._lora)
        for place, output in enumerate(outputs):
            [completion] = output.outputs
            yield place, (completion.text, len(completion.token_ids), completion.finish_reason == "length")


class Engines:
    """Engines in processes of their own, each on its share of the GPUs. They end with this process."""

    def __init__(self, arguments: Mapping[str, Any], adapter: str | None, shares: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        # Before multiprocessing waits for its processes at exit, which wait for more work.
        atexit.register(self.close)
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        try:
            for share in shares:
                ours, theirs = context.Pipe()
                os.environ["CUDA_VISIBLE_DEVICES"] = share
                context.Process(target=_serve, args=(theirs, arguments, adapter)).start()
                theirs.close()
                self._connections.append(ours)
        finally:
            os.environ.pop("CUDA_VISIBLE_DEVICES")
            if before is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = before

    def close(self) -> None:
        """Lets the processes end."""
        for connection in self._connections:
            connection.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, tuple[str, int, bool]]]:
        """As [`Engine.run`].

        Raises:
            `ValueError`: If an engine fails; names the cause.
        """
        count = len(self._connections)
        waiting = dict(zip(self._connections, range(count), strict=True))
        for connection, share in waiting.items():
            connection.send(jobs[share::count])
        while waiting:
            ready = wait([*waiting])
            for connection in [one for one in waiting if one in ready]:
                share = waiting.pop(connection)
                try:
                    results = connection.recv()
                except EOFError as error:
                    raise ValueError("A vLLM engine has ended by itself; what it wrote above says why.") from error
                if isinstance(results, str):
                    raise ValueError(f"A vLLM engine has failed: {results}")
                for place, result in results:
                    yield share + place * count, result


def _serve(connection: Connection, arguments: Mapping[str, Any], adapter: str | None) -> None:
    """Works for [`Engines`] until its process closes the connection, or ends."""
    with suppress(EOFError, BrokenPipeError):
        try:
            engine = Engine(arguments, adapter)
            while True:
                connection.send([*engine.run(connection.recv())])
        except EOFError:
            raise
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")


def gpu_shares(count: int, options: VLLMBackendConfig) -> list[str]:
    """For each engine the GPUs that it sees, as `CUDA_VISIBLE_DEVICES` names them.

    Raises:
        `ValueError`: If there are fewer than `count` engines need.
    """
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = listed.split(",") if listed else [str(index) for index in range(torch.cuda.device_count())]
    each = options.tensor_parallel_size
    if len(there) < count * each:
        raise ValueError(
            f"{count} engines on {each} GPUs each need {count * each}, but {len(there)} are to be seen. Lower "
            "data_parallel_size or tensor_parallel_size."
        )
    return [",".join(there[share * each : (share + 1) * each]) for share in range(count)]


def _adapter_identity(folder: Path) -> str:
    names = ("adapter_config.json", "adapter_model.safetensors")
    found = CONTENTS.adapter(folder) if (folder / names[1]).is_file() else None
    if found is None:
        raise ValueError(f"{folder}: this is no folder of a LoRA adapter, which has {' and '.join(names)}.")
    return found
