"""How well the verdict on the answer agrees with labels, and how fast a profile is, beside math-verify alone."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence

from trl_weighted_dpo.verifier import MathVerifier, Verdict

from .data import File, Pair, Solution, profile_of
from .tables import table

Case = Solution | Pair
ALONE = "math-verify, answers only"


def answers(verifier: MathVerifier, files: Sequence[File], passes: int, summary: list[list[str]]) -> list[str]:
    """Table of agreement and speed; undecided counts as disagreement. Rates are medians over the passes."""
    # The first symbolic comparison starts the worker; its start is not a latency of the comparison.
    verifier.compare(r"\sqrt{8}", r"2\sqrt{2}")
    rows, outcomes = [], []
    for file in files:
        batches: list[tuple[str, Sequence[Case]]] = [
            ("full profile", [item for item in (*file.stepwise, *file.candidates) if item.is_correct is not None]),
            ("answers only", file.pairs),
        ]
        for what, batch in batches:
            if not batch:
                continue
            checks = {f"verifier, {what}": _ours(verifier), ALONE: _math_verify()}
            found = {name: measure(check, batch, passes) for name, check in checks.items()}
            rows += [[file.name, name, *cells] for name, (_, cells) in found.items()]
            outcomes += [[file.name, name, *(counts[it] for it in _OUTCOMES)] for name, (counts, _) in found.items()]
            for column, figure in ((0, "answer verdict agrees"), (1, f"{what}, per second"), (3, f"{what}, p99 ms")):
                summary.append([figure, file.name, *(cells[column] for _, cells in found.values()), ALONE])
    return [
        *table(["data", "check", "agreement", "per second", "p50 ms", "p99 ms", "worst ms"], rows),
        *table(["data", "check", *_OUTCOMES], outcomes),
    ]


_OUTCOMES = tuple(f"{truth} checked {verdict.value}" for truth in ("right", "wrong") for verdict in Verdict)


def measure(check: Callable[[Case], str], batch: Sequence[Case], passes: int) -> tuple[Counter[str], list[str]]:
    """Outcomes, and agreement, rate and latencies as cells of a table."""
    outcomes: Counter[str] = Counter()
    rates, latencies = [], []
    for number in range(passes):
        started = time.perf_counter()
        for case in batch:
            before = time.perf_counter()
            verdict = check(case)
            latencies.append(time.perf_counter() - before)
            if number == 0:
                outcomes[f"{'right' if _is_right(case) else 'wrong'} called {verdict}"] += 1
        rates.append(len(batch) / (time.perf_counter() - started))
    agreeing = outcomes["right called correct"] + outcomes["wrong called incorrect"]
    ordered = sorted(1000 * latency for latency in latencies)
    p50, p99 = (ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.99))
    return outcomes, [
        f"{100 * agreeing / len(batch):.2f} % ({agreeing}/{len(batch)})",
        f"{statistics.median(rates):.0f}",
        *(f"{value:.2f}" for value in (p50, p99, ordered[-1])),
    ]


def _is_right(case: Case) -> bool:
    return case.is_equivalent if isinstance(case, Pair) else bool(case.is_correct)


def _ours(verifier: MathVerifier) -> Callable[[Case], str]:
    def check(case: Case) -> str:
        if isinstance(case, Pair):
            return verifier.compare(case.gold, case.found).verdict.value
        return profile_of(verifier, case).verdict.value

    return check


def _math_verify() -> Callable[[Case], str]:
    from math_verify import parse, verify

    def check(case: Case) -> str:
        if isinstance(case, Pair):
            gold, found = parse(case.gold), parse(case.found)
        else:
            gold, found = parse(f"${case.reference_answer}$"), parse(case.text)
        return "correct" if verify(gold, found) else "incorrect"

    return check
