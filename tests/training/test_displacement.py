"""DPO-Positive, offsets and β of single pairs in the losses: hand-written formulas, gradients, refusals."""

import math
from dataclasses import replace

import pytest
import torch

from trl_weighted_dpo.training.objective import (
    MARGIN_LOSSES,
    PAIR_LOSSES,
    Objective,
    PairLogps,
    detach_unweighted,
    pair_losses,
    weighted_mean,
)

SMOOTHING = {"exo_pair": 0.01, "robust": 0.1}
ABSOLUTE = ["nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down"]


def values(*given):
    return torch.tensor(given, dtype=torch.float64)


def pairs():
    """Two pairs, with r_w = -0.5 (displaced) and 1, r_l = -1.5 and 1; 4 chosen and 8 rejected tokens."""
    lengths = torch.tensor([4, 4]), torch.tensor([8, 8])
    return PairLogps(values(-5.5, -3), values(-7, -2), values(-5, -4), values(-5.5, -3), *lengths, values(1.4, 0.7))


def objective(loss_type, **changes):
    return Objective((loss_type,), beta=0.2, label_smoothing=SMOOTHING.get(loss_type, 0.0), **changes)


def sigma(x):
    return 1 / (1 + math.exp(-x))


def by_hand(loss_type, beta, ratios, penalty, offset):
    """The losses written from their papers, on one pair, with the margin of DPO-Positive and of ODPO."""
    chosen, rejected = ratios
    m = beta * (chosen - rejected - penalty) - offset
    per_token = chosen / 4 - rejected / 8 - penalty / 4
    return {
        "sigmoid": lambda: -math.log(sigma(m)),
        "sigmoid_norm": lambda: -math.log(sigma(beta * per_token - offset)),
        "hinge": lambda: max(0.0, 1 - m),
        "ipo": lambda: (per_token - (0.5 + offset) / beta) ** 2,
        "exo_pair": lambda: sigma(m) * math.log(sigma(m) / 0.99) + sigma(-m) * math.log(sigma(-m) / 0.01),
        "robust": lambda: (-0.9 * math.log(sigma(m)) + 0.1 * math.log(sigma(-m))) / 0.8,
        "discopop": lambda: (1 - sigma(m / 0.05)) * -math.log(sigma(m)) + sigma(m / 0.05) * math.exp(-m),
    }[loss_type]()


@pytest.mark.parametrize("loss_type", MARGIN_LOSSES)
def test_margin_of_dpo_positive_offset_and_pairs_own_beta(loss_type):
    given = replace(pairs(), beta=values(0.2, 0.4), offsets=values(0.3, -0.6))
    measured = pair_losses(given, objective(loss_type, dpop_lambda=2.0)).tolist()
    # -lambda max(0, -r_w): 2 * 0.5 for the displaced pair, nothing for the other.
    expected = [
        by_hand(loss_type, 0.2, (-0.5, -1.5), 1.0, 0.3),
        by_hand(loss_type, 0.4, (1.0, 1.0), 0.0, -0.6),
    ]
    assert measured == pytest.approx(expected, rel=1e-12)


def test_equation_3_of_the_paper_and_its_sign():
    """-log sigma(beta (r_w - r_l - lambda max(0, log ref(y_w)/pi(y_w)))), with the paper's lambda 50 and beta 0.3."""
    given = pairs()
    paper = -math.log(sigma(0.3 * (-0.5 + 1.5 - 50 * 0.5)))
    measured = pair_losses(given, Objective(beta=0.3, dpop_lambda=50.0))
    assert measured[0].item() == pytest.approx(paper, rel=1e-12)
    assert measured[0] > pair_losses(given, Objective(beta=0.3))[0]


def test_the_gradient_raises_a_displaced_chosen_completion_harder():
    """d loss / d log pi(y_w) = -sigma(-m) beta (1 + lambda) below the reference, and without lambda above it."""
    given = pairs()
    chosen = given.chosen.clone().requires_grad_()
    pair_losses(replace(given, chosen=chosen), Objective(beta=0.2, dpop_lambda=3.0)).sum().backward()
    m = 0.2 * (1.0 - 1.5), 0.2 * 0.0
    assert chosen.grad.tolist() == pytest.approx([-sigma(-m[0]) * 0.2 * 4, -sigma(-m[1]) * 0.2], rel=1e-12)


def test_the_penalty_has_no_gradient_where_training_starts():
    given = replace(pairs(), chosen=pairs().ref_chosen, rejected=pairs().ref_rejected)
    gradients = []
    for strength in (0.0, 50.0):
        chosen = given.chosen.clone().requires_grad_()
        pair_losses(replace(given, chosen=chosen), Objective(beta=0.2, dpop_lambda=strength)).sum().backward()
        gradients.append(chosen.grad.tolist())
    assert gradients[0] == gradients[1] == pytest.approx([-0.1, -0.1])


