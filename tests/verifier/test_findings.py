"""The record of a finding and the table of kinds: what the code reports is in the table, and the table in what it
reports."""

import ast
from pathlib import Path

import pytest

import trl_weighted_dpo.verifier as verifier_package
from trl_weighted_dpo.verifier import DIMENSIONS, KINDS, Finding, MathVerifier
from trl_weighted_dpo.verifier.findings import HEURISTIC, RULE, combined, finding, score_of

PENS = "A pen is $3, a pad is $4. Both?"
TRAYS = "A farm has 5 trays of 4 eggs and 6 more eggs. 2 break. How many eggs are whole?"
WHOLE = "5*4=<<5*4=20>>20\n20+6=<<20+6=26>>26\n26-2=<<26-2=24>>24\n#### 24"
BOXES = "A box has 9 rows of 7 pens. Each pen costs $3 and the box $11. What do two such boxes cost?"
APPLES = "Ann has 3 bags of 4 apples and buys 2 more. How many apples does she have?"
BOUGHT = "3 * 4 = 12\n12 + 2 = 14\n"
SUITS = (
    "A suit costs $100, and a flight $700 more than 5 times as much as a suit. How much do 6 suits and the flight cost?"
)
ROWS = "3 rows of 4 roses, 8 tulips, room for 32 plants. How many more fit?"
ROOM = "3*4=<<3*4=12>>12\n12+8=<<12+8=20>>20\n32-20=<<32-20=12>>12\n#### 12"

# For each kind and channel a problem, a solution and a reference solution, if any, in which it is found.
EXAMPLES: dict[tuple[str, str, str], tuple[str, str, str | None]] = {
    ("semantic_alignment", kind, HEURISTIC): texts
    for kind, texts in {
        "misquoted_quantity": ("Cartons have 15 servings. 60 servings?", "Each has 10 servings.\n60 / 10 = 6", None),
        "unknown_quantity": (PENS, "3 + 4 + 9 = 16\nA: 16", None),
        "unused_quantity": (PENS, "3 + 3 = 6\nA: 6", None),
        "other_unit": ("How many dollars are 300 cents?", "The answer is 300 cents.", None),
        "off_route": (TRAYS, "5 * 4 = 20\n20 + 96 = 116\nA: 116", WHOLE),
        "route_not_reached": (TRAYS, "5 * 4 = 20\nA: 20", WHOLE),
        "left_behind": (TRAYS, "5 * 4 = 20\n20 + 6 = 26\n26 - 2 = 24\n24 * 7 = 168\nA: 168", WHOLE),
        "unfinished": (ROWS, "", ROOM),
        "long_end": (BOXES, "9 * 7 = 63\nA: 63", "9*7=<<9*7=63>>63\n2*(63*3+11)=<<2*(63*3+11)=400>>400\n#### 400"),
        "detour": (TRAYS, "5 * 4 = 20\nA: 20", WHOLE),
        "far_end": (TRAYS, "5 * 4 = 20\n6 * 2 = 12\nA: 12", WHOLE),
        "dead_end": (TRAYS, "5 * 4 = 20\n20 + 96 = 116\nA: 116", WHOLE),
    }.items()
}
EXAMPLES |= {
    ("structural_integrity", kind, channel): (APPLES, solution, None)
    for kind, channel, solution in (
        ("no_answer", RULE, ""),
        ("empty_answer", RULE, BOUGHT + "A:"),
        ("loop", RULE, BOUGHT + "so 1 1 1 1 1 1"),
        ("changed_answer", RULE, BOUGHT + "A: 14\nA: 15"),
        ("new_question", RULE, BOUGHT + "\\boxed{14}\nHuman: Thank you! What is 3 + 3?"),
        ("special_token", RULE, BOUGHT + "A: 14</s>\nWhat is 3 + 3?"),
        ("missing_step", RULE, "Step 1: 3 * 4 = 12. Step 3: 12 + 2 = 14."),
        ("empty_latex", RULE, BOUGHT + "\\[ \\]\nA: 14"),
        ("unbalanced_latex", RULE, "\\(3 * 4 = 12\nA: 14"),
        ("unbalanced_calculation", RULE, "She has 3 * 4 = <<3*4=12 apples in the bags.\nA: 14"),
        ("cut_off", HEURISTIC, "3 * 4 = 12\n12 + 2 ="),
        ("garbled_text", HEURISTIC, BOUGHT + "A: 14 \uacaa\uc2b5 \u0628\u0648"),
        ("repetition", HEURISTIC, "".join(f"### Step {n}\nAdd what is left.\n" for n in (1, 2, 3, 4)) + "A: 14"),
        ("several_answers", HEURISTIC, BOUGHT + "\\boxed{14}\nNo, it is\n\\boxed{15}"),
        ("goes_on", HEURISTIC, BOUGHT + "A: 14\nThen 14 * 5 = 70, so 70 / 2 = 35"),
        ("broken_characters", HEURISTIC, "3 * 4 = 12\ufffd\nA: 14"),
    )
}
EXAMPLES |= {
    ("step_ordering", kind, channel): (SUITS, solution, None)
    for kind, channel, solution in (
        ("number_out_of_order", RULE, "Second, add them.\nFirst, find them.\nA: 1800"),
        ("repeated_number", RULE, "1) Add it.\n1) Add it.\n2) Add it.\nA: 1800"),
        ("used_before_derived", HEURISTIC, "500 + 700 = 1200\n5 * 100 = 500\nA: 1800"),
        ("answer_first", HEURISTIC, "A: 1800\n5 * 100 = 500\n500 + 700 = 1200\n6 * 100 = 600\n1200 + 600 = 1800"),
    )
}
EXAMPLES |= {
    ("logical_consistency", kind, channel): (problem, solution, None)
    for kind, channel, problem, solution in (
        ("carried_wrong", RULE, "How many eggs?", "Total eggs = 7 * 12 = 84\nTotal eggs / 12 = 81 / 12"),
        ("carried_wrong", HEURISTIC, "How many eggs?", "There are 36 * 7 = 252 eggs.\nThat makes 225 / 9 = 25."),
        ("two_values", RULE, "", "n + 6 = 2n\nn + 6 = 3n"),
        ("two_values", HEURISTIC, "", "Total eggs = Hens * Eggs per hen = 7 * 12 = 84\nTotal eggs = 99"),
        ("answer_not_derived", RULE, "How many kilometers?", "He rode 500 + 480 = 980 kilometers.\nA: 990"),
        ("answer_not_derived", HEURISTIC, "What does he make?", "He makes $32.88 + $52.87 = $85.75.\nA: 85"),
        ("negative_count", RULE, "How many apples has Tom?", "3 - 3 - 4 = -4\nA: -4"),
        ("negative_count", HEURISTIC, "How much money has Ann?", "She has spent it, so she has $-4."),
        ("more_removed_than_there", HEURISTIC, "How many questions?", "She leaves 75 - 160 = 85 questions.\nA: 85"),
        ("fractional_count", HEURISTIC, "How many of the kids went home?", "That is 6277 / 2 = 3138.5.\nA: 3138.5"),
        ("share_above_100", RULE, "What is the probability of a red ball?", "P(red) = 6 / 4 = 1.5"),
        ("share_above_100", HEURISTIC, "What percentage of the group wears one?", "120 / 50 = 2.4 = 240%\nA: 240%"),
    )
}
EXAMPLES |= {
    ("numerical_validity", kind, RULE): ("", solution, None)
    for kind, solution in (
        ("wrong_equation", "15 = 3 * 4"),
        ("wrong_solving_step", "2x + 30 = 110, so 2x = 90"),
        ("wrong_identity", "x + 4x = 8x"),
        ("wrong_comparison", "because 2 * 3 > 7"),
        ("wrong_rounding", "200 / 3 = 66.4"),
    )
}
EXAMPLES |= {
    ("final_answer", kind, RULE): (ROWS, solution, ROOM)
    for kind, solution in (
        ("wrong_sign", "A: -12"),
        ("intermediate_value", "A: 20"),
        ("given_value", "A: 32"),
        ("off_by_one", "A: 13"),
        ("factor_of_two", "A: 6"),
        ("factor_of_ten", "A: 120"),
        ("wrong_answer", "A: 77"),
        ("no_answer", ""),
    )
}


