"""Per-pair preference losses, unreduced, as pure functions.

Shapes: B pairs; every tensor is (B,). Notation: β is `beta` or the pair's own, ε is `label_smoothing`; with the log
ratios

    r_w = log π_θ(y_w|x) − log π_ref(y_w|x),        r_l = log π_θ(y_l|x) − log π_ref(y_l|x)

the scores are s = f'(exp r) for the f-divergence in force (s = r for the reverse KL of DPO), and Δ = s_w − s_l. The
margin of a pair, with λ = `dpop_lambda` and its own offset δ, is

    m = β (Δ − λ max(0, −r_w)) − δ

that is βΔ by default. λ is DPO-Positive (arXiv 2402.13228, Eq. 3), δ is DPO with an offset (ODPO, arXiv 2402.10571).
Losses that are built on βΔ are so on m, in both directions of a smoothed label too (ours where a paper has no λ or δ).
With weights ≡ 1, λ = 0, δ = 0 and one β the mean over the batch is TRL's `DPOTrainer` loss, except for `"sft"` (see
`_sft`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from trl_weighted_dpo.core.schema import DPO_MARGIN

F_DIVERGENCES = ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")


@dataclass(frozen=True)
class PairLogps:
    """What the losses need of a batch of B pairs; every tensor has shape (B,).

    Args:
        chosen, rejected: log π_θ of the completion given the prompt, summed over its tokens.
        ref_chosen, ref_rejected: The same under the reference model.
        chosen_lengths, rejected_lengths: Number of completion tokens (after truncation).
        chosen_nll: −log π_θ of the chosen completion per scored token, for `"sft"`. It is apart from `chosen`, which
            LD-DPO may have changed.
        beta: β of each pair, > 0, in place of the objective's; `None` if the pairs bring none.
        offsets: δ of each pair, in units of reward; `None` if the pairs bring none.
    """

    chosen: Tensor
    rejected: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    chosen_lengths: Tensor
    rejected_lengths: Tensor
    chosen_nll: Tensor
    beta: Tensor | None = None
    offsets: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """Which losses are combined, and their parameters; the names and defaults are those of TRL's `DPOConfig`, and
    `dpop_lambda` ≥ 0 is λ of DPO-Positive.

    Raises:
        `ValueError`: If a loss has no per-pair form, is unknown, or does not go with the f-divergence or with λ.
    """

    loss_types: tuple[str, ...] = ("sigmoid",)
    loss_weights: tuple[float, ...] | None = None
    beta: float = 0.1
    label_smoothing: float = 0.0
    f_divergence: str = "reverse_kl"
    f_alpha: float = 0.5
    discopop_tau: float = 0.05
    dpop_lambda: float = 0.0

    def __post_init__(self) -> None:
        for loss_type in self.loss_types:
            if loss_type in ("aot", "aot_unpaired"):
                raise ValueError(
                    f"loss_type '{loss_type}' cannot be weighted per pair: it sorts the log ratios across the batch, "
                    "so that a term of the loss no longer belongs to one pair. Use another loss_type, such as "
                    "'sigmoid', or TRL's DPOTrainer."
                )
            if loss_type not in PAIR_LOSSES:
                raise ValueError(f"Unknown loss_type '{loss_type}'. Choose among {', '.join(PAIR_LOSSES)}.")
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_types):
            raise ValueError(
                f"Got {len(self.loss_weights)} loss_weights for {len(self.loss_types)} loss types; give one for each."
            )
        if self.f_divergence not in F_DIVERGENCES:
            raise ValueError(
                f"Unknown f_divergence_type '{self.f_divergence}'. Choose among {', '.join(F_DIVERGENCES)}."
            )
        absolute = self.absolute_losses
        if self.f_divergence != "reverse_kl" and absolute:
            raise ValueError(
                f"f_divergence_type '{self.f_divergence}' has no meaning for loss_type {', '.join(absolute)}: the term "
                "β log Z(x) of f-DPO cancels only in the difference of the two scores. Use 'reverse_kl'."
            )
        if "exo_pair" in self.loss_types and not 0.0 < self.label_smoothing < 1.0:
            raise ValueError("loss_type 'exo_pair' needs 0 < label_smoothing < 1; its paper recommends 1e-3.")
        if "robust" in self.loss_types and not 0.0 <= self.label_smoothing < 0.5:
            raise ValueError(
                f"loss_type 'robust' needs 0 <= label_smoothing < 0.5, the share of flipped labels; got "
                f"{self.label_smoothing}."
            )
        if not 0.0 <= self.dpop_lambda < math.inf:
            raise ValueError(f"`dpop_lambda` is {self.dpop_lambda}: give a finite number >= 0; 0 is none.")
        if self.dpop_lambda > 0:
            self._check_margin(f"`dpop_lambda={self.dpop_lambda:g}`", "set `dpop_lambda=0`")
            if self.f_divergence != "reverse_kl":
                raise ValueError(
                    f"`dpop_lambda={self.dpop_lambda:g}` does not go with f_divergence_type '{self.f_divergence}': the "
                    "penalty is a log ratio, which cannot be subtracted from scores of another scale. Use "
                    "'reverse_kl', or set `dpop_lambda=0`."
                )

    @property
    def absolute_losses(self) -> list[str]:
        """Those of its losses that score a completion alone, without the difference of two scores."""
        return [name for name in self.loss_types if name not in DIFFERENCE_LOSSES]

    @property
    def has_rewards_per_token(self) -> bool:
        """Whether scores, and rewards, are for each token in all losses that have any."""
        return all(name in PER_TOKEN_LOSSES for name in self.loss_types if name != "sft")

    def check_offsets(self, source: str) -> None:
        """Refuse pairs with an offset where no loss has a margin that it could act on.

        Raises:
            `ValueError`: Names the dataset, the loss types and the way out.
        """
        self._check_margin(f"The column '{DPO_MARGIN}' of {source}", "remove the column")

    def _check_margin(self, what: str, way_out: str) -> None:
        absolute = self.absolute_losses
        if absolute or not set(self.loss_types) & set(MARGIN_LOSSES):
            reason = (
                "it scores a completion alone, without a margin to subtract from"
                if absolute
                else "it has no margin to subtract from, so that nothing would change"
            )
            raise ValueError(
                f"{what} does not go with loss_type {', '.join(absolute or self.loss_types)}: {reason}. Use one of "
                f"{', '.join(MARGIN_LOSSES)}, or {way_out}."
            )


@dataclass(frozen=True)
class _Terms:
    """Log ratios and f-divergence scores of a batch, computed once for all losses."""

    logps: PairLogps
    objective: Objective
    ratio_chosen: Tensor
    ratio_rejected: Tensor
    score_chosen: Tensor
    score_rejected: Tensor

    @property
    def beta(self) -> Tensor | float:
        return pair_beta(self.logps, self.objective)

    @property
    def offsets(self) -> Tensor | float:
        return 0.0 if self.logps.offsets is None else self.logps.offsets

    @property
    def penalty(self) -> Tensor | float:
        """λ max(0, −r_w). Its gradient at r_w = 0, where training starts, is 0."""
        strength = self.objective.dpop_lambda
        return strength * torch.relu(-self.ratio_chosen) if strength > 0 else 0.0

    @property
    def margin(self) -> Tensor:
        return self.beta * (self.score_chosen - self.score_rejected - self.penalty) - self.offsets

    @property
    def delta_per_token(self) -> Tensor:
        """s_w/|y_w| − s_l/|y_l|, less the penalty per chosen token."""
        chosen_lengths = self.logps.chosen_lengths.clamp(min=1)
        chosen = self.score_chosen / chosen_lengths
        rejected = self.score_rejected / self.logps.rejected_lengths.clamp(min=1)
        return chosen - rejected - self.penalty / chosen_lengths


def pair_losses(logps: PairLogps, objective: Objective) -> Tensor:
    """Unreduced loss ℓ_i of each pair: the sum of the losses of `objective`, each times its loss weight.

    Args:
        logps ([`PairLogps`]): Log-probs and lengths of B pairs.
        objective ([`Objective`]): What is combined.

    Returns:
        `Tensor` of shape (B,).
    """
    ratio_chosen = logps.chosen - logps.ref_chosen
    ratio_rejected = logps.rejected - logps.ref_rejected
    terms = _Terms(
        logps,
        objective,
        ratio_chosen,
        ratio_rejected,
        divergence_score(ratio_chosen, objective.f_divergence, objective.f_alpha),
        divergence_score(ratio_rejected, objective.f_divergence, objective.f_alpha),
    )
    factors = objective.loss_weights or (1.0,) * len(objective.loss_types)
    total = torch.zeros_like(ratio_chosen)
    for loss_type, factor in zip(objective.loss_types, factors, strict=True):
        total = total + factor * PAIR_LOSSES[loss_type](terms)
    return total


def pair_beta(logps: PairLogps, objective: Objective) -> Tensor | float:
    """β of each pair, shape (B,), or the objective's for all."""
    return objective.beta if logps.beta is None else logps.beta


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """(1/B) Σ w_i ℓ_i, a scalar. The denominator is B, not Σw, so the objective does not depend on how pairs fall into
    batches (ours). A pair with w_i = 0 adds nothing, even where ℓ_i is infinite or NaN."""
    return torch.where(weights > 0, weights * losses, torch.zeros_like(losses)).mean()


