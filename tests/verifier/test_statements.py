from fractions import Fraction

import pytest

from trl_weighted_dpo.verifier.reading.characters import plain
from trl_weighted_dpo.verifier.reading.grammar import Name, Number, Operation
from trl_weighted_dpo.verifier.reading.passage import Side, Statement, split_steps
from trl_weighted_dpo.verifier.reading.statements import MAX_STATEMENTS, read_statements


def statements(solution: str | list[str]) -> tuple[Statement, ...]:
    text, steps = split_steps(solution)
    return read_statements(plain(text), steps)


def shown(side: Side) -> str:
    """The value of a side; `?` if it was not read, `name` if it was read but has no value."""
    if side.node is None:
        return "?"
    if side.value is None:
        return "name"
    return str(side.value)


def read(text: str) -> list[str]:
    """Each statement as values and signs: `6 = 6`."""
    found = []
    for statement in statements(text):
        pieces = [shown(statement.sides[0])]
        for sign, side in zip(statement.signs, statement.sides[1:], strict=True):
            pieces += [sign, shown(side)]
        found.append(" ".join(pieces))
    return found


READINGS = {
    # arithmetic in running text
    "plain": ("3 * 4 = 12", ["12 = 12"]),
    "sentence": ("So the total is 3 + 4 = 7, as said.", ["7 = 7"]),
    "precedence": ("2 + 3 * 4 = 14", ["14 = 14"]),
    "brackets": ("2 * (3 + 4) = 14", ["14 = 14"]),
    "chain": ("2 * 3 + 1 = 6 + 1 = 7", ["7 = 7 = 7"]),
    "two sentences": ("3 + 4 = 7, so 7 * 2 = 14.", ["7 = 7", "14 = 14"]),
    "so without a comma": ("3 + 4 = 12 - 5 so 12 * 2 = 24", ["7 = 7", "24 = 24"]),
    "no blanks": ("he has 20+5=25 and 25*2=50", ["25 = 25", "50 = 50"]),
    "negative result": ("3 - 10 = -7", ["-7 = -7"]),
    "negative after words": ("Allen will be -9 + 10 = 1", ["1 = 1"]),
    "unicode signs": ("3 \u00d7 4 \u2212 2 = 10", ["10 = 10"]),
    "division sign": ("12 \u00f7 4 = 3", ["3 = 3"]),
    "letter x as times": ("12 x 5 = 60", ["60 = 60"]),
    "letter x without blanks": ("12x5 = 60", ["60 = 60"]),
    "letter x between units": ("6 eggs x 3 days = 18 eggs", ["18 = 18"]),
    "letter x before money": ("9 x $ 2= $18", ["18 = 18"]),
    "thousands": ("1,200 + 1,300 = 2,500", ["2500 = 2500"]),
    "thousands in LaTeX": ("$1{,}200 \\times 2 = 2{,}400$", ["2400 = 2400"]),
    "thousands with blanks": ("$350 000 x 5/100 = $17 500", ["17500 = 17500"]),
    "decimals without zero": ("10 x .5 = 5", ["5 = 5"]),
    "mixed number": ("1 1/2 + 1 = 2 1/2", ["5/2 = 5/2"]),
    "power": ("3^2 + 2**3 = 17", ["17 = 17"]),
    "factorial": ("5! / 3! = 20", ["20 = 20"]),
    "root": ("\u221a16 = 4", ["4 = 4"]),
    "markdown bold": ("**Total** = 3 + 4 = **7**", ["? = 7 = 7"]),
    "escaped star": ("3 \\* 4 = 12", ["12 = 12"]),
    "bullet": ("- 3 + 4 = 7\n* 5 + 6 = 11", ["7 = 7", "11 = 11"]),
    "bullets in a row": ("- 3 + 4 = 7\n- 5 - 6 = -1", ["7 = 7", "-1 = -1"]),
    "step prefix": ("Step 3: 4 + 5 = 9", ["9 = 9"]),
    "numbered lines": ("(3) 4 + 5 = 9\nStep 2 - 4 + 5 = 9\n3) 4 + 5 = 9", ["9 = 9", "9 = 9", "9 = 9"]),
    "wide blanks": ("So  12   divided    by 3 =  4", ["4 = 4"]),
    "bracketed statement": ("The sum (3 + 4 = 7) is small.", ["7 = 7"]),
    "comparison": ("Since 5 > 3, so 3 <= 4", ["5 > 3", "3 <= 4"]),
    "approximately": ("10 / 3 \u2248 3.33", ["10/3 approx 333/100"]),
    # units, money, percent, remarks
    "units": ("3 eggs/omelet * 28 days = 84 eggs", ["84 = 84"]),
    "hourly wage": ("$12/hour x 5 hours = $60", ["60 = 60"]),
    "remarks": ("7 (goldfish) + 8 (beta fish) = 15 fish", ["15 = 15"]),
    "remarks after units": ("1 hour (Monday) + 3 hours (Tuesday) = 4 hours", ["4 = 4"]),
    "remark with a number": ("$180 (for 3 months) + $20 = $200", ["200 = 200"]),
    "power of a unit": ("5 cm^2 * 2 = 10 cm^2", ["10 = 10"]),
    "euros": ("\u20ac1090 + \u20ac157 = \u20ac1247", ["1247 = 1247"]),
    "inches": ('4 * 64" = 256"', ["256 = 256"]),
    "unit called times": ("20 times + 1/4 times = 20.25 times", ["81/4 = 81/4"]),
    "conversion": ("4 hours = 240 minutes and $5 = 500 cents", ["4 = 240", "5 = 500"]),
    "percent of": ("20% of 70 = 0.20 * 70 = 14", ["14 = 14 = 14"]),
    "percent times": ("50% x 40 = 20", ["20 = 20"]),
    "fraction of": ("1/4 of the 40 students = 10", ["10 = 10"]),
    "half of": ("Half of 60 is 30", ["30 is 30"]),
    "spoken times": ("3 times 4 is 12", ["12 is 12"]),
    "spoken division": ("12 divided by 3 equals 4", ["4 is 4"]),
    # calculator marks
    "calculator": ("16 - 3 = <<16-3=13>>13 ducks", ["13 = 13", "13 = 13"]),
    "calculator without blanks": ("100-110=<<100-110=-10>>-10 yards", ["-10 = -10", "-10 = -10"]),
    "calculator with money": ("5 x $2 = $<<5*2=10>>10.", ["10 = 10", "10 = 10"]),
    # LaTeX
    "display": ("\\[\n6 \\times 6 = 36\n\\]", ["36 = 36"]),
    "dollars": ("We get $3 \\cdot 4 = 12$ and $x = 5$.", ["12 = 12", "name = 5"]),
    "fractions": ("\\(\\frac12 + \\dfrac{1}{3} = \\frac{5}{6}\\)", ["5/6 = 5/6"]),
    "degrees": ("\\frac{6 \\times 180^\\circ}{9} = 120^{\\circ}", ["120 = 120"]),
    "text unit": ("60 \\text{ miles} \\div 2 \\text{ hours} = 30", ["30 = 30"]),
    "align": ("\\begin{align*}\n2 + 3 &= 5 \\\\\n5x &= 75\n\\end{align*}", ["5 = 5", "name = 75"]),
    "boxed": ("\\boxed{3 + 4 = 7}", ["7 = 7"]),
    "root and pi": ("\\sqrt{16} = 4 and \\pi r^2 = 16\\pi", ["4 = 4", "name = name"]),
    "factor before a root": ("\\(x\\sqrt{2} = 10\\)", ["name = 10"]),
    "formulas side by side": ("$9x = 6$ $x = \\frac{6}{9}$", ["name = 6", "name = 2/3"]),
    # names and labels
    "name": ("M - 2 = 14, so M = 16", ["name = 14", "name = 16"]),
    "product of numbers and names": ("7(16) = 4C", ["112 = name"]),
    "label": ("Total number of eggs = 3 * 28 = 84", ["? = 84 = 84"]),
    "words and numbers": ("Cost = Price * Number = 5 * 3 = 15", ["? = ? = 15 = 15"]),
    "numbered label": ("Day 1 = 5 + 3", ["? = 8"]),
    "two roots": ("x = 270 / 18 or x = -268 / 18", ["name = 15", "name = -134/9"]),
    # chains broken over lines
    "next line": ("Total = 5 + 7 + 14\n= 26", ["? = 26 = 26"]),
    "three lines": ("x = 2(3 + 4)\n  = 2 * 7\n\n  = 14", ["name = 14 = 14 = 14"]),
    "sign at the end": ("5 + 7 =\n12", ["12 = 12"]),
    "lines without their breaks": (
        "Total cost = Price * Number Total cost = $50 - $33 Total cost = $27",
        ["? = 17", "? = 27"],
    ),
    "equations without their breaks": ("x = 90 / 3 x = 30", ["name = 30", "name = 30"]),
}


