"""The request for one sample, its result, and the seed of its noise."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """A sample that is asked for.

    Args:
        prompt (`str`): As the model reads it; a BOS that the tokenizer adds is not in it.
        seed (`int`): Of this sample alone, from [`sample_seed`]; at least 0 and less than 2⁶³.
        problem_id (`str`), index (`int`): Which problem's, and which of its samples, for messages.
    """

    prompt: str
    seed: int
    problem_id: str
    index: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled solution.

    Args:
        solution (`str`): Its text, without EOS and without what stopped it.
        truncated (`bool`): Whether it was cut at the maximum length, and neither ended nor was stopped.
        tokens (`int`): Tokens that were generated, with the end.
    """

    solution: str
    truncated: bool
    tokens: int


def sample_seed(seed: int, problem_id: str, index: int) -> int:
    """The seed of one sample: the first 63 bits of SHA-256 over seed, problem id and number of the sample."""
    content = json.dumps([seed, problem_id, index]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1


def uniforms(seeds: NDArray[np.uint64], positions: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), each a function of a sample's seed and the position of a token alone.

    They are the outputs of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014,
    figure 16) that is started with the seed; its n-th output can be computed without those before it.

    Args:
        seeds (`NDArray[np.uint64]`): Shape (n,).
        positions (`NDArray[np.uint64]`): Shape (n,): how many tokens of the completion come before.

    Returns:
        `NDArray[np.float64]`: Shape (n,), multiples of 2⁻⁵³.
    """
    state = seeds + (positions + np.uint64(1)) * _INCREMENT
    for shift, factor in _MIX:
        state = (state ^ (state >> shift)) * factor
    state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
