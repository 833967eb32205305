"""How long solutions with a long thought take."""

import statistics
import time

from trl_weighted_dpo.verifier import MathVerifier

from .tables import table

LENGTH = 100_000
"""Characters of a thought."""

_PROBLEM = "Tom had 15 apples. He ate 3 of them and got 4 more. How many apples has he now?"
_REFERENCE = "15 - 3 = 12\n12 + 4 = 16\n#### 16"
_ANSWER = "15 - 3 = 12\n12 + 4 = 16\n\nThe answer is 16."
_KINDS = {
    "equations": "Wait, {0} * 20 = {1}. Let me think about it, so {0} + 4 is {2}.\n",
    "false equations": "Wait, {0} * 20 = {2}. Let me think about it, so {0} + 4 is {1}.\n",
    "LaTeX": "Then \\frac{{{1}}}{{20}} = {0} and \\sqrt{{{0}^2}} = {0}, so $x_{{{0}}} = {2}$. Hmm.\n",
    "words": "Let me read the question again, since number {0} of my notes may not be what is asked for. ",
    "one sentence": "Wait, is it 12? ",
}


def thoughts(verifier: MathVerifier, passes: int, summary: list[list[str]]) -> list[str]:
    """Table of the seconds that a full profile takes, medians over the passes; an open thought never ends."""
    rows = []
    for name, line in _KINDS.items():
        text = "".join(line.format(n, 20 * n, n + 4) for n in range(LENGTH // len(line)))
        thought = "<think>\n" + (text * 2)[:LENGTH]
        cells = [_seconds(verifier, solution, passes) for solution in (f"{thought}\n</think>\n\n{_ANSWER}", thought)]
        rows.append([name, *(f"{seconds:.3f}" for seconds in cells)])
    slowest = max(max(row[1:]) for row in rows)
    summary.append(["seconds, at most", f"a thought of {LENGTH} characters", slowest, "", ""])
    return table(["thought of", "closed, s", "open, s"], rows)


def _seconds(verifier: MathVerifier, solution: str, passes: int) -> float:
    seconds = []
    for _ in range(passes):
        started = time.perf_counter()
        verifier.verify(_PROBLEM, solution, "16", _REFERENCE)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
