"""One profile for a person: the solution with what was found in it, the scores, and what could not be checked."""

import itertools
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from trl_weighted_dpo.core.thinking import Thinking, split_thinking
from trl_weighted_dpo.report.text import one_line, visible
from trl_weighted_dpo.verifier import ErrorProfile, Finding
from trl_weighted_dpo.verifier.reading.passage import MAX_READ, split_steps

_STYLES = {"rule": "bold underline red", "heuristic": "underline yellow"}
_SIGNS = {"rule": "✗", "heuristic": "~"}
_VERDICT_STYLES = {"correct": "bold green", "incorrect": "bold red", "undecided": "bold yellow"}
_BAR = 20


def explanation(
    title: str,
    problem: str,
    solution: str | Sequence[str],
    reference_answer: str | None,
    profile: ErrorProfile,
    with_brackets: bool = False,
) -> RenderableType:
    """A solution and its profile, as something that rich prints.

    Args:
        title (`str`):
            Which solution it is.
        problem (`str`):
            The problem.
        solution (`str` or `Sequence[str]`):
            The solution, as the verifier got it. It is shown as far as it was read.
        reference_answer (`str`, *optional*):
            The right final answer.
        profile ([`~verifier.ErrorProfile`]):
            Its profile.
        with_brackets (`bool`, *optional*, defaults to `False`):
            Whether to put what was found in `⟦…⟧`, for a place without colours.
    """
    parts: list[RenderableType] = [Rule(Text(one_line(title))), Text("Problem", "bold"), _indented(visible(problem))]
    if reference_answer is not None:
        parts.append(Text.assemble(("Reference answer: ", "bold"), one_line(reference_answer)))
    parts.append(Text.assemble(("Solution", "bold"), ("  (steps are counted from 0)", "dim")))
    parts.extend(_solution(solution, profile, with_brackets))
    parts.extend((Text("Scores", "bold"), _scores(profile)))
    parts.extend(_verdict(profile))
    return Group(*parts)


def _solution(solution: str | Sequence[str], profile: ErrorProfile, with_brackets: bool) -> Iterator[RenderableType]:
    text = solution if isinstance(solution, str) else "\n".join(solution)
    _, steps = split_steps(solution, len(text) + 1)
    thinking = split_thinking(text)
    read = _read(text, thinking)
    shown = [step for step in steps if any(start <= step.span[1] and step.span[0] < end for start, end, _ in read)]
    width = len(str(steps[-1].index if steps else 0)) + 3
    part, last = "", -1
    for step in shown:
        if step.index > last + 1:
            yield _indented(f"… {steps[step.index].span[0] - steps[last + 1].span[0]} more characters")
        last = step.index
        names = dict.fromkeys(name for start, end, name in read if start < step.span[1] and step.span[0] < end)
        name = " and ".join(names) or part or read[0][2]
        if thinking is not None and name != part:
            yield Padding(Text(f"— {name} —", "dim"), (0, 0, 0, 2))
            part = name
        start, end = step.span[0], min(step.span[1], max(end for _, end, _ in read))
        line = Table.grid()
        line.add_column(width=width, no_wrap=True)
        line.add_column()
        style = "bold red" if step.index == profile.first_faulty_step else "dim"
        line.add_row(Text(f"[{step.index}]", style), _marked(text, start, end, profile.evidence, with_brackets))
        yield Padding(line, (0, 0, 0, 2))
        yield from (_finding(item, width + 2) for item in profile.evidence if item.step == step.index)
    end = max((end for _, end, _ in read), default=0)
    if len(text) > end:
        yield _indented(f"… {len(text) - end} more characters")
    indices = {step.index for step in shown}
    elsewhere = [item for item in profile.evidence if item.step not in indices]
    if elsewhere:
        yield Text("In no step that is shown", "bold")
        yield from (_finding(item, 2) for item in elsewhere)


def _read(text: str, thinking: Thinking | None) -> list[tuple[int, int, str]]:
    """The stretches of a text that the verifier reads, with the name of the part that each is in."""
    if thinking is None:
        return [(0, min(len(text), MAX_READ), "")]
    found = []
    for name, part in (("thought", thinking.thought), ("answer", thinking.answer)):
        for at, (start, end) in zip(part.starts, part.spans, strict=True):
            if at < MAX_READ and text[start:end].strip():
                found.append((start, min(end, start + MAX_READ - at), name))
    return sorted(found) or [(0, min(len(text), MAX_READ), "")]


def _marked(text: str, start: int, end: int, evidence: Sequence[Finding], with_brackets: bool) -> Text:
    """The text from `start` to `end`, with every span of evidence in it marked."""
    found = [
        (max(start, item.span[0]), min(end, item.span[1]), item.channel)
        for item in evidence
        if item.span is not None and item.span[0] < end and item.span[1] > start
    ]
    marked = Text()
    cuts = sorted({start, end, *(place for item in found for place in item[:2])})
    for first, last in itertools.pairwise(cuts):
        channels = {channel for low, high, channel in found if low <= first and last <= high}
        style = next((style for channel, style in _STYLES.items() if channel in channels), "")
        if with_brackets:
            marked.append("⟦" * sum(low == first for low, _, _ in found))
        marked.append(visible(text[first:last]), style)
        if with_brackets:
            marked.append("⟧" * sum(high == last for _, high, _ in found))
    return marked


def _finding(item: Finding, indent: int) -> RenderableType:
    colour = "red" if item.channel == "rule" else "yellow"
    lines = Text.assemble((f"{_SIGNS.get(item.channel, '~')} ", colour), one_line(item.message))
    lines.append("\n" + one_line(f"{item.dimension}, {item.kind}, {item.channel}"), "dim")
    for name, value in (("expected", item.expected), ("found", item.found)):
        if value is not None:
            lines.append(f"; {name}: ", "dim")
            lines.append(one_line(value))
    return Padding(lines, (0, 0, 0, indent))


def _scores(profile: ErrorProfile) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for dimension, score in profile.scores.items():
        table.add_row(dimension, *_bar(score))
    table.add_row()
    table.add_row("wrongness", *_bar(profile.wrongness))
    table.add_row("absurdity", *_bar(profile.absurdity))
    return Padding(table, (0, 0, 0, 2))


def _bar(score: float | None) -> tuple[Text, str]:
    if score is None:
        return Text("·" * _BAR, "dim"), "not checked"
    full = round(_BAR * score)
    colour = "green" if score < 1 / 3 else "yellow" if score < 2 / 3 else "red"
    return Text.assemble(("█" * full, colour), ("░" * (_BAR - full), "dim")), f"{score:.2f}"


def _verdict(profile: ErrorProfile) -> Iterator[Text]:
    verdict = Text.assemble(
        ("Verdict: ", "bold"), (profile.verdict.value, _VERDICT_STYLES[profile.verdict.value]),
        f" ({one_line(profile.reason)})",
    )  # fmt: skip
    if profile.answer is None:
        verdict.append("; no answer was found")
    else:
        verdict.append(f"; the answer {'was guessed' if profile.answer_is_weak else 'is'}: ")
        verdict.append(one_line(profile.answer))
    yield verdict
    first = profile.first_faulty_step
    place = Text.assemble(("First faulty step: ", "bold"), "none found" if first is None else f"[{first}]")
    if first is not None and all(item.step != first for item in profile.evidence):
        place.append(" (no finding of its own; as the answer is wrong, the first step that may be to blame)")
    yield place
    if profile.unavailable:
        yield Text.assemble(("Not available: ", "bold"), one_line(", ".join(profile.unavailable)))


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2))
