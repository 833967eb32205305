"""The per-pair losses against closed forms and finite differences."""

import math

import pytest
import torch

from trl_weighted_dpo.training.objective import (
    PAIR_LOSSES,
    Objective,
    PairLogps,
    completion_logps,
    detach_unweighted,
    divergence_score,
    pair_losses,
    weighted_mean,
)

NAMES = ("chosen", "rejected", "ref_chosen", "ref_rejected")
SMOOTHING = {"exo_pair": 0.01, "robust": 0.1}


def logps(chosen=(-4.0,), rejected=(-7.0,), ref_chosen=(-5.0,), ref_rejected=(-5.5,), lengths=(4, 8), nll=(1.0,)):
    values = [torch.tensor(side, dtype=torch.float64) for side in (chosen, rejected, ref_chosen, ref_rejected)]
    counts = [torch.full((len(chosen),), length) for length in lengths]
    return PairLogps(*values, *counts, torch.tensor(nll, dtype=torch.float64).expand(len(chosen)))


def sigma(x):
    return 1 / (1 + math.exp(-x))


# r_w = 1, r_l = -1.5, Δ = 2.5, β = 0.2, lengths 4 and 8
CLOSED_FORMS = {
    "sigmoid": -math.log(sigma(0.5)),
    "sigmoid_norm": -math.log(sigma(0.2 * (1 / 4 + 1.5 / 8))),
    "hinge": 0.5,
    "ipo": (1 / 4 + 1.5 / 8 - 2.5) ** 2,
    "exo_pair": sigma(0.5) * math.log(sigma(0.5) / 0.99) + sigma(-0.5) * math.log(sigma(-0.5) / 0.01),
    "nca_pair": -math.log(sigma(0.2)) - 0.5 * math.log(sigma(-0.2)) - 0.5 * math.log(sigma(0.3)),
    "robust": (-0.9 * math.log(sigma(0.5)) + 0.1 * math.log(sigma(-0.5))) / 0.8,
    "bco_pair": -math.log(sigma(0.2)) - math.log(sigma(0.3)),
    "sppo_hard": (1 - 2.5) ** 2 + (-1.5 + 2.5) ** 2,
    "apo_zero": (1 - sigma(0.2)) + sigma(-0.3),
    "apo_down": sigma(0.2) + 1 - sigma(0.5),
    "discopop": (1 - sigma(10)) * -math.log(sigma(0.5)) + sigma(10) * math.exp(-0.5),
    "sft": 1.0,
}


@pytest.mark.parametrize("loss_type", PAIR_LOSSES)
def test_closed_form(loss_type):
    objective = Objective((loss_type,), beta=0.2, label_smoothing=SMOOTHING.get(loss_type, 0.0))
    assert pair_losses(logps(), objective).item() == pytest.approx(CLOSED_FORMS[loss_type], rel=1e-12)


@pytest.mark.parametrize("loss_type", PAIR_LOSSES)
def test_gradients_match_finite_differences(loss_type):
    objective = Objective((loss_type,), beta=0.2, label_smoothing=SMOOTHING.get(loss_type, 0.0))
    base = logps(chosen=(-4.0, -2.0), rejected=(-7.0, -3.0), ref_chosen=(-5.0, -4.0), ref_rejected=(-5.5, -2.0))
    inputs = [getattr(base, name).clone().requires_grad_() for name in (*NAMES[:2], "chosen_nll")]

    def loss(chosen, rejected, nll):
        given = PairLogps(
            chosen, rejected, base.ref_chosen, base.ref_rejected, base.chosen_lengths, base.rejected_lengths, nll
        )
        return pair_losses(given, objective)

    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [("reverse_kl", 0.7), ("forward_kl", 1 - math.exp(-0.7)), ("js_divergence", math.log(2 / (1 + math.exp(-0.7)))),
     ("alpha_divergence", (math.exp(-0.5 * 0.7) - 1) / -0.5)],
)  # fmt: skip
def test_divergence_scores(divergence, expected):
    score = divergence_score(torch.tensor(0.7, dtype=torch.float64), divergence, 0.5)
    assert score.item() == pytest.approx(expected, rel=1e-12)
    assert divergence_score(torch.tensor(0.0, dtype=torch.float64), divergence, 0.5).item() == pytest.approx(0.0)


