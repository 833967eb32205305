"""What two solutions have in common: closed forms on small texts."""

import pytest

from trl_weighted_dpo.mining.outline import proximity_parts, read_outline, why_alike

CHOSEN = "Tom has 4*2 = <<4*2=8>>8 pens.\nThen he has 8+3 = <<8+3=11>>11 pens.\nA: 11"


def near(one, other):
    return proximity_parts(read_outline(one), read_outline(other))


def alike(chosen, rejected):
    return why_alike(read_outline(chosen), read_outline(rejected))


def test_the_outline_leaves_annotations_units_and_the_answer_line_out():
    outline = read_outline("Tom pays  $2,000.50 * 2 = <<2000.50*2=4001>>4,001.0 dollars.\nA: 4001")
    assert outline.steps == ("tom pays $2,000.50 * 2 = 4,001.0 dollars.",)
    assert outline.equations == ("2000.5*2=4001",)
    assert (outline.answer, outline.value) == ("4001", 4001)


def test_an_answer_line_that_computes_is_a_step():
    assert read_outline("Two and two.\nThe answer is 2 + 2 = 4.").equations == ("2+2=4",)


def test_a_solution_is_as_near_to_itself_as_can_be():
    assert vars_of(near(CHOSEN, CHOSEN)) == [1.0, 1.0, 1.0, 1.0]


def vars_of(parts):
    return [parts.steps, parts.equations, parts.prefix, parts.answer]


def test_parts_of_nearness_in_closed_form():
    rejected = "Tom has 4*2 = 8 pens.\nThen he has 8-3 = 5 pens.\nA: 5"
    parts = near(CHOSEN, rejected)
    # 21 words and signs each; + and 11 against - and 5.
    words = len(read_outline(CHOSEN).words)
    assert words == len(read_outline(rejected).words)
    assert parts.steps == pytest.approx(1 - 4 / (2 * words))
    assert parts.equations == pytest.approx(1 - 2 / 4)
    assert parts.prefix == 1 / 2
    assert parts.answer == pytest.approx(1 - 6 / 16)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("A: 19", "A: 20", 1 - 1 / 39), ("A: 5", "A: -5", 0.0), ("A: 0", "A: 0", 1.0), ("A: x", "A: 5", None)],
)
def test_nearness_of_answers(one, other, expected):
    assert near(one, other).answer == (expected if expected is None else pytest.approx(expected))


def test_huge_answers_are_compared_exactly():
    assert near("A: " + "9" * 400, "A: " + "9" * 399 + "8").answer == pytest.approx(1.0)


def test_steps_begin_alike_by_their_equations_in_other_words():
    assert near("He has 4*2=8 pens.\nSo 8+1=9.\nA: 9", "That makes 4 * 2 = 8.\nThen 8-1=7.\nA: 7").prefix == 1 / 2
    assert near("x", "").prefix == 0.0


def test_without_equations_that_part_is_not_known():
    assert near("Two and two make four.", "Two and two make five.").equations is None


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        ("He has 8 pens.\nA: 8", "he  has 8 PENS.\nA: 8", "identical"),
        ("He has 8 pens.\nSo 9.\nA: 9", "He has 8 pens.\nA: 8", "one continues the other"),
        ("So 4*2=8.\nA: 8", "That is 4 * 2 = 8.\nA: 9", "same equations"),
        ("So 4*2=8.\nA: 8", "So 4*2=9.\nA: 9", None),
        ("Eight, I think.\nA: 8", "Nine, I think.\nA: 9", None),
    ],
)
def test_what_is_too_alike(chosen, rejected, expected):
    assert alike(chosen, rejected) == expected