def detach_unweighted(logps: PairLogps, weights: Tensor) -> PairLogps:
    """Replace the log-probs of pairs with w_i = 0 by the constant 0, so that no gradient, not even 0 · ∞, reaches the
    model from them. The result keeps its graph."""
    keep = weights > 0

    def select(values: Tensor) -> Tensor:
        return torch.where(keep, values, torch.zeros_like(values))

    names = ("chosen", "rejected", "ref_chosen", "ref_rejected", "chosen_nll")
    return replace(logps, **{name: select(getattr(logps, name)) for name in names})


def divergence_score(log_ratio: Tensor, divergence: str, alpha: float) -> Tensor:
    """f'(u) at u = exp(log_ratio) for the f-divergences of f-DPO (arXiv 2309.16240, Table 1), shape kept.

    Constants follow trl ≥ 1.16. Older ones drop them, which changes nothing but `"ipo"` and `"sigmoid_norm"`, where the
    two scores are divided by different lengths and a constant does not cancel.
    """
    if divergence == "forward_kl":
        return 1 - torch.exp(-log_ratio)
    if divergence == "js_divergence":
        return math.log(2) + F.logsigmoid(log_ratio)
    if divergence == "alpha_divergence" and abs(alpha - 1.0) >= 1e-6:
        # The bound keeps exp(.) finite in float32, the narrowest dtype that log-probs come in.
        exponent = torch.clamp((alpha - 1.0) * log_ratio, max=80.0)
        return (torch.exp(exponent) - 1.0) / (alpha - 1.0)
    return log_ratio


