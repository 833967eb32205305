"""Which way a model's completion tokens are scored: see [`~training.forward`].

What is known of the model ([`~training.obstacles`]) rules ways out first; then, on the longest pair of the first
batch, each
way that is left is compared with the model's own forward, and the first that agrees is taken. Of shared prompts it is
asked, besides, whether other tokens in the chosen completion leave the rejected one's log-probs as they were.
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.logging import get_logger
from torch import Tensor, nn

from trl_weighted_dpo.training.forward import causal_lm, score_tokens
from trl_weighted_dpo.training.layout import CHOSEN, SHARED_IDS, SHARED_SEGMENTS, segment_branch, with_layout
from trl_weighted_dpo.training.obstacles import head_obstacle, sharing_obstacle

logger = get_logger(__name__)

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3}
ROUNDED_TOLERANCE = 0.1
"""Nats by which log-probs of the tokens of a pair may differ from the model's own, as root mean square; the second in
half
precision or with TF32. Ours: rounding moves them by up to 1e-5 in float32 (models that work in float32 inside count as
such, whatever they are in) and 0.03 in bfloat16."""
LEAK_TOLERANCE, ROUNDED_LEAK_TOLERANCE = 1e-4, 0.01
"""Nats by which log-probs of rejected completions may move when the tokens of the chosen ones are others, likewise.
Ours: the same kernels at the same shapes give the same numbers, but for experts, which get other batches of tokens."""


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
        accelerator (`Accelerator`): So that all processes take the same way.
    """

    def __init__(self, share: str, longest: int | None, pad_token_id: int, accelerator: Any) -> None:
        self.share, self.pad_token_id = share, pad_token_id
        self._longest, self._accelerator = longest, accelerator
        self._chosen: weakref.WeakKeyDictionary[nn.Module, dict[bool, str]] = weakref.WeakKeyDictionary()
        self._told: set[str] = set()

    def ways(self, model: nn.Module) -> list[str]:
        """The ways that what is known of a model leaves open, besides its own forward; the best comes first.

        Raises:
            `ValueError`: If prompts are to be shared (`share="true"`) and cannot be; says why.
        """
        obstacle = head_obstacle(model)
        ways = [] if obstacle else ["chunked"]
        if obstacle is None and self.share != "false":
            obstacle = sharing_obstacle(model, self._longest)
            if obstacle is None:
                return ["shared", "chunked"]
        if obstacle is not None:
            if self.share == "true":
                raise ValueError(f"`share_prompt` is true, but prompts cannot be shared: {obstacle}. Set it to 'auto'.")
            what = "Prompts are not shared" if ways else "Prompts are not shared, and the model makes all logits"
            self._tell(f"{what}: {obstacle}. The numbers are the same, and take more time and memory.")
        return ways

    def of(self, model: nn.Module, batch: Mapping[str, Tensor], as_reference: bool = False) -> str:
        """The way for a model: `"shared"`, `"chunked"` or `"model"`. The first call for a model compares, with
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
        ways = self.ways(model)
        if not ways:
            return "model"
        pair = self._longest_pair(batch)
        expected = self._logps(model, pair, "model")
        for way in ways:
            difference = self._difference(model, pair, way, expected)
            if difference is None:
                self._tell(f"Completions are scored by the path {way!r}.")
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
        return self._run(model, with_layout(pair, way, self.pad_token_id), way)

    def _run(self, model: nn.Module, inputs: Mapping[str, Tensor], way: str) -> Tensor:
        with torch.no_grad(), _evaluating(model), self._accelerator.autocast():
            return score_tokens(model, inputs, way).logps

    def _difference(self, model: nn.Module, pair: dict[str, Tensor], way: str, expected: Tensor) -> str | None:
        """What is wrong with a way, in words, or `None`; the same in all processes."""
        problem, error, leak = None, torch.inf, 0.0
        limit, leak_limit = self._tolerances(model, expected)
        try:
            found = self._logps(model, pair, way)
            error = _spread(found - expected, pair["completion_mask"])
            if way == "shared":
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