@pytest.mark.parametrize(("text", "expected"), READINGS.values(), ids=READINGS.keys())
def test_statements_are_read_completely(text: str, expected: list[str]) -> None:
    assert read(text) == expected


UNREADABLE = {
    # what a checker that cuts expressions would take for false equations
    "bound number": ("twice 5 = 10", ["? = 10"]),
    "logarithm": ("\\log_b 1 = 0", ["? = 0"]),
    "combinations": ("C(5, 2) = 10", ["? = 10"]),
    "clock": ("2:30 + 1 = 3:30", []),
    "ratio": ("2 : 3 = 4 : 6", []),
    "remainder": ("7 / 2 = 3 remainder 1", ["7/2 = ?"]),
    "compound result": ("150 / 60 = 2 hours and 30 minutes", ["5/2 = ?"]),
    "compound operand": ("2 hours and 30 minutes + 30 = 60", ["? = 60"]),
    "mixed number in words": ("12 x 1 and 1/4 = 15", ["? = 15"]),
    "letters glued to a number": ("24 = 3xh", ["24 = ?"]),
    "dots": ("1 + 2 + ... + 10 = 55", ["? = 55"]),
    "periodic decimal": ("0.333... = 1/3", ["? = 1/3"]),
    "words as operand": ("3 * number of eggs = 12", ["? = 12"]),
    "words times": ("3(number of trucks) = 60", ["? = 60"]),
    "quantity of a quantity": ("8 packs of 5 bags * $4/pack = $160", ["? = 160"]),
    "number in its own place": ("There are 24 eggs in 1 tray x 2 trays = 48", ["? = 48"]),
    "day number": ("Week 3 * 5 = 20", ["? = 20"]),
    "range of weeks": ("Subtract weeks 3-4 from weeks 1-2 = 96 - 70 = 26", ["? = 26 = 26"]),
    "base": ("1010_2 = 10", ["? = 10"]),
    "vector": ("(1, 2) = 3 * (4, 5)", []),
    "matrix": ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix} = 5", ["? = 5"]),
    "plus or minus": ("x = 3 \\pm 2", ["name = ?"]),
    "column sum": ("56.78\n-43.60\n= 13.18", ["? = 659/50"]),
    "sum over lines": ("x = 5 + 7\n  - 3\n  = 9", ["name = 12", "? = 9"]),
    "joy or factorial": ("5 + 7 = 12!", ["12 = ?"]),
    "decimal comma": ("2,50 * 2 = 5", ["? = 5"]),
    "blank in a number": ("14, 400 / 80 = 180", ["? = 180"]),
    "clock in four digits": ("0900-0130 = 0730", []),
    "arrow": ("x => 5 and 3 -> 4", []),
    "sign of another thing": ("144 = miles the 3 runners ran", ["144 = ?"]),
    "power of powers": ("9^{9^{9^9}} = 1", ["name = 1"]),
    "fraction before a number": ("(1/2) 1956 = $978", ["? = 978"]),
    "unclosed bracket": ("$100 + ($100 * 10 = $1100", ["? = 1100"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_side_that_is_not_sure_is_not_read(text: str, expected: list[str]) -> None:
    assert [reading for reading in read(text) if reading != "?"] == expected


LABELS = {
    "phrase": ("So, the total number of eggs = 84", "total number of eggs"),
    "possessive": ("Raymond's age at son's birth = 37 - 23", "raymond's age at son's birth"),
    "number": ("Day 1 = 5 + 3", "day 1"),
    "bold": ("**Total** = 5", "total"),
    "bullet": ("- Total cost of items = $5", "total cost of items"),
    "roman": ("\\text{Area} = 6", "area"),
    "none for a name": ("x = 5", ""),
    "none for a computation": ("2 + 3 = 5", ""),
}


@pytest.mark.parametrize(("text", "label"), LABELS.values(), ids=LABELS.keys())
def test_the_first_side_in_words_is_the_label(text: str, label: str) -> None:
    assert statements(text)[0].label == label


SIDES = {
    "money": ("Cost = $5", None, 0, False, "dollar"),
    "cents": ("Cost = 500 cents", None, 0, False, "cent"),
    "plural": ("3 * 28 = 84 eggs each", None, 0, False, "egg"),
    "decimals": ("7 / 2 = 3.50", None, 2, False, ""),
    "percent": ("1/4 = 25%", None, 0, True, ""),
    "negative": ("3 - 4.5 = -1.5 km", None, 1, False, "km"),
    "no unit but a word": ("3 + 4 = 7 so far", None, 0, False, ""),
    "computation": ("12 = 3 * 4 eggs", None, None, False, ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "_", "places", "percent", "unit"), SIDES.values(), ids=SIDES.keys())
def test_a_lone_number_keeps_its_places_and_unit(
    text: str, _: None, places: int | None, percent: bool, unit: str
) -> None:
    side = statements(text)[0].sides[-1]
    assert (side.places, side.percent, side.unit) == (places, percent, unit)


def test_spans_hold_in_the_text_and_steps_are_those_given() -> None:
    solution = ["First, nothing.", "Then 3 eggs * 4 = 12 eggs.", "So x = 5."]
    text = "\n".join(solution)
    first, second = statements(solution)
    assert text[slice(*first.span)] == "3 eggs * 4 = 12"
    assert [text[slice(*side.span)] for side in first.sides] == ["3 eggs * 4", "12"]
    assert text[slice(*second.span)] == "x = 5"
    assert (first.step, second.step) == (1, 2)


def test_a_chain_belongs_to_the_step_where_it_begins() -> None:
    (statement,) = statements("Total = 5 + 7\n= 12")
    assert statement.step == 0
    assert statement.signs == ("=", "=")


def test_trees_keep_names_and_are_those_of_the_grammar() -> None:
    two, three, four = (Number(Fraction(value), 0) for value in (2, 3, 4))
    assert statements("M - 2 = 14")[0].sides[0].node == Operation("+", (Name("M"), Operation("neg", (two,))))
    assert statements("2 - 3 * 4 = -10")[0].sides[0].node == Operation(
        "+", (two, Operation("neg", (Operation("*", (three, four)),)))
    )


SOURCES = {
    "plain": ("3 + 4 = 7", ["plain"]),
    "calculator": ("3 + 4 = <<3+4=7>>7", ["plain", "calculator"]),
    "LaTeX": ("\\(3 + 4 = 7\\)", ["latex"]),
}


@pytest.mark.parametrize(("text", "sources"), SOURCES.values(), ids=SOURCES.keys())
def test_the_source_of_a_statement_is_known(text: str, sources: list[str]) -> None:
    assert [statement.source for statement in statements(text)] == sources


HOSTILE = {
    "signs": "=" * 20_000,
    "numbers and signs": "1=" * 10_000,
    "open brackets": "(" * 20_000 + "=",
    "nested brackets": "(" * 9_000 + "1" + ")" * 9_000 + "=2",
    "long number": "9" * 19_000 + " = 1",
    "long product": "9*" * 9_000 + "1 = 1",
    "fractions": "\\frac" * 4_000 + "=",
    "environments": "\\begin{a}" * 2_000 + "=",
    "calculators": "<<" * 10_000,
    "words": "word " * 4_000 + "= 1",
    "dollars": "$x=" * 6_000,
    "new lines": "\n=" * 10_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_read_within_bounds(text: str) -> None:
    assert len(statements(text)) <= MAX_STATEMENTS