def completion_logps(
    token_logps: Tensor, completion_mask: Tensor, ld_alpha: float | None = None
) -> tuple[Tensor, Tensor]:
    """Sum token log-probs over the completions of a batch that stacks chosen over rejected.

    Args:
        token_logps (`Tensor`): (2B, T) log-probs of each token, 0 outside the completion.
        completion_mask (`Tensor`): (2B, T), 1 on completion tokens.
        ld_alpha (`float`, *optional*): α of LD-DPO (arXiv 2409.06411): tokens past the length of the pair's
            shorter completion count α.

    Returns:
        The two sums for chosen and rejected, each (B,).
    """
    if ld_alpha is not None:
        lengths = completion_mask.sum(dim=1)
        shorter = torch.minimum(*lengths.chunk(2)).repeat(2)
        past = completion_mask.cumsum(dim=1) > shorter.unsqueeze(1)
        token_logps = torch.where(past, ld_alpha * token_logps, token_logps)
    chosen, rejected = token_logps.sum(dim=1).chunk(2)
    return chosen, rejected


def _sigmoid(t: _Terms) -> Tensor:
    """DPO, arXiv 2305.18290, Eq. 7: −log σ(m)."""
    return -F.logsigmoid(t.margin)


def _sigmoid_norm(t: _Terms) -> Tensor:
    """Length-normalised DPO (Tulu 3, arXiv 2411.15124): −log σ(β (s_w/|y_w| − s_l/|y_l|)), the penalty divided by |y_w|
    too (ours), and δ in units of reward per token."""
    return -F.logsigmoid(t.beta * t.delta_per_token - t.offsets)


def _hinge(t: _Terms) -> Tensor:
    """SLiC on the DPO margin, arXiv 2309.06657: max(0, 1 − m)."""
    return torch.relu(1 - t.margin)


def _ipo(t: _Terms) -> Tensor:
    """IPO, arXiv 2310.12036, Eq. 17 with τ = β, on per-token averages as TRL does: (Δ' − 1/(2β))². An offset moves the
    reward aimed at from ½ to ½ + δ (ours): (Δ' − (½ + δ)/β)²."""
    return (t.delta_per_token - 1 / (2 * t.beta) - t.offsets / t.beta) ** 2


