"""Who is compared: TRL's trainer and ours, made over the same weights and pairs."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.trainer_callback import PrinterCallback
from transformers.utils import is_flash_attn_2_available
from trl import DPOConfig, DPOTrainer

from trl_weighted_dpo import WeightedDPOConfig, WeightedDPOTrainer

NOISE = 1e-3
"""Standard deviation of what is added to every weight of the policy, once the reference log-probs are computed."""


@dataclass(frozen=True)
class Size:
    """A Qwen2 with random weights, and where and how it is trained."""

    name: str
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    checkpointing: bool = False


SMALL = Size("22 M parameters, vocabulary 32 000", 32_000, 384, 1024, 6, 6)
SMALL_WIDE = Size("69 M parameters, vocabulary 152 000", 152_000, 384, 1024, 6, 6)
HALF_BILLION = Size("Qwen2.5-0.5B's dimensions, vocabulary 151 936", 151_936, 896, 4864, 24, 14, "cuda", torch.bfloat16)


@dataclass(frozen=True)
class Contestant:
    """A trainer in one of its modes.

    Args:
        reference: `"in the loop"` (a model in memory, run at each step) or `"given"` (log-probs in the batch).
        weighted: Whether the loss is weighted, so that it differs from that of the others.
    """

    name: str
    ours: bool
    reference: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    attention: str = "sdpa"

    @property
    def weighted(self) -> bool:
        return self.ours and self.settings.get("weight_scheme") != "uniform"


TRL_DEFAULT = Contestant("TRL, default", False, "in the loop")
TRL_PRECOMPUTED = Contestant("TRL, `precompute_ref_log_probs`", False, "given")
OURS = Contestant("ours, reference log-probs given", True, "given")
OURS_UNIFORM = Contestant("ours, uniform weights", True, "given", {"weight_scheme": "uniform"})
OURS_PLAIN = Contestant("ours, `share_prompt: false`", True, "given", {"share_prompt": "false"})
OURS_REFERENCE = Contestant("ours, reference in the loop", True, "in the loop")


def contestants(device: str) -> list[Contestant]:
    """All that can run here; ours, which the others are compared with, is among them."""
    found = [TRL_DEFAULT, TRL_PRECOMPUTED, OURS, OURS_UNIFORM, OURS_PLAIN, OURS_REFERENCE]
    if "share_prompt" not in {item.name for item in fields(WeightedDPOConfig)}:
        found.remove(OURS_PLAIN)
    if device == "cuda" and is_flash_attn_2_available():
        for rival in (TRL_DEFAULT, TRL_PRECOMPUTED):
            name = f"{rival.name}, flash-attention 2"
            found.append(Contestant(name, False, rival.reference, attention="flash_attention_2"))
    return found


@dataclass(frozen=True)
class Racer:
    """A contestant ready to train: its trainer, as `train()` would prepare it, and the same micro-batches as all."""

    contestant: Contestant
    trainer: Any
    batches: list[dict[str, Any]]

    def step(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """Forward and backward of one micro-batch, as the Trainer does it; the loss."""
        return self.trainer.training_step(self.trainer.model, dict(batch))

    def update(self) -> None:
        """The optimizer step that follows."""
        self.trainer.optimizer.step()
        self.forget()

    def forget(self) -> None:
        """Drop the gradients."""
        self.trainer.model.zero_grad(set_to_none=True)


def make_racer(
    contestant: Contestant, size: Size, tokenizer: Any, pairs: list[dict[str, Any]], batch: int, folder: str
) -> Racer:
    """Make a trainer whose policy has moved away from its reference, and its batches of `batch` pairs."""
    config, trainer_class = (WeightedDPOConfig, WeightedDPOTrainer) if contestant.ours else (DPOConfig, DPOTrainer)
    given = contestant.reference == "given"
    arguments = config(
        output_dir=folder,
        use_cpu=size.device == "cpu",
        bf16=size.dtype == torch.bfloat16,
        gradient_checkpointing=size.checkpointing,
        per_device_train_batch_size=batch,
        precompute_ref_log_probs=given,
        max_length=None,
        report_to=[],
        disable_tqdm=True,
        **contestant.settings,
    )
    with quiet():
        trainer = trainer_class(
            model=make_model(size, tokenizer, contestant.attention),
            ref_model=None if given else make_model(size, tokenizer, contestant.attention),
            args=arguments,
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
        )
    trainer.remove_callback(PrinterCallback)
    move_away(trainer.model)
    if size.checkpointing:
        trainer.model.gradient_checkpointing_enable()
    trainer.create_optimizer()
    trainer.model = trainer.model_wrapped = trainer.accelerator.prepare(trainer.model)
    trainer.current_gradient_accumulation_steps = 1
    return Racer(contestant, trainer, [trainer.data_collator(rows) for rows in examples_of(trainer, batch)])


def make_model(size: Size, tokenizer: Any, attention: str) -> Qwen2ForCausalLM:
    """The reference: the same weights at each call."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation=attention,
    )
    with torch.device(size.device):
        return Qwen2ForCausalLM(config).to(size.dtype)


@torch.no_grad()
def move_away(model: torch.nn.Module) -> None:
    """Add the same noise to the weights at each call, in place."""
    for index, parameter in enumerate(model.parameters()):
        generator = torch.Generator(parameter.device).manual_seed(index + 1)
        parameter += NOISE * torch.randn(
            parameter.shape, generator=generator, device=parameter.device, dtype=parameter.dtype
        )


def examples_of(trainer: Any, batch: int) -> list[list[dict[str, Any]]]:
    """The rows of each batch as the trainer's collator gets them."""
    trainer._set_signature_columns_if_needed()
    keep = [name for name in trainer.train_dataset.column_names if name in trainer._signature_columns]
    rows = list(trainer.train_dataset.select_columns(keep))
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars that making a trainer shows."""
    disable_progress_bars()
    with contextlib.redirect_stderr(io.StringIO()):
        yield
