from fractions import Fraction

import pytest

from trl_weighted_dpo.verifier.reading.mentions import is_multiple, read_mentions


def read(text: str) -> list[tuple[Fraction, str, str]]:
    return [(mention.value, text[slice(*mention.span)], mention.unit) for mention in read_mentions(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("48 clips", [(48, "48", "clip")]),
        ("$1,200.50 in all", [(Fraction("1200.5"), "1,200.50", "dollar")]),
        ("$ 5", [(5, "5", "dollar")]),
        (r"the pattern is $27$", [(27, "27", "")]),
        ("20% of it", [(20, "20", "")]),
        ("a 3-egg omelet", [(3, "3", "egg")]),
        ("2.5kg", [(Fraction("2.5"), "2.5", "kg")]),
        (".5 hours", [(Fraction(1, 2), ".5", "hour")]),
        ("3 of the 15 boxes", [(3, "3", ""), (15, "15", "box")]),
        ("twenty-five apples", [(25, "twenty-five", "apple")]),
        ("two hundred and five eggs", [(205, "two hundred and five", "egg")]),
        ("three dozen eggs", [(36, "three dozen", "egg")]),
        ("half a dozen", [(6, "half a dozen", "")]),
        ("a dozen", [(12, "dozen", "")]),
        ("one and a half hours", [(Fraction(3, 2), "one and a half", "hour")]),
        ("two thirds of it", [(Fraction(2, 3), "two thirds", "")]),
        ("a third", [(Fraction(1, 3), "third", "")]),
        ("twice as many", [(2, "twice", "")]),
        ("one fifty-dollar bill", [(1, "one", ""), (50, "fifty", "dollar")]),
        ("three hundred sixty thousand two hundred and ten",
         [(360_210, "three hundred sixty thousand two hundred and ten", "")]),
        ("Someone halfway thirdly", []),
        ("x2 and h2o", []),
        ("9" * 3_000, []),
    ],
)  # fmt: skip
def test_quantities_are_read_with_what_they_count(text, expected) -> None:
    assert read(text) == expected


def test_a_percent_sign_is_told_apart_from_a_unit() -> None:
    assert [mention.percent for mention in read_mentions("20%, 30 percent, 40 \\% and 50 people")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("half of it", True), ("four times as many", True), ("doubled", True), ("four apples", False), ("4 times", True)],
)
def test_multiples_are_told_from_counts(text, expected) -> None:
    assert is_multiple(text, read_mentions(text)[0]) is expected
