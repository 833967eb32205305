"""Which way a model's completion tokens are scored: see [`~training.forward`].

What is known of the model rules ways out first; then, on the longest pair of the first batch, each way that is left is
compared with the model's own forward, and the first that agrees is taken.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import extract_model_from_parallel, is_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from trl_weighted_dpo.training.forward import causal_lm, score_tokens
from trl_weighted_dpo.training.layout import with_layout
from trl_weighted_dpo.training.masks import layer_kinds

logger = get_logger(__name__)

MASKED_ATTENTION = ("sdpa", "eager", "flex_attention")
"""Attention implementations that take a mask of any form."""

WINDOWED_FAMILIES = frozenset(
    {
        "cohere2",
        "gemma2",
        "gemma3_text",
        "ministral",
        "mistral",
        "mixtral",
        "olmo3",
        "phi3",
        "qwen2",
        "qwen3",
        "smollm3",
    }
    | {"starcoder2"}
)
"""Model types whose sliding-window layers are tested with shared prompts and a window shorter than the text."""

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3}
ROUNDED_TOLERANCE = 0.1
"""Nats by which log-probs of the tokens of a pair may differ from the model's own, as root mean square; the second in
half precision or with TF32. Ours: rounding moves them by up to 1e-5 in float32 and 0.03 in bfloat16 (models that work
in float32 inside count as such), while a completion that sees the other one moves them by 0.05 to 1 even in an
untrained model."""


def share_mode(value: str | bool) -> str:
    """`"auto"`, `"true"` or `"false"`, of what a config may say.

    Raises:
        `ValueError`: If it is none of them.
    """
    mode = str(value).lower()
    if mode not in ("auto", "true", "false"):
        raise ValueError(f"`share_prompt` is {value!r}. Give 'auto', true or false.")
    return mode


def head_obstacle(model: nn.Module) -> str | None:
    """Why the LM head cannot be made to read completion positions only, or `None`."""
    if isinstance(model, nn.DataParallel):
        return "nn.DataParallel copies the model for each batch"
    inner = extract_model_from_parallel(model, keep_torch_compile=True)
    if hasattr(inner, "_orig_mod"):
        return "the model is compiled"
    if is_peft_model(inner) and inner.active_peft_config.is_prompt_learning:
        return "the adapter learns a prompt, whose virtual tokens move all positions"
    base = causal_lm(model)
    head = base.get_output_embeddings()
    if head is None or base.base_model is base:
        return f"{type(base).__name__} does not name its backbone and its LM head"
    if getattr(base, "tp_size", None) or getattr(base, "_tp_size", None):
        return "the LM head is split over devices by tensor parallelism"
    saved = isinstance(head, ModulesToSaveWrapper)
    linears = [head.original_module, *head.modules_to_save.values()] if saved else [head]
    if not all(isinstance(linear, nn.Linear) and linear.weight.is_floating_point() for linear in linears):
        return f"the LM head is a {type(linears[0]).__name__}, not a plain linear layer"
    if any(linear.weight.is_meta for linear in linears):
        return "the LM head is offloaded"
    return None


def sharing_obstacle(model: nn.Module, max_length: int | None) -> str | None:
    """Why chosen and rejected cannot share what they begin with, or `None`.

    Args:
        model (`nn.Module`):
            Causal language model, wrapped or not, whose head has no obstacle.
        max_length (`int` or `None`):
            Tokens of a sequence, at most.
    """
    base = causal_lm(model)
    config = base.config.get_text_config()
    try:
        window = layer_kinds(config).window
    except ValueError as error:
        return str(error)
    if getattr(base, "_is_stateful", False) or any(isinstance(module, nn.Conv1d) for module in base.modules()):
        return "it has recurrent or convolution layers, in which one completion would leak into the other"
    attention = config._attn_implementation
    if attention not in MASKED_ATTENTION:
        return f"attention implementation {attention!r} takes no 4-D mask ({', '.join(MASKED_ATTENTION)} do)"
    if "position_ids" not in inspect.signature(base.base_model.forward).parameters:
        return f"{type(base).__name__} takes no positions"
    reaches = window is not None and (max_length is None or max_length > window)
    if reaches and config.model_type not in WINDOWED_FAMILIES:
        return f"{config.model_type!r} has sliding-window layers, and is not among the model types tested with them"
    return None


class ScoringPaths:
    """Chooses, once for each model, and remembers.

    Args:
        share (`str`): `"auto"`, `"true"` or `"false"`.
        max_length (`int` or `None`): Tokens of a sequence, at most.
        pad_token_id (`int`): Of the collator.
        accelerator (`Accelerator`): So that all processes take the same way.
    """

    def __init__(self, share: str, max_length: int | None, pad_token_id: int, accelerator: Any) -> None:
        self.share, self.pad_token_id = share, pad_token_id
        self._max_length, self._accelerator = max_length, accelerator
        self._chosen: dict[int, str] = {}

    def ways(self, model: nn.Module) -> list[str]:
        """The ways that what is known of a model leaves open, besides its own forward; the best comes first.

        Raises:
            `ValueError`: If prompts are to be shared (`share="true"`) and cannot be; says why.
        """
        obstacle = head_obstacle(model)
        ways = [] if obstacle else ["chunked"]
        if obstacle is None and self.share != "false":
            obstacle = sharing_obstacle(model, self._max_length)
            if obstacle is None:
                return ["shared", "chunked"]
        if obstacle is not None:
            if self.share == "true":
                raise ValueError(f"`share_prompt` is true, but prompts cannot be shared: {obstacle}. Set it to 'auto'.")
            what = "Prompts are not shared" if ways else "Prompts are not shared, and the model makes all logits"
            logger.info("%s: %s. The numbers are the same, and take more time and memory.", what, obstacle)
        return ways

    def of(self, model: nn.Module, batch: Mapping[str, Tensor]) -> str:
        """The way for a model: `"shared"`, `"chunked"` or `"model"`. The first call for a model compares, with `batch`.

        Raises:
            `ValueError`: If prompts are to be shared (`share="true"`) and cannot be; says why.
        """
        key = id(causal_lm(model))
        if key not in self._chosen:
            self._chosen[key] = self._choose(model, batch)
        return self._chosen[key]

    def _choose(self, model: nn.Module, batch: Mapping[str, Tensor]) -> str:
        ways = self.ways(model)
        if not ways:
            return "model"
        pair = self._longest_pair(batch)
        expected = self._logps(model, pair, "model")
        for way in ways:
            difference = self._difference(model, pair, way, expected)
            if difference is None:
                logger.info("Completions are scored by the path %r.", way)
                return way
            if way == "shared" and self.share == "true":
                raise ValueError(f"`share_prompt` is true, but on the first batch {difference}. Set it to 'auto'.")
            logger.warning("The path %r is not taken: on the first batch %s.", way, difference)
        return "model"

    def _longest_pair(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = ("input_ids", "attention_mask", "completion_mask")
        lengths = batch["attention_mask"].sum(dim=1)
        chosen, rejected = lengths.chunk(2)
        row = int((chosen + rejected).argmax())
        rows = [row, row + len(lengths) // 2]
        width = int(lengths[rows].max())
        return {name: batch[name][rows, :width] for name in names}

    def _logps(self, model: nn.Module, pair: dict[str, Tensor], way: str) -> Tensor:
        inputs = with_layout(pair, way, self.pad_token_id)
        with torch.no_grad(), _evaluating(model), self._accelerator.autocast():
            return score_tokens(model, inputs, way).logps

    def _difference(self, model: nn.Module, pair: dict[str, Tensor], way: str, expected: Tensor) -> str | None:
        """What is wrong with a way, in words, or `None`; the same in all processes."""
        problem = None
        try:
            error = self._logps(model, pair, way) - expected
        except torch.OutOfMemoryError:
            raise
        except Exception as failure:
            # Any model may come here; one that does not take our mask or positions still has its own forward.
            problem = f"it fails ({type(failure).__name__}: {failure})"
            size = torch.inf
        else:
            size = float(error.square().sum().div(pair["completion_mask"][:, 1:].sum().clamp(min=1)).sqrt())
        limit = self._tolerance(model, expected)
        worst = float(self._accelerator.gather(torch.tensor([size / limit], device=expected.device)).max())
        # Not `>`, which a difference that is no number would pass.
        if worst <= 1.0:
            return None
        return problem or f"its log-probs differ from the model's own by {worst * limit:.2g} nats (allowed: {limit:g})"

    def _tolerance(self, model: nn.Module, expected: Tensor) -> float:
        rounded = self._accelerator.mixed_precision != "no" or causal_lm(model).dtype not in TOLERANCE
        on_tensor_cores = expected.is_cuda and torch.backends.cuda.matmul.allow_tf32
        return ROUNDED_TOLERANCE if rounded or on_tensor_cores else TOLERANCE[expected.dtype]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off for a while, whatever each module was in."""
    # Seen in evaluation on a CPU, bitsandbytes packs 4-bit weights for inference, and cannot train with them any more.
    modes = [
        (module, module.training)
        for module in model.modules()
        if getattr(getattr(module, "weight", None), "quant_state", None) is None
    ]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