def _exo_pair(t: _Terms) -> Tensor:
    """EXO for two completions, arXiv 2402.00856, Eq. 16: KL(σ(±m) ‖ (1−ε, ε))."""
    epsilon = t.objective.label_smoothing
    log_w, log_l = F.logsigmoid(t.margin), F.logsigmoid(-t.margin)
    return log_w.exp() * (log_w - math.log1p(-epsilon)) + log_l.exp() * (log_l - math.log(epsilon))


def _nca_pair(t: _Terms) -> Tensor:
    """NCA for two completions, arXiv 2402.05369: −log σ(βr_w) − ½ log σ(−βr_w) − ½ log σ(−βr_l)."""
    chosen, rejected = t.beta * t.ratio_chosen, t.beta * t.ratio_rejected
    return -F.logsigmoid(chosen) - 0.5 * F.logsigmoid(-chosen) - 0.5 * F.logsigmoid(-rejected)


def _robust(t: _Terms) -> Tensor:
    """Robust DPO, arXiv 2403.00409: (−(1−ε) log σ(m) + ε log σ(−m)) / (1−2ε)."""
    epsilon = t.objective.label_smoothing
    return (-(1 - epsilon) * F.logsigmoid(t.margin) + epsilon * F.logsigmoid(-t.margin)) / (1 - 2 * epsilon)


def _bco_pair(t: _Terms) -> Tensor:
    """BCO without its reward shift, arXiv 2404.04656: −log σ(βr_w) − log σ(−βr_l)."""
    return -F.logsigmoid(t.beta * t.ratio_chosen) - F.logsigmoid(-t.beta * t.ratio_rejected)


def _sppo_hard(t: _Terms) -> Tensor:
    """SPPO with win probabilities 1 and 0, arXiv 2405.00675, Eq. 4.7: (r_w − 1/(2β))² + (r_l + 1/(2β))²."""
    half = 0.5 / t.beta
    return (t.ratio_chosen - half) ** 2 + (t.ratio_rejected + half) ** 2


def _apo_zero(t: _Terms) -> Tensor:
    """APO-zero, arXiv 2408.06266, Eq. 7: (1 − σ(βr_w)) + σ(βr_l)."""
    return 1 - torch.sigmoid(t.beta * t.ratio_chosen) + torch.sigmoid(t.beta * t.ratio_rejected)


def _apo_down(t: _Terms) -> Tensor:
    """APO-down, arXiv 2408.06266, Eq. 8: σ(βr_w) + (1 − σ(β(r_w − r_l)))."""
    return torch.sigmoid(t.beta * t.ratio_chosen) + 1 - torch.sigmoid(t.beta * (t.ratio_chosen - t.ratio_rejected))


def _discopop(t: _Terms) -> Tensor:
    """DiscoPOP's log-ratio modulated loss, arXiv 2406.08414, Eq. 5: a σ(m/τ) mix of −log σ(m) and exp(−m)."""
    mix = torch.sigmoid(t.margin / t.objective.discopop_tau)
    return (1 - mix) * -F.logsigmoid(t.margin) + mix * torch.exp(-t.margin)


def _sft(t: _Terms) -> Tensor:
    """Per-token mean NLL of the pair's own chosen completion. TRL averages over the tokens of the batch instead, a
    scalar that no pair weight can act on; the two agree where the chosen completions of a batch are of equal length."""
    return t.logps.chosen_nll


PAIR_LOSSES: dict[str, Callable[[_Terms], Tensor]] = {
    "sigmoid": _sigmoid,
    "sigmoid_norm": _sigmoid_norm,
    "hinge": _hinge,
    "ipo": _ipo,
    "exo_pair": _exo_pair,
    "nca_pair": _nca_pair,
    "robust": _robust,
    "bco_pair": _bco_pair,
    "sppo_hard": _sppo_hard,
    "apo_zero": _apo_zero,
    "apo_down": _apo_down,
    "discopop": _discopop,
    "sft": _sft,
}

MARGIN_LOSSES: Sequence[str] = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop")
"""Losses built on the margin m, the only ones that λ and δ act on."""

PER_TOKEN_LOSSES: Sequence[str] = ("sigmoid_norm", "ipo")
"""Those whose scores, and rewards, are for each token."""

DIFFERENCE_LOSSES: Sequence[str] = (*MARGIN_LOSSES, "sft")
"""Losses in which no score stands alone, the only ones that an f-divergence, λ or δ makes sense beside."""