def test_every_kind_has_an_example() -> None:
    assert EXAMPLES.keys() == KINDS.keys()


@pytest.mark.parametrize("key", EXAMPLES, ids="-".join)
def test_every_kind_is_found_and_everything_found_has_a_kind(key) -> None:
    problem, solution, reference = EXAMPLES[key]
    profile = MathVerifier().verify(problem, solution, None, reference)
    found = {(item.dimension, item.kind, item.channel) for item in profile.evidence}

    assert key in found
    assert found <= KINDS.keys()
    for dimension in DIMENSIONS[:-1]:
        of_it = [item for item in profile.evidence if item.dimension == dimension]
        assert profile.scores[dimension] in (None, pytest.approx(score_of(of_it), rel=1e-12))


MAKERS = ("finding", "_finding", "_impossible")


def test_every_kind_that_the_code_names_is_in_the_table() -> None:
    """Of each call of `finding`, or of one of the shorthands for it, the kind if it stands there as a text."""
    names = {name for _, name, _ in KINDS}
    named: set[str] = set()
    for path in Path(verifier_package.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in MAKERS and path.name != "findings.py":
                texts = [each.value for each in call.args[:2] if isinstance(each, ast.Constant)]
                named |= {text for text in texts if isinstance(text, str)} - set(DIMENSIONS)

    assert len(named) > 30
    assert named <= names


def test_the_table_is_sound() -> None:
    assert {dimension for dimension, _, _ in KINDS} == set(DIMENSIONS)
    for (dimension, name, channel), kind in KINDS.items():
        assert (kind.name, kind.channel) == (name, channel)
        assert channel in (RULE, HEURISTIC)
        assert (kind.severity is None) == (dimension == "final_answer")
        assert kind.severity is None or 0 < kind.severity <= 1
        assert kind.sentence.endswith(".")
        assert "|" not in kind.sentence


def test_a_finding_of_no_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        finding("final_answer", "loop", None, "")
    with pytest.raises(KeyError):
        finding("step_ordering", "repeated_number", None, "", channel=HEURISTIC)
    # It has both channels.
    with pytest.raises(KeyError):
        finding("logical_consistency", "two_values", None, "")


def test_a_finding_takes_its_channel_from_the_table() -> None:
    made = finding("step_ordering", "answer_first", (1, 2), "Early.", expected="a", found="b", step=3)

    assert made == Finding("step_ordering", "answer_first", "heuristic", 3, (1, 2), "a", "b", "Early.")


def test_severities_add_up_as_independent_chances() -> None:
    assert combined([]) == 0.0
    assert combined([0.5, 0.2]) == pytest.approx(0.6, rel=1e-12)
    early = finding("step_ordering", "answer_first", None, "")
    twice = finding("step_ordering", "repeated_number", None, "")
    assert score_of([early, twice]) == pytest.approx(1 - 0.7 * 0.5, rel=1e-12)
