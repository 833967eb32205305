"""How near the plan's memory is to what real training steps take.

    python -m benchmarks.memory_plan            # on a GPU if there is one
    python -m benchmarks.memory_plan --cpu

Each case trains a small random model for three optimizer steps with `WeightedDPOTrainer`, in a process of its own,
and prints
the plan's bytes over the measured ones at each moment of the last step. On a CPU, bytes of living tensors are counted
as operations make and free them, which is exact and the same each time (what kernels use inside is not seen); a second
process
without counting gives the growth of the resident set (its peak, reset before the step, in Linux's `/proc`), which
holds allocator and kernels too. On a GPU, both come from `torch.cuda.max_memory_allocated`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

MIB = 2**20


@dataclass(frozen=True)
class Case:
    """A model and how it is trained; `settings` are fields of `WeightedDPOConfig` and of TRL's `ModelConfig`."""

    family: str = "Qwen2"
    config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


_LORA = {"use_peft": True, "lora_r": 16, "lora_target_modules": "all-linear"}
_LARGE = {"vocab_size": 152_000}
CASES = {
    "full": Case(),
    "full, untied, two micro-batches": Case(
        "Llama", {"tie_word_embeddings": False}, {"gradient_accumulation_steps": 2}
    ),
    "full, checkpointing, vocabulary 152 k": Case(config=_LARGE, settings={"gradient_checkpointing": True}),
    "full, Gemma 2": Case("Gemma2", {"head_dim": 64, "tie_word_embeddings": True}),
    "full, bf16 autocast": Case(settings={"bf16": True}),
    "full, bf16 weights": Case(settings={"bf16": True, "dtype": "bfloat16"}),
    "LoRA": Case(settings=_LORA),
    "LoRA, checkpointing, vocabulary 152 k": Case(config=_LARGE, settings={**_LORA, "gradient_checkpointing": True}),
    # Computed in training: once bitsandbytes has evaluated on a CPU, its layers are packed anew and train no more.
    "QLoRA, checkpointing": Case(
        settings={**_LORA, "load_in_4bit": True, "gradient_checkpointing": True, "precompute_ref_log_probs": False}
    ),
}
CONFIG = {
    "vocab_size": 32_000,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "bos_token_id": None,
}
SETTINGS = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "bf16": False,
    "max_length": 1024,
    "optim": "adamw_torch_fused",
    "precompute_ref_log_probs": True,
}


def settings_of(case: Case) -> dict[str, Any]:
    return {**SETTINGS, **case.settings}


def make_trainer(case: Case, folder: Path, cpu: bool) -> Any:
    import torch
    import transformers
    from datasets import Dataset
    from peft import LoraConfig
    from tests.tiny import tiny_tokenizer

    from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

    config = getattr(transformers, f"{case.family}Config")(**{**CONFIG, **case.config})
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder / "model")
    fields = settings_of(case)
    peft_config = quantization = None
    init = {"dtype": fields.pop("dtype", "float32")}
    if fields.pop("use_peft", False):
        peft_config = LoraConfig(
            r=fields.pop("lora_r"), target_modules=fields.pop("lora_target_modules"), task_type="CAUSAL_LM"
        )
    if fields.pop("load_in_4bit", False):
        quantization = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        )
        init["device_map"] = {"": "cpu" if cpu else 0}
    args = WeightedDPOConfig(
        output_dir=str(folder / "out"), use_cpu=cpu, report_to=[], save_strategy="no", disable_tqdm=True, max_steps=3,
        logging_steps=10, model_init_kwargs=init, **fields,
    )  # fmt: skip
    prompt = "Tom has 31 apples and gets 12 more. How many apples does Tom have?\n" * 3
    chosen, rejected = ("31 and 12 make 43. " * 10, "That is 31 times 12 apples. " * 8)
    pairs = [{"prompt": prompt, "chosen": chosen, "rejected": rejected, "weight": 1.0}] * 16
    return WeightedDPOTrainer(
        str(folder / "model"),
        args=args,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
        quantization_config=quantization,
        peft_config=peft_config,
    )


