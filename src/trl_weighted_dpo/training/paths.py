"""Which path scores a model's completion tokens.

What is known of the model rules paths out first. Then, on the longest pair of the first batch, each path that is left
is compared with the model's own forward, and the first that agrees is taken. The shared path must also leave the
rejected completion's log-probs as they were when the chosen completion holds other tokens.
"""

import inspect
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import extract_model_from_parallel, is_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from trl_weighted_dpo.core import seam
from trl_weighted_dpo.training.forward import causal_lm, score_tokens
from trl_weighted_dpo.training.layout import CHOSEN, SHARED_IDS, SHARED_SEGMENTS, segment_branch, with_layout
from trl_weighted_dpo.training.masks import layer_kinds

logger = get_logger(__name__)

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3}
ROUNDED_TOLERANCE = 0.1
"""Nats by which log-probs of the tokens of a pair may differ from the model's own, as root mean square; the second in
half precision or with TF32. Ours: rounding moves them by up to 1e-5 in float32 (models that work in float32 inside
count as such, whatever they are in) and 0.03 in bfloat16."""
LEAK_TOLERANCE, ROUNDED_LEAK_TOLERANCE = 1e-4, 0.01
"""Nats by which log-probs of rejected completions may move when the tokens of the chosen ones are others, likewise.
Ours: the same kernels at the same shapes give the same numbers, but for experts, which get other batches of tokens."""

MASKED_ATTENTION = ("sdpa", "eager", "flex_attention")
"""Attention implementations that take a mask of any form."""

WINDOWED_FAMILIES = frozenset(
    ("cohere2", "gemma2", "gemma3_text", "ministral", "mistral", "mixtral", "olmo3", "phi3", "qwen2", "qwen3",
    "smollm3",
     "starcoder2")
)  # fmt: skip
"""Model types whose sliding-window layers are tested with shared prompts and a window shorter than the text."""

ROW_BOUND_FAMILIES = frozenset(("doge", "gpt_neo"))
"""Model types whose attention counts places in the row, whatever mask and positions say."""

LENGTH_BOUND_ROPE = ("dynamic", "longrope")
"""Rotary embeddings that depend on how long the whole row is."""


def share_mode(value: str | bool) -> str:
    """`"auto"`, `"true"` or `"false"`, of what a config may say.

    Raises:
        `ValueError`: If it is none of them.
    """
    mode = str(value).lower()
    if mode not in ("auto", "true", "false"):
        raise ValueError(f"`share_prompt` is {value!r}. Give 'auto', true or false.")
    return mode


