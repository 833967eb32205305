"""What holds for any signals: mean, bounds, λ = 0, order, scale, permutations, degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trl_weighted_dpo.settings.weighting import CONTROLS
from trl_weighted_dpo.weighting import RAW_WEIGHTS, WeightingConfig, compute_weights
from trl_weighted_dpo.weighting.schemes import RELATIVE_NLL

unhurried = settings(deadline=None)
"""A busy machine is no failure."""

NAMES = (
    "rejected_wrongness", "rejected_severity", "rejected_absurdity", "chosen_confidence", "rejected_confidence",
)  # fmt: skip
share = st.none() | st.just(0.0) | st.floats(1e-6, 1.0)
pairs = st.lists(
    st.fixed_dictionaries(
        {
            **dict.fromkeys(NAMES, share),
            "rejected_nll": st.none() | st.floats(1e-3, 50.0),
            "reward_margin": st.none() | st.floats(-30.0, 30.0),
            "score_chosen": st.none() | st.floats(0.0, 10.0),
            "score_rejected": st.none() | st.floats(0.0, 10.0),
        }
    ),
    min_size=1,
    max_size=25,
)
schemes = st.sampled_from([*RAW_WEIGHTS, *CONTROLS])
lambdas = st.floats(0.0, 1.0)


def columns_of(rows):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    # Whichever scheme is drawn finds a value.
    for values in columns.values():
        values[0] = 0.5 if values[0] is None else values[0]
    return columns


def weigh(columns, scheme="verifier", statistics=None, **settings):
    return compute_weights(
        columns, len(next(iter(columns.values()))), WeightingConfig(scheme=scheme, **settings), statistics
    )


@unhurried
@given(pairs, schemes, lambdas)
def test_the_mean_is_one_and_weights_lie_within_the_bounds(rows, scheme, lambda_):
    weights, statistics, summary = weigh(columns_of(rows), scheme, lambda_=lambda_)
    assert weights.mean() == pytest.approx(1.0)
    lowest, highest = 1 + lambda_ * (0.2 - 1), 1 + lambda_ * (5.0 - 1)
    assert (weights * statistics.final_mean >= lowest - 1e-12).all()
    assert (weights * statistics.final_mean <= highest + 1e-12).all()
    assert 0.0 < summary.ess <= 1.0 + 1e-12
    assert 0.0 < summary.ess_u <= 1.0 + 1e-12
    assert summary.histogram_u.edges[0] >= 0.2
    assert summary.histogram_u.edges[-1] <= 5.0
    assert sum(summary.histogram.counts) == sum(summary.histogram_u.counts) == len(rows)


@unhurried
@given(pairs, schemes)
def test_lambda_zero_is_exactly_uniform(rows, scheme):
    assert weigh(columns_of(rows), scheme, lambda_=0.0)[0].tolist() == [1.0] * len(rows)


SIGNS = {
    "verifier": {"rejected_severity": 1, "rejected_confidence": 1, "chosen_confidence": -1, RELATIVE_NLL: 1},
    "wrongness": {"rejected_wrongness": 1},
    "severity": {"rejected_severity": 1},
    "absurdity": {"rejected_absurdity": 1},
    "confidence_gap": {"rejected_confidence": 1, "chosen_confidence": -1},
    "perplexity": {RELATIVE_NLL: 1},
    "reward_margin": {"reward_margin": -1},
    "score_margin": {"score_chosen": 1, "score_rejected": -1},
}


@pytest.mark.parametrize(
    ("scheme", "signal", "sign"), [(s, n, d) for s, signs in SIGNS.items() for n, d in signs.items()]
)
@unhurried
@given(st.lists(st.floats(0.0, 1.0), min_size=len(NAMES) + 4, max_size=len(NAMES) + 4), st.floats(0.0, 5.0))
def test_raw_weights_are_monotone_in_each_signal(scheme, signal, sign, values, step):
    names = (*NAMES, RELATIVE_NLL, "reward_margin", "score_chosen", "score_rejected")
    columns = {name: np.array([value, value]) for name, value in zip(names, values, strict=True)}
    columns[signal][1] += step
    first, second = RAW_WEIGHTS[scheme](columns, WeightingConfig())
    assert sign * second >= sign * first - 1e-12


@unhurried
@given(pairs)
def test_an_inverse_never_weighs_more_where_the_scheme_does(rows):
    columns = columns_of(rows)
    straight, inverse = weigh(columns)[0], weigh(columns, "inverse")[0]
    order = np.argsort(straight, kind="stable")
    larger = np.diff(straight[order]) > 1e-9
    assert (np.diff(inverse[order])[larger] <= 1e-9).all()


@unhurried
@given(
    st.lists(share, min_size=1, max_size=25), st.floats(1e-3, 1.0), st.sampled_from(["severity", *CONTROLS]), lambdas
)
def test_the_scale_of_the_raw_weights_does_not_matter(values, factor, scheme, lambda_):
    values[0] = values[0] or 0.5
    scaled = [None if value is None else factor * value for value in values]
    settings = {"lambda_": lambda_, "control_of": "severity"}
    expected = weigh({"rejected_severity": values}, scheme, **settings)[0]
    assert weigh({"rejected_severity": scaled}, scheme, **settings)[0] == pytest.approx(expected, rel=1e-9)


@unhurried
@given(pairs, schemes, st.randoms(use_true_random=False))
def test_weights_go_with_their_pairs(rows, scheme, random):
    columns = columns_of(rows)
    order = random.sample(range(len(rows)), len(rows))
    permuted = {name: [values[i] for i in order] for name, values in columns.items()}
    before, after = weigh(columns, scheme)[0], weigh(permuted, scheme)[0]
    if scheme == "shuffled":
        assert sorted(after) == pytest.approx(sorted(before))
    else:
        assert after == pytest.approx(before[order])


@unhurried
@given(pairs, schemes)
def test_evaluation_by_the_training_statistics_repeats_itself(rows, scheme):
    columns = columns_of(rows)
    weights, statistics, _ = weigh(columns, scheme)
    again, kept, _ = weigh(columns, scheme, statistics)
    assert again.tolist() == weights.tolist()
    assert kept is statistics


@pytest.mark.parametrize("scheme", [*RAW_WEIGHTS, *CONTROLS])
@pytest.mark.parametrize("size", [1, 7])
def test_equal_pairs_weigh_one(scheme, size):
    row = {**dict.fromkeys(NAMES, 0.5), "rejected_confidence": 0.75, "rejected_nll": 2.0, "reward_margin": -1.0}
    row |= {"score_chosen": 8.0, "score_rejected": 5.0}
    columns = {name: [value] * size for name, value in row.items()}
    assert weigh(columns, scheme)[0] == pytest.approx(np.ones(size), rel=1e-12)


@pytest.mark.parametrize("scheme", ["wrongness", "severity", "absurdity", "verifier", *CONTROLS])
def test_signals_of_zero_weigh_one(scheme):
    columns = {"rejected_wrongness": [0.0] * 3, "rejected_severity": [0.0] * 3, "rejected_absurdity": [0.0] * 3}
    assert weigh(columns, scheme)[0].tolist() == [1.0] * 3


def test_a_single_huge_raw_weight_is_clipped():
    columns = {"rejected_severity": [1e-30] * 999 + [1.0]}
    weights, _, summary = weigh(columns, "severity")
    assert weights[-1] / weights[0] == pytest.approx((1 + 0.3 * 4.0) / (1 - 0.3 * 0.8))
    assert summary.at_clip_min == 0.999
    assert summary.at_clip_max == 0.001
