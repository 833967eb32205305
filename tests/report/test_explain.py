"""A profile as a person sees it: what was found stands where it was found, and no text acts on the terminal."""

import io

import pytest
from rich.console import Console

from trl_weighted_dpo.report.explain import explanation
from trl_weighted_dpo.report.tables import verification_table
from trl_weighted_dpo.report.text import one_line, visible
from trl_weighted_dpo.verifier import ErrorProfile, Finding, MathVerifier, Verdict, VerificationReport

STEPS = ["Half of 48 is 24.", "So 48 + 24 = 74.", "A: 74"]
WRONG_SUM = Finding("numerical_validity", "wrong_equation", "rule", 1, (21, 33), "72", "74", "48 + 24 is 72, not 74.")
ODD_WORD = Finding("semantic_alignment", "odd", "heuristic", 1, (18, 20), None, None, "This is odd.")
NO_END = Finding("structural_integrity", "no_end", "rule", None, None, None, None, "The solution has no end.")
PROFILE = ErrorProfile(
    Verdict.INCORRECT,
    "numbers differ",
    answer="74",
    scores={"numerical_validity": 0.9, "semantic_alignment": 0.25, "final_answer": 0.0},
    evidence=(WRONG_SUM, ODD_WORD, NO_END),
    first_faulty_step=1,
    wrongness=0.75,
    absurdity=None,
    unavailable=("reference solution", "units"),
)


def shown(solution=STEPS, profile=PROFILE, problem="How many?", colours=False, width=100):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=colours, color_system="standard" if colours else None)
    console.print(explanation("row 3, candidate 1", problem, solution, "72", profile, with_brackets=not colours))
    return file.getvalue()


def lines(*given, **settings):
    return [line.strip() for line in shown(*given, **settings).splitlines()]


@pytest.mark.parametrize("solution", [STEPS, "\n".join(STEPS)], ids=["steps", "text"])
def test_findings_stand_under_their_step(solution):
    found = lines(solution)
    at = found.index("[1] ⟦So⟧ ⟦48 + 24 = 74⟧.")
    assert found[at - 1] == "[0] Half of 48 is 24."
    assert found[at + 1 : at + 6] == [
        "✗ 48 + 24 is 72, not 74.",
        "numerical_validity, wrong_equation, rule; expected: 72; found: 74",
        "~ This is odd.",
        "semantic_alignment, odd, heuristic",
        "[2] A: 74",
    ]
    assert found[at + 6 : at + 8] == ["In no step that is shown", "✗ The solution has no end."]


def test_scores_verdict_and_what_is_missing_are_shown():
    text = shown()
    for line in (
        "row 3, candidate 1",
        "Reference answer: 72",
        "numerical_validity    ██████████████████░░  0.90",
        "semantic_alignment    █████░░░░░░░░░░░░░░░  0.25",
        "step_ordering         ····················  not checked",
        "wrongness             ███████████████░░░░░  0.75",
        "absurdity             ····················  not checked",
        "Verdict: incorrect (numbers differ); the answer is: 74",
        "First faulty step: [1]",
        "Not available: reference solution, units",
    ):
        assert line in text


def test_a_sound_solution_without_an_answer_is_said_to_be_so():
    text = shown("Hm.", ErrorProfile(Verdict.UNDECIDED, "timeout"))
    assert "Verdict: undecided (timeout); no answer was found" in text
    assert "First faulty step: none found" in text
    assert "Not available" not in text
    assert "the answer was guessed: 7" in shown("7", ErrorProfile(Verdict.CORRECT, "same", "7", answer_is_weak=True))


def test_a_first_faulty_step_without_a_finding_says_so():
    profile = ErrorProfile(Verdict.INCORRECT, "numbers differ", "74", evidence=(WRONG_SUM,), first_faulty_step=0)
    line = "First faulty step: [0] (no finding of its own; as the answer is wrong, the first step that may be to blame)"
    assert line in shown(profile=profile, width=200)
    assert "no finding" not in shown()


def test_spans_are_coloured_by_channel():
    text = shown(colours=True)
    assert "\x1b[4;33mSo\x1b[0m \x1b[1;4;31m48 + 24 = 74\x1b[0m." in text
    assert "⟦" not in text


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 4), (2, 6)], "⟦ab⟦cd⟧ef⟧g"),
        ([(0, 7)], "⟦abcdefg⟧"),
        ([(5, 99)], "abcde⟦fg⟧"),
        ([(0, 1), (1, 2)], "⟦a⟧⟦b⟧cdefg"),
    ],
    ids=["overlapping", "whole", "past the end", "touching"],
)
def test_spans_that_meet_are_all_marked(spans, expected):
    evidence = tuple(Finding("step_ordering", "k", "rule", 0, span, None, None, "m") for span in spans)
    assert f"[0] {expected}" in lines("abcdefg", ErrorProfile(Verdict.CORRECT, "r", evidence=evidence))


HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] [/] :smile: \u202egnorw \x9b1m \udc80 a\rb\x00 [link=x]y"


def test_hostile_text_is_shown_and_never_acts():
    evidence = (Finding("final_answer", HOSTILE, "rule", 0, (0, 9), HOSTILE, HOSTILE, HOSTILE),)
    profile = ErrorProfile(Verdict.INCORRECT, HOSTILE, HOSTILE, evidence=evidence, unavailable=(HOSTILE,))
    text = shown(HOSTILE, profile, problem=HOSTILE, width=500)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.replace("⟦", "").replace("⟧", "").count(visible(HOSTILE)) == 9
    assert visible(HOSTILE) == (
        "\\x1b[31mred\\x1b]0;title\\x07 [bold]b[/bold] [/] :smile: \\u202egnorw \\x9b1m \\udc80 a\\rb\\x00 [link=x]y"
    )


def test_spaces_of_all_kinds_are_spaces_and_lines_stay():
    assert visible("a\tb\u00a0c\nd é 三") == "a b c\nd é 三"
    assert one_line(" a\n\n b\t c ") == "a b c"


def test_only_what_was_read_is_shown():
    evidence = tuple(Finding("final_answer", "k", "rule", step, None, None, None, f"In {step}.") for step in (1, 2))
    profile = ErrorProfile(Verdict.CORRECT, "r", evidence=evidence)
    found = lines("x" * 19_990 + "\n" + "y" * 100 + "\nlast", profile, width=30_000)
    at = found.index("[1] yyyyyyyyy")
    assert found[at + 1 : at + 6] == [
        "✗ In 1.",
        "final_answer, k, rule",
        "… 96 more characters",
        "In no step that is shown",
        "✗ In 2.",
    ]


def test_a_summary_counts_shares_and_speed():
    report = VerificationReport()
    for profile in (PROFILE, PROFILE, ErrorProfile(Verdict.UNDECIDED, "[b]timeout\x1b")):
        report.add(profile)
    report.resumed = 1
    file = io.StringIO()
    Console(file=file, width=100).print(verification_table(report.to_dict(), seconds=0.5))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in file.getvalue().splitlines() if "│" in line]
    assert cells == [
        ["solutions", "3"],
        ["of an earlier run", "1 (33.3%)"],
        ["correct", "0 (0.0%)"],
        ["incorrect", "2 (66.7%)"],
        ["undecided", "1 (33.3%)"],
        ["[b]timeout\\x1b", "1 (33.3%)"],
        ["with evidence, of those checked", ""],
        ["semantic_alignment", "2 of 2 (100.0%)"],
        ["structural_integrity", "not checked"],
        ["step_ordering", "not checked"],
        ["logical_consistency", "not checked"],
        ["numerical_validity", "2 of 2 (100.0%)"],
        ["final_answer", "0 of 2 (0.0%)"],
        ["speed", "4 solutions/s"],
    ]


def test_a_thought_and_its_answer_are_told_apart():
    solution = "<think>\n3 * 4 = 13\n</think>\n\n3 * 4 = 13\nA: 13"
    profile = MathVerifier().verify("", solution, "12")
    found = [line.strip() for line in shown(solution, profile).splitlines()]
    first, second = found.index("\u2014 thought \u2014"), found.index("\u2014 answer \u2014")
    assert found[first + 1 : first + 4] == ["[0] <think>", "[1] \u27e63 * 4 = 13\u27e7", "\u2717 3 * 4 is 12, not 13."]
    assert found[second + 1 : second + 3] == ["[3] \u27e63 * 4 = 13\u27e7", "\u2717 3 * 4 is 12, not 13."]


def test_of_a_long_thought_its_beginning_is_shown_and_all_of_the_answer():
    solution = "<think>\n" + "".join(f"Now {n}.\n" for n in range(4_000)) + "</think>\nA: 13"
    found = shown(solution, MathVerifier().verify("", solution, "12"))
    assert "[1]    Now 0." in found
    assert "Now 3999." not in found
    assert "more characters" in found
    assert "[4002] A: \u27e613\u27e7" in found