@pytest.mark.parametrize("loss_type", PAIR_LOSSES)
def test_gradients_match_finite_differences(loss_type):
    on_margin = loss_type in MARGIN_LOSSES
    base = replace(pairs(), beta=values(0.2, 0.4), offsets=values(0.3, -0.6) if on_margin else None)
    target = objective(loss_type, dpop_lambda=2.0 if on_margin else 0.0)
    inputs = [getattr(base, name).clone().requires_grad_() for name in ("chosen", "rejected", "chosen_nll")]

    def loss(chosen, rejected, nll):
        return pair_losses(replace(base, chosen=chosen, rejected=rejected, chosen_nll=nll), target)

    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("loss_type", [name for name in PAIR_LOSSES if name != "sft"])
def test_defaults_change_no_bit(loss_type):
    """One beta for all as a column, and offsets of 0, are the plain loss and gradient to the last bit."""
    results = []
    for extra in ({}, {"beta": values(0.2, 0.2)}, {"offsets": values(0.0, 0.0)}):
        chosen = pairs().chosen.clone().requires_grad_()
        losses = pair_losses(replace(pairs(), chosen=chosen, **extra), objective(loss_type))
        losses.sum().backward()
        results.append((losses.tolist(), chosen.grad.tolist()))
    assert results[1] == results[0]
    assert results[2] == results[0]


@pytest.mark.parametrize("loss_type", PAIR_LOSSES)
def test_pairs_own_beta_is_a_loss_of_that_beta_for_each(loss_type):
    if loss_type == "sft":
        expected = pairs().chosen_nll.tolist()
    else:
        single = [pair_losses(pairs(), replace(objective(loss_type), beta=beta)) for beta in (0.05, 0.7)]
        expected = [single[0][0].item(), single[1][1].item()]
        assert expected != pair_losses(pairs(), objective(loss_type)).tolist()
    measured = pair_losses(replace(pairs(), beta=values(0.05, 0.7)), objective(loss_type))
    assert measured.tolist() == pytest.approx(expected, rel=1e-12)


def test_beside_sft_the_penalty_acts_on_the_margin_only():
    combined = pair_losses(pairs(), Objective(("sigmoid", "sft"), (1.0, 5.0), beta=0.2, dpop_lambda=2.0))
    expected = pair_losses(pairs(), objective("sigmoid", dpop_lambda=2.0)) + 5 * pairs().chosen_nll
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=0)


def test_an_offset_acts_in_units_of_reward_for_f_divergences_too():
    target = Objective(beta=0.2, f_divergence="forward_kl")
    delta = (1 - math.exp(0.5)) - (1 - math.exp(1.5))
    measured = pair_losses(replace(pairs(), offsets=values(0.3, 0.3)), target)[0].item()
    assert measured == pytest.approx(-math.log(sigma(0.2 * delta - 0.3)), rel=1e-12)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_displaced_pair_of_weight_zero_gives_no_gradient(bad):
    base = replace(pairs(), ref_chosen=values(-5, bad), beta=values(0.2, 0.3), offsets=values(0.5, 2.0))
    chosen = base.chosen.clone().requires_grad_()
    weights = values(1.5, 0.0)
    given = detach_unweighted(replace(base, chosen=chosen), weights)
    loss = weighted_mean(pair_losses(given, Objective(dpop_lambda=50.0)), weights)
    loss.backward()
    assert math.isfinite(loss.item())
    assert chosen.grad[0].item() != 0.0
    assert chosen.grad[1].item() == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dpop_lambda": -1.0}, "`dpop_lambda` is -1.0: give a finite number >= 0"),
        ({"dpop_lambda": math.inf}, "`dpop_lambda` is inf: give a finite number >= 0"),
        ({"dpop_lambda": 50.0, "f_divergence": "forward_kl"}, "does not go with f_divergence_type 'forward_kl'"),
        ({"dpop_lambda": 50.0, "loss_types": ("sft",)}, "loss_type sft: it has no margin to subtract from"),
        *(
            ({"dpop_lambda": 50.0, "loss_types": ("sigmoid", name)}, f"does not go with loss_type {name}: it scores")
            for name in ABSOLUTE
        ),
    ],
)
def test_what_does_not_go_with_dpo_positive_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Objective(**settings)


@pytest.mark.parametrize("loss_type", [*ABSOLUTE, "sft"])
def test_offsets_without_a_margin_are_refused(loss_type):
    with pytest.raises(ValueError, match=f"The column 'dpo_margin' of the eval dataset does not go with .*{loss_type}"):
        Objective((loss_type,)).check_offsets("the eval dataset")
    for name in MARGIN_LOSSES:
        Objective((name, "sft"), label_smoothing=SMOOTHING.get(name, 0.0)).check_offsets("the eval dataset")