def predicted(case: Case, trainer: Any, folder: Path) -> dict[str, int]:
    """The plan's bytes of parameters, gradients and optimizer state, and all without CUDA and gaps at each moment."""
    import yaml

    from trl_weighted_dpo.planning.memory import MOMENTS
    from trl_weighted_dpo.planning.model import load_config
    from trl_weighted_dpo.planning.pairs import PairLength, Pairs
    from trl_weighted_dpo.planning.plan import Machine, Planner
    from trl_weighted_dpo.planning.recipe import read_recipe

    (folder / "train.yaml").write_text(
        yaml.safe_dump({"model_name_or_path": str(folder / "model"), **settings_of(case)})
    )
    settings = read_recipe(folder / "train.yaml")
    row = trainer.train_dataset[0]
    pair = PairLength(*(len(row[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids")))
    plan = Planner(load_config(settings.model), Pairs(16, pair, pair), trainer.args.device.type).plan(
        settings, Machine()
    )
    left_out = ("CUDA context", "fragmentation")
    components = [component for component in plan.memory.components if component.name not in left_out]
    result = {
        name: plan.memory.named(name).bytes["optimizer step"] for name in ("parameters", "gradients", "optimizer state")
    }
    return {**result, **{moment: sum(component.bytes[moment] for component in components) for moment in MOMENTS}}


class Meter:
    """Peaks of the moments of a step: of living tensors, the GPU's allocator, or the resident set."""

    def __init__(self, how: str) -> None:
        from trl_weighted_dpo.planning.live_bytes import LiveBytes

        self.how, self.peaks = how, dict.fromkeys(("layers", "head", "end of backward", "optimizer step"), 0)
        self._before = 0
        self._live = LiveBytes()

    def start(self, held: list[Any]) -> None:
        if self.how == "tensors":
            self._live.__enter__()
            for tensor in held:
                self._live.add(tensor)
        elif self.how == "resident":
            # What weights, gradients and state take is in the resident set already, and counted as they are.
            self._before = _status("VmRSS") - sum(
                {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in held}.values()
            )
        self.restart()

    def restart(self) -> None:
        if self.how == "tensors":
            self._live.restart()
        elif self.how == "resident":
            Path("/proc/self/clear_refs").write_text("5")
        else:
            import torch

            torch.cuda.reset_peak_memory_stats()

    def close(self, moment: str) -> None:
        """A moment ends, and the next begins."""
        if self.how == "tensors":
            peak = self._live.peak
        elif self.how == "resident":
            peak = _status("VmHWM") - self._before
        else:
            import torch

            peak = torch.cuda.max_memory_allocated()
        self.peaks[moment] = max(self.peaks[moment], peak)
        self.restart()

    def stop(self) -> None:
        if self.how == "tensors":
            self._live.__exit__(None, None, None)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def measured(trainer: Any, how: str) -> dict[str, int]:
    """Bytes of the last of three optimizer steps."""
    from transformers import TrainerCallback

    meter = Meter(how)
    seen: set[str] = set()
    result: dict[str, int] = {}

    def storages(tensors: Any) -> int:
        return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())

    def state_tensors() -> list[Any]:
        import torch

        states = trainer.optimizer.state.values()
        return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]

    def weights() -> list[Any]:
        from bitsandbytes.nn import Params4bit

        constants = []
        for parameter in trainer.model.parameters():
            if isinstance(parameter, Params4bit):
                state = parameter.quant_state
                constants += [state.absmax, state.code]
        return [*trainer.model.parameters(), *constants]

    class Last(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                result["parameters"] = storages(weights())
                result["optimizer state"] = storages(state_tensors())
                gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
                meter.start([*weights(), *trainer.model.buffers(), *state_tensors(), *gradients])
                watch()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                # Without a gradient for the embedding, the backward pass ends with the layers.
                meter.close("end of backward" if "embedding" in seen else "layers")
                result["gradients"] = storages(p.grad for p in trainer.model.parameters() if p.grad is not None)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                meter.close("optimizer step")
                meter.stop()

    def watch() -> None:
        model = trainer.accelerator.unwrap_model(trainer.model)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model

        def layers_are_done(module: Any, inputs: Any, output: Any) -> None:
            # The end of the layers' forward; their backward begins when the gradient of this arrives.
            meter.close("layers")
            if output[0].requires_grad:
                output[0].register_hook(lambda gradient: meter.close("head"))
            else:
                seen.add("reference")

        def layers_end(gradient: Any) -> None:
            seen.add("embedding")
            meter.close("layers")

        def embedded(module: Any, inputs: Any, output: Any) -> None:
            if "reference" in seen:
                seen.remove("reference")
                meter.close("head")
            if output.requires_grad:
                output.register_hook(layers_end)

        base.base_model.register_forward_hook(layers_are_done)
        base.get_input_embeddings().register_forward_hook(embedded)

    trainer.add_callback(Last())
    trainer.train()
    return {**result, **meter.peaks}


def run_case(name: str, how: str, cpu: bool) -> None:
    """In a process of its own: prints JSON."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        trainer = make_trainer(CASES[name], folder, cpu)
        plan = predicted(CASES[name], trainer, folder)
        print("RESULT" + json.dumps({"plan": plan, "measured": measured(trainer, how)}))


def result_of(name: str, how: str, cpu: bool) -> dict[str, dict[str, int]]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if how == "resident":
        # Blocks go back to the system when they are freed, so that the resident set is what is in use.
        environment["MALLOC_MMAP_THRESHOLD_"] = environment["MALLOC_TRIM_THRESHOLD_"] = "65536"
    command = [
        sys.executable,
        "-m",
        "benchmarks.memory_plan",
        "--case",
        name,
        "--how",
        how,
        *(["--cpu"] if cpu else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "RESULT" not in done.stdout:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    result: dict[str, dict[str, int]] = json.loads(done.stdout.split("RESULT")[1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--how", choices=("tensors", "resident", "cuda"))
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    if options.case:
        run_case(options.case, options.how, options.cpu)
        return
    import torch

    cpu = options.cpu or not torch.cuda.is_available()
    names = ("torch", "transformers", "trl", "peft", "bitsandbytes")
    device = "CPU" if cpu else torch.cuda.get_device_name()
    print(f"{device}; " + ", ".join(f"{name} {version(name)}" for name in names) + "\n")
    columns = ("parameters", "gradients", "optimizer state", "layers", "head", "end of backward", "optimizer step")
    titles = (*columns, "most at once", *(["resident set"] if cpu else []))
    print(f"| case | {' | '.join(titles)} | measured, MiB |")
    print("|---" * (len(titles) + 2) + "|")
    for name in CASES:
        how = "tensors" if cpu else "cuda"
        try:
            result = result_of(name, how, cpu)
        except RuntimeError as error:
            print(f"| {name} | did not run: {error} |" + " |" * len(titles), flush=True)
            continue
        plan, real = result["plan"], result["measured"]
        moments = columns[3:]
        cells = [f"{plan[column] / real[column]:.3f}" if real[column] else "–" for column in columns]
        most, real_most = (max(values[moment] for moment in moments) for values in (plan, real))
        cells.append(f"{most / real_most:.3f}")
        if cpu:
            resident = result_of(name, "resident", cpu)["measured"]
            cells.append(f"{most / max(resident[moment] for moment in moments):.3f}")
        print(f"| {name} | {' | '.join(cells)} | {real_most / MIB:.0f} |", flush=True)


if __name__ == "__main__":
    main()
