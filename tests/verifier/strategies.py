"""What the property tests draw: solutions with true arithmetic, wrong equations, and text that no one would write."""

import random

from hypothesis import strategies as st

from tests.verifier.sums import any_sum
from tests.verifier.true_arithmetic import NOTATIONS
from tests.verifier.worked import Worked, any_worked

randomness = st.randoms(use_true_random=False)


def true_lines(notation: str) -> st.SearchStrategy[str]:
    """Lines that are true, in one family of notations."""
    return randomness.map(NOTATIONS[notation])


def worked() -> st.SearchStrategy[Worked]:
    """Word problems with a sound solution."""
    return randomness.map(any_worked)


true_pieces = st.lists(st.sampled_from(sorted(NOTATIONS)).flatmap(true_lines), min_size=1, max_size=6)
"""Lists of true lines in mixed notations, which need not tell a story; some pieces have several lines."""


def _wrong(rng: random.Random) -> str:
    fact = any_sum(rng)
    off = rng.choice((1, 2, 7, 10, 100))
    left = f"{fact.left} {fact.sign} {fact.right}"
    result = fact.result + off
    return rng.choice(
        (
            f"{left} = {result}",
            f"This makes {left} = {result} in all.",
            f"{left} = <<{fact.left}{fact.sign}{fact.right}={result}>>{result}",
            f"${fact.latex()} = {result}$",
        )
    )


wrong_lines = randomness.map(_wrong)
"""Lines with one equation that is false."""

_PIECES = (
    *"0123456789+-*/^()[]{}$,.:;=<>|!%_&x\\ \n#",
    "\\frac",
    "\\boxed{",
    "\\text{",
    "\\begin{align}",
    "\\end{align}",
    "####",
    "A:",
    "answer is",
    "\\sqrt",
    " and ",
    "<<",
    ">>",
    "Step 1:",
    " is ",
    "half",
    "twice",
    "percent",
    "\u2212",
    "\u00bd",
    "\u0663",
    "\u202e",
    "\u200b",
    "\ud800",
    "\x00",
    "\u2029",
)

any_text = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(_PIECES), max_size=40).map("".join),
    st.lists(st.one_of(st.sampled_from(_PIECES), true_pieces.map("\n".join)), max_size=6).map("".join),
)
"""Text that no one would write."""