def test_alpha_divergence_stays_finite():
    score = divergence_score(torch.tensor(-1000.0), "alpha_divergence", 0.5)
    assert score.item() == pytest.approx(-2 * math.exp(80), rel=1e-5)


def test_combination_is_the_weighted_sum():
    parts = [pair_losses(logps(), Objective((name,))).item() for name in ("sigmoid", "hinge", "sft")]
    combined = pair_losses(logps(), Objective(("sigmoid", "hinge", "sft"), (0.5, 2.0, 5.0)))
    assert combined.item() == pytest.approx(0.5 * parts[0] + 2.0 * parts[1] + 5.0 * parts[2], rel=1e-12)


def test_ld_alpha_discounts_tokens_past_the_shorter_completion():
    token_logps = torch.tensor([[0.0, -1.0, -2.0, -3.0], [0.0, -1.0, -1.0, 0.0]])
    mask = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 0]])
    chosen, rejected = completion_logps(token_logps, mask, ld_alpha=0.5)
    assert (chosen.item(), rejected.item()) == (-1.0 - 2.0 - 1.5, -2.0)
    chosen, rejected = completion_logps(token_logps, mask)
    assert (chosen.item(), rejected.item()) == (-6.0, -2.0)


def test_weighted_mean_divides_by_the_number_of_pairs():
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert weighted_mean(losses, torch.tensor([2.0, 1.0, 0.0, 0.5])).item() == pytest.approx((2 + 2 + 2) / 4)


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_pair_of_weight_zero_adds_neither_loss_nor_gradient(bad):
    base = logps(chosen=(-4.0, -2.0), rejected=(-7.0, -3.0), ref_chosen=(-5.0, bad), ref_rejected=(-5.5, -2.0))
    chosen = base.chosen.clone().requires_grad_()
    given = PairLogps(
        chosen, base.rejected, base.ref_chosen, base.ref_rejected, base.chosen_lengths, base.rejected_lengths,
        base.chosen_nll,
    )  # fmt: skip
    weights = torch.tensor([1.5, 0.0], dtype=torch.float64)
    loss = weighted_mean(pair_losses(detach_unweighted(given, weights), Objective()), weights)
    loss.backward()
    alone = 1.5 * pair_losses(logps(), Objective()).item() / 2
    assert loss.item() == pytest.approx(alone, rel=1e-12)
    assert chosen.grad[0].item() != 0.0
    assert chosen.grad[1].item() == 0.0


def test_a_batch_of_zeros_keeps_its_graph():
    chosen = torch.tensor([-4.0, -2.0], requires_grad=True)
    other = torch.tensor([-3.0, -3.0])
    given = PairLogps(chosen, other, other, other, torch.tensor([4, 4]), torch.tensor([4, 4]), -chosen / 4)
    weights = torch.zeros(2)
    loss = weighted_mean(pair_losses(detach_unweighted(given, weights), Objective()), weights)
    loss.backward()
    assert loss.item() == 0.0
    assert chosen.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss_types": ("aot",)}, "sorts the log ratios across the batch"),
        ({"loss_types": ("sigmoid", "aot_unpaired")}, "sorts the log ratios across the batch"),
        ({"loss_types": ("sigmod",)}, "Unknown loss_type 'sigmod'. Choose among sigmoid"),
        ({"loss_types": ("sigmoid", "sft"), "loss_weights": (1.0,)}, "1 loss_weights for 2 loss types"),
        ({"f_divergence": "kl"}, "Unknown f_divergence_type 'kl'"),
        ({"loss_types": ("bco_pair",), "f_divergence": "forward_kl"}, "no meaning for loss_type bco_pair"),
        ({"loss_types": ("exo_pair",)}, "needs 0 < label_smoothing < 1"),
        ({"loss_types": ("robust",), "label_smoothing": 0.5}, "needs 0 <= label_smoothing < 0.5"),
    ],
)
def test_impossible_objectives_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Objective(**settings)
