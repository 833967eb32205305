"""How well the first faulty step is found, with references and without, and what each dimension adds."""

from collections.abc import Mapping, Sequence

from trl_weighted_dpo.verifier import DIMENSIONS, DimensionResult, ErrorProfile, MathVerifier, SolutionView, Verdict

from . import baselines
from .data import File, Solution, profile_of
from .metrics import SOUND, distances, first_errors
from .tables import percent, share, table

FULL, NO_REFERENCE = "with reference", "without any reference"
NUMBERS, EQUATIONS = "numbers in neither reference nor problem, and the verdict", "`a op b = c` only"


def predicted(profiles: Sequence[ErrorProfile]) -> list[int]:
    """The first faulty step of each profile."""
    return [SOUND if profile.first_faulty_step is None else profile.first_faulty_step for profile in profiles]


def profiles_of(verifier: MathVerifier, items: Sequence[Solution]) -> dict[str, list[ErrorProfile]]:
    """The profiles of solutions, with their references and with them hidden."""
    return {
        FULL: [profile_of(verifier, item) for item in items],
        NO_REFERENCE: [profile_of(verifier, item, with_reference=False) for item in items],
    }


def first_faulty_steps(
    files: Sequence[File], profiles: Mapping[str, Mapping[str, list[ErrorProfile]]], summary: list[list[str]]
) -> list[str]:
    """Tables of first-error F1, by kind of row and of error, and of how far off a wrong step is."""
    rows, kinds, off = [], [], []
    for file in files:
        items, of_file = file.stepwise, profiles[file.name]
        labels = [item.first_error for item in items]
        is_wrong = [profile.verdict is Verdict.INCORRECT for profile in of_file[FULL]]
        guesses = {
            f"**verifier, {FULL}**": predicted(of_file[FULL]),
            NUMBERS: [baselines.unknown_number(item, wrong) for item, wrong in zip(items, is_wrong, strict=True)],
            "always the second step of a wrong answer": [
                baselines.step_one(item, wrong) for item, wrong in zip(items, is_wrong, strict=True)
            ],
            f"**verifier, {NO_REFERENCE}**": predicted(of_file[NO_REFERENCE]),
            EQUATIONS: [baselines.wrong_equation(item) for item in items],
        }
        figures = {name: first_errors(guess, labels) for name, guess in guesses.items()}
        rows += [[file.name, name, *map(percent, of_rule)] for name, of_rule in figures.items()]
        for view, baseline in ((FULL, NUMBERS), (NO_REFERENCE, EQUATIONS)):
            both = [percent(figures[name].f1) for name in (f"**verifier, {view}**", baseline)]
            summary.append([f"first-error F1, {view}", file.name, *both, baseline])
        for view, of_view in of_file.items():
            guess = predicted(of_view)
            kinds += _by_kind(file.name, view, items, guess)
            counts = distances(guess, labels)
            off.append([file.name, view, *(share(counts[name], counts.total()) for name in _DISTANCES)])
    return [
        *table(["data", "rule", "F1", "exact step of faulty", "sound left alone"], rows),
        *table(["data", "verifier", "rows", "faulty", "exact step", "sound", "left alone"], kinds),
        "Predicted minus true first faulty step, of faulty solutions:",
        "",
        *table(["data", "verifier", *_DISTANCES], off),
    ]


_DISTANCES = ("+0", "-1", "+1", "-2", "+2", "-3…", "+3…", "none")


def _by_kind(name: str, view: str, items: Sequence[Solution], guess: Sequence[int]) -> list[list[str]]:
    groups: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        for group in ((item.kind,) if item.kind else ()) + (item.error_types if item.first_error != SOUND else ()):
            groups.setdefault(group, []).append(index)
    found = []
    for group, members in sorted(groups.items()):
        labels = [items[index].first_error for index in members]
        figures = first_errors([guess[index] for index in members], labels)
        faulty = sum(label != SOUND for label in labels)
        cells = faulty, percent(figures.exact), len(labels) - faulty, percent(figures.sound)
        found.append([name, view, group, *map(str, cells)])
    return found


def ablation(files: Sequence[File]) -> list[str]:
    """Table of first-error F1 with each dimension left out, and with it alone."""
    variants: dict[str, tuple[str, ...]] = {"all six": DIMENSIONS}
    variants |= {f"without {name}": tuple(other for other in DIMENSIONS if other != name) for name in DIMENSIONS}
    variants |= {f"{name} alone": (name,) for name in DIMENSIONS}
    rows = []
    for variant, dimensions in variants.items():
        cells = []
        for file in files:
            for view in (True, False):
                cells.append(percent(_f1(file.stepwise, dimensions, view)))
        rows.append([variant, *cells])
    header = [f"{file.name}, {view}" for file in files for view in (FULL, NO_REFERENCE)]
    return table(["F1", *header], rows)


def _nothing(view: SolutionView) -> DimensionResult:
    return DimensionResult(None)


def _f1(items: Sequence[Solution], dimensions: Sequence[str], with_reference: bool) -> float:
    left_out = dict.fromkeys(set(DIMENSIONS) - set(dimensions), _nothing)
    with MathVerifier(checks=left_out) as verifier:
        guess = predicted([profile_of(verifier, item, with_reference) for item in items])
    return first_errors(guess, [item.first_error for item in items]).f1
