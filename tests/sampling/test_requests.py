"""The noise of a sample is a pure function of seed, problem, number and position."""

import hashlib

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from trl_weighted_dpo.sampling.requests import sample_seed, uniforms


def test_the_noise_is_that_of_splitmix64():
    # The first outputs for the seed 1234567 of the reference implementation.
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    found = uniforms(np.full(5, 1234567, np.uint64), np.arange(5, dtype=np.uint64))
    assert found.tolist() == [(output >> 11) / 2**53 for output in outputs]


def test_the_seed_of_a_sample_is_a_hash():
    expected = int(hashlib.sha256(b'[3, "p-1", 2]').hexdigest()[:16], 16) // 2
    assert sample_seed(3, "p-1", 2) == expected
    assert len({sample_seed(*key) for key in [(3, "p-1", 2), (3, "p-1", 1), (2, "p-1", 2), (3, "p-2", 2)]}) == 4


@pytest.mark.parametrize("varies", ["problem", "number", "position"])
def test_the_noise_is_uniform_and_neighbours_are_independent(varies):
    at = range(20_000)
    seeds = [
        sample_seed(0, f"p-{index if varies == 'problem' else 0}", index if varies == "number" else 0) for index in at
    ]
    positions = np.array([index if varies == "position" else 0 for index in at], np.uint64)
    found = uniforms(np.array(seeds, np.uint64), positions)
    assert kstest(found, "uniform").pvalue > 0.01
    cells = np.histogram2d(found[::2], found[1::2], bins=10, range=[[0, 1], [0, 1]])[0].ravel()
    assert chisquare(cells).pvalue > 0.01
