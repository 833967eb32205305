"""Tables of the public layouts that the package knows, made from the layouts themselves."""

from collections.abc import Iterator

from trl_weighted_dpo.core.pairs import PAIR_LAYOUTS
from trl_weighted_dpo.problems.presets import PRESETS


def problem_layouts() -> Iterator[tuple[str, ...]]:
    """Preset, sets, columns, problem, reference answer and how it is read, reference solution."""
    yield "preset", "sets", "recognised by", "problem", "reference answer", "reference solution"
    for name, layout in PRESETS.items():
        sets = f"[{layout.sets}]({layout.url})" if layout.url else layout.sets
        before, after = layout.around
        problem = " + ".join(f"`{part}`" for part in (before, layout.problem, after) if part)
        columns = [column for column in (layout.answer, *(layout.otherwise or ())[:1]) if column]
        answer = " or ".join(f"`{column}`" for column in dict.fromkeys(columns))
        reading = layout.reading if answer else "none: it stands in a sentence"
        shown = f"{answer}, {reading}" if answer and reading != "as it is" else answer or reading
        yield (
            f"`{name}`",
            sets,
            _columns(layout.needs),
            problem,
            shown,
            f"`{layout.solution}`" if layout.solution else "",
        )


def pair_layouts() -> Iterator[tuple[str, ...]]:
    """Sets, columns, prompt, completions, whether the problem is rendered."""
    yield "sets", "recognised by", "prompt", "completions", "prompt is"
    for layout in PAIR_LAYOUTS.values():
        sets = f"[{layout.sets}]({layout.url})" if layout.url else layout.sets
        prompt = " + ".join(f"`{part}`" for part in (layout.prompt, layout.after) if part) or "in the completions"
        before = f"`{layout.before}` + " if layout.before else ""
        completions = f"{before}`{layout.chosen}`, {before}`{layout.rejected}`"
        yield sets, _columns(layout.needs), prompt, completions, "the bare problem" if layout.is_bare else "ready"


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
