"""How well process signals alone tell wrong answers from right ones: answer and last computed step are hidden."""

import re
from collections.abc import Mapping, Sequence

from trl_weighted_dpo.verifier import DIMENSIONS, MathVerifier
from trl_weighted_dpo.verifier.aggregates import wrongness
from trl_weighted_dpo.verifier.calibration import NO_VERDICT, Example, Labelled, cross_validated, examples, predicted
from trl_weighted_dpo.verifier.findings import combined

from .baselines import other_results
from .data import File, Solution
from .metrics import ranking
from .tables import area, table

FOLDS = 5
LENGTH, OVERLAP = "length alone", "overlap of results with the reference's (Jaccard)"
WRONGNESS = "**wrongness**, weights fitted as `calibrate` does"
PROCESS = tuple(dimension for dimension in DIMENSIONS if dimension != "final_answer")
_ANSWER_LINE = re.compile(r"^[ ]{0,8}\**A\**[ ]?:|####|\\boxed|\b(?:final )?answer(?: is\b|:)", re.IGNORECASE)

HOW = f"""Hidden from the verifier: every line with an answer mark (`A:`, `####`, `\\boxed`, "answer is", "answer:"),
then the last line that has an `=` and all lines after it; without any `=`, the last line. The verifier gets the lines
that are left as a text, with the reference answer and the reference solution; the score of `final_answer` is dropped.
Lengths, for the quartiles too, are those of the whole solution in characters. Weights are cross-validated by problem in
{FOLDS} folds."""


def visible(solution: str) -> str:
    """A solution without its answer and its last computed step, as `HOW` says."""
    lines = [line for line in solution.split("\n") if line.strip() and not _ANSWER_LINE.search(line)]
    computed = [index for index, line in enumerate(lines) if "=" in line]
    return "\n".join(lines[: computed[-1] if computed else -1])


def process_scores(verifier: MathVerifier, item: Solution) -> dict[str, float | None]:
    """The scores of the process dimensions on what is visible of a solution."""
    profile = verifier.verify(item.problem, visible(item.text), item.reference_answer, item.reference_solution)
    return {**profile.scores, "final_answer": None}


def hidden_answers(verifier: MathVerifier, files: Sequence[File], summary: list[list[str]]) -> list[str]:
    """Tables of AUROC for "answer wrong", for each pool."""
    lines = [HOW, ""]
    for file in files:
        items = file.candidates
        labels = [not item.is_correct for item in items]
        if len(set(labels)) < 2 or len({item.problem for item in items}) < FOLDS:
            continue
        scores = [process_scores(verifier, item) for item in items]
        lengths = [len(item.text) for item in items]
        rows: list[tuple[str, Sequence[float]]] = [
            (LENGTH, lengths),
            (
                OVERLAP,
                [other_results(visible(item.text), item.reference_solution or "") for item in items],
            ),
            (WRONGNESS, _wrongness(verifier, items, scores)),
            ("wrongness, weights fitted to this measure", _refitted(items, scores, labels, PROCESS)),
            (
                "all five, no weights: 1 - Π (1 - s)",
                [combined(s for s in row.values() if s is not None) for row in scores],
            ),
        ]
        for dimension in PROCESS:
            rows.append((f"{dimension} alone", [row[dimension] or 0.0 for row in scores]))
        for dimension in PROCESS:
            rest = [name for name in PROCESS if name != dimension]
            rows.append((f"fitted to this measure, without {dimension}", _refitted(items, scores, labels, rest)))
        found = {name: ranking(values, labels, lengths) for name, values in rows}
        wrong = f"{sum(labels)} of {len(labels)} wrong"
        lines += table(
            [f"{file.name} ({wrong})", "AUROC", "within length quartiles, mean", "pairs of one quartile"],
            [[name, *map(area, figures)] for name, figures in found.items()],
        )
        for name, measure, field in (
            (OVERLAP, "AUROC of process signals", "overall"),
            (LENGTH, "AUROC of process signals within length quartiles", "within"),
        ):
            both = [area(getattr(found[of], field)) for of in (WRONGNESS, name)]
            summary.append([measure, file.name, *both, name])
    return lines


def _wrongness(
    verifier: MathVerifier, items: Sequence[Solution], scores: Sequence[Mapping[str, float | None]]
) -> list[float]:
    """Wrongness of what is visible, by weights fitted to whole solutions of the other problems."""
    known = []
    for item in items:
        labelled = Labelled(
            item.problem, item.solution, item.reference_answer, item.reference_solution, not item.is_correct
        )
        known += examples(labelled, verifier)
    fitted, fold_of = cross_validated(known, FOLDS)
    pairs = zip(items, scores, strict=True)
    return [wrongness(row, fitted[fold_of[item.problem]].with_solution) or 0.0 for item, row in pairs]


def _refitted(
    items: Sequence[Solution],
    scores: Sequence[Mapping[str, float | None]],
    labels: Sequence[bool],
    dimensions: Sequence[str],
) -> list[float]:
    """Wrongness of what is visible by some dimensions, by weights fitted to what is visible of the other problems."""
    data = [
        Example(
            item.problem, NO_VERDICT, {name: row[name] if name in dimensions else None for name in DIMENSIONS}, label
        )
        for item, row, label in zip(items, scores, labels, strict=True)
    ]
    if not any(score is not None for example in data for score in example.scores.values()):
        return [0.0] * len(data)
    checked = iter(predicted([example for example in data if _is_checked(example)], FOLDS))
    return [next(checked) if _is_checked(example) else 0.5 for example in data]


def _is_checked(example: Example) -> bool:
    return any(score is not None for score in example.scores.values())