class ScoringPaths:
    """Chooses, once for each model, and remembers.

    Args:
        share (`str`): `"auto"`, `"true"` or `"false"`.
        longest (`int` or `None`): Tokens of a sequence with its padding, at most.
        pad_token_id (`int`): Of the collator.
        accelerator (`Accelerator`): So that all processes take the same path.
    """

    def __init__(self, share: str, longest: int | None, pad_token_id: int, accelerator: Any) -> None:
        self.share, self.pad_token_id = share, pad_token_id
        self._longest, self._accelerator = longest, accelerator
        self._chosen: weakref.WeakKeyDictionary[nn.Module, dict[bool, str]] = weakref.WeakKeyDictionary()
        self._told: set[str] = set()

    def open_paths(self, model: nn.Module) -> list[str]:
        """The paths that what is known of a model leaves open, besides its own forward; the best comes first.

        Raises:
            `ValueError`: If prompts are to be shared (`share="true"`) and cannot be; says why.
        """
        reason = why_not_chunked(model)
        open_paths = [] if reason else ["chunked"]
        if reason is None and self.share != "false":
            reason = why_not_shared(model, self._longest)
            if reason is None:
                return ["shared", "chunked"]
        if reason is not None:
            if self.share == "true":
                raise ValueError(f"`share_prompt` is true, but prompts cannot be shared: {reason}. Set it to 'auto'.")
            what = "Prompts are not shared" if open_paths else "Prompts are not shared, and the model makes all logits"
            self._tell(f"{what}: {reason}. The numbers are the same, and take more time and memory.")
        return open_paths

    def of(self, model: nn.Module, batch: Mapping[str, Tensor], as_reference: bool = False) -> str:
        """The path for a model: `"shared"`, `"chunked"` or `"model"`. The first call for a model compares, with
        `batch`; once more where it acts as its own reference, with another adapter or none.

        Raises:
            `ValueError`: If prompts are to be shared (`share="true"`) and cannot be; says why.
        """
        chosen = self._chosen.setdefault(causal_lm(model), {})
        if as_reference not in chosen:
            chosen[as_reference] = self._choose(model, batch)
        return chosen[as_reference]

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.info(message)

    def _choose(self, model: nn.Module, batch: Mapping[str, Tensor]) -> str:
        open_paths = self.open_paths(model)
        if not open_paths:
            return "model"
        pair = self._longest_pair(batch)
        expected = self._logps(model, pair, "model")
        for path in open_paths:
            difference = self._difference(model, pair, path, expected)
            if difference is None:
                self._tell(f"Completions are scored by the path {path!r}.")
                return path
            if path == "shared" and self.share == "true":
                raise ValueError(f"`share_prompt` is true, but on the first batch {difference}. Set it to 'auto'.")
            logger.warning("The path %r is not taken: on the first batch %s.", path, difference)
        return "model"

    def _longest_pair(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = ("input_ids", "attention_mask", "completion_mask")
        lengths = batch["attention_mask"].sum(dim=1)
        chosen, rejected = lengths.chunk(2)
        row = int((chosen + rejected).argmax())
        rows = [row, row + len(lengths) // 2]
        width = int(lengths[rows].max())
        return {name: batch[name][rows, :width] for name in names}

    def _logps(self, model: nn.Module, pair: dict[str, Tensor], path: str) -> Tensor:
        return self._run(model, with_layout(pair, path, self.pad_token_id), path)

    def _run(self, model: nn.Module, inputs: Mapping[str, Tensor], path: str) -> Tensor:
        with torch.no_grad(), _evaluating(model), self._accelerator.autocast():
            return score_tokens(model, inputs, path).logps

    def _difference(self, model: nn.Module, pair: dict[str, Tensor], path: str, expected: Tensor) -> str | None:
        """What is wrong with a path, in words, or `None`; the same in all processes."""
        problem, error, leak = None, torch.inf, 0.0
        limit, leak_limit = self._tolerances(model, expected)
        try:
            found = self._logps(model, pair, path)
            error = _spread(found - expected, pair["completion_mask"])
            if path == "shared":
                leak = self._leak(model, pair, found)
        except torch.OutOfMemoryError:
            raise
        except Exception as failure:
            # Any model may come here; one that does not take our mask or positions still has its own forward.
            problem = f"it fails ({type(failure).__name__}: {failure})"
        found_out = torch.tensor([[error, leak]], device=expected.device, dtype=torch.float64)
        error, leak = self._accelerator.gather(found_out).max(dim=0).values.tolist()
        # Not `>`, which a difference that is no number would pass.
        if error <= limit and leak <= leak_limit:
            return None
        if error <= limit:
            return f"other tokens in a chosen completion move the rejected one's log-probs, by {leak:.2g} nats"
        return problem or f"its log-probs differ from the model's own by {error:.2g} nats (allowed: {limit:g})"

    def _leak(self, model: nn.Module, pair: dict[str, Tensor], logps: Tensor) -> float:
        """How far the rejected completion's log-probs move when the chosen branch reads other tokens."""
        inputs = dict(with_layout(pair, "shared", self.pad_token_id))
        is_chosen = segment_branch(inputs[SHARED_SEGMENTS]) == CHOSEN
        inputs[SHARED_IDS] = torch.where(is_chosen, inputs[SHARED_IDS].flip(1), inputs[SHARED_IDS])
        return _spread((self._run(model, inputs, "shared") - logps)[1:], pair["completion_mask"][1:])

    def _tolerances(self, model: nn.Module, expected: Tensor) -> tuple[float, float]:
        rounded = self._accelerator.mixed_precision != "no" or causal_lm(model).dtype not in TOLERANCE
        on_tensor_cores = expected.is_cuda and torch.backends.cuda.matmul.allow_tf32
        if rounded or on_tensor_cores:
            return ROUNDED_TOLERANCE, ROUNDED_LEAK_TOLERANCE
        return TOLERANCE[expected.dtype], LEAK_TOLERANCE


def _spread(errors: Tensor, completion_mask: Tensor) -> float:
    """Root mean square over the completion tokens."""
    return float(errors.square().sum().div(completion_mask[:, 1:].sum().clamp(min=1)).sqrt())


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


def why_not_chunked(model: nn.Module) -> str | None:
    """Why the LM head cannot be made to read completion positions only, or `None`."""
    if isinstance(model, nn.DataParallel):
        return "nn.DataParallel copies the model for each batch"
    inner = extract_model_from_parallel(model, keep_torch_compile=True)
    if hasattr(inner, "_orig_mod") or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in (model, inner, causal_lm(model))
    ):
        return "the model is compiled"
    if is_peft_model(inner) and inner.active_peft_config.is_prompt_learning:
        return "the adapter learns a prompt, whose virtual tokens move all positions"
    base = causal_lm(model)
    head = base.get_output_embeddings()
    if head is None or base.base_model is base:
        return f"{type(base).__name__} does not name its backbone and its LM head"
    if seam.is_tensor_parallel(base):
        return "the LM head is split over devices by tensor parallelism"
    saved = isinstance(head, ModulesToSaveWrapper)
    linears = [head.original_module, *head.modules_to_save.values()] if saved else [head]
    if not all(isinstance(linear, nn.Linear) and linear.weight.is_floating_point() for linear in linears):
        return f"the LM head is a {type(linears[0]).__name__}, not a plain linear layer"
    if any(linear.weight.is_meta for linear in linears):
        return "the LM head is offloaded"
    return None


def why_not_shared(model: nn.Module, longest: int | None) -> str | None:
    """Why chosen and rejected cannot share what they begin with, or `None`.

    Args:
        model (`nn.Module`):
            Causal language model, wrapped or not, whose head can be chunked.
        longest (`int` or `None`):
            Tokens of a sequence with its padding, at most; `None` if there is no limit.
    """
    base = causal_lm(model)
    config = base.config.get_text_config()
    try:
        window = layer_kinds(config).window
    except ValueError as error:
        return str(error)
    if seam.is_stateful(base) or any(isinstance(module, nn.Conv1d) for module in base.modules()):
        return "it has recurrent or convolution layers, in which one completion would leak into the other"
    attention = seam.attention_implementation(config)
    if attention not in MASKED_ATTENTION:
        return f"attention implementation {attention!r} takes no 4-D mask ({', '.join(MASKED_ATTENTION)} do)"
    if "position_ids" not in inspect.signature(base.base_model.forward).parameters:
        return f"{type(base).__name__} takes no positions"
    if config.model_type in ROW_BOUND_FAMILIES:
        return f"attention of {config.model_type!r} counts places in the row"
    if window is not None and config.model_type not in WINDOWED_FAMILIES:
        return f"{config.model_type!r} has sliding-window layers, and is not among the model types tested with them"
    inner = extract_model_from_parallel(model, keep_torch_compile=True)
    if is_peft_model(inner) and any(
        getattr(adapter, "alora_invocation_tokens", None) for adapter in inner.peft_config.values()
    ):
        return "an activated LoRA looks for its invocation tokens in each row"
    return _why_rope_forbids(config, longest)


def _why_rope_forbids(config: Any, longest: int | None) -> str | None:
    for rope in _ropes(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}):
        kind = rope.get("rope_type", rope.get("type"))
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", config.max_position_embeddings
        )
        if kind in LENGTH_BOUND_ROPE and (longest is None or longest > original):
            return (
                f"its {kind} rotary embedding depends on the length of the row above {original} tokens, and sequences "
                f"have up to {longest or 'any number'}"
            )
    return None


def _ropes(parameters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of all layers, or of each kind of layer."""
    nested = [value for value in parameters.values() if isinstance(value, Mapping)]
    yield from nested or [parameters]
