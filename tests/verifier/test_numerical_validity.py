import json
from pathlib import Path

import pytest

from trl_weighted_dpo.verifier import MathVerifier
from trl_weighted_dpo.verifier.dimensions.numerical_validity import DIMENSION, MAX_FINDINGS
from trl_weighted_dpo.verifier.findings import KINDS, DimensionResult

VERIFIER = MathVerifier()


def checked(solution: str | list[str]) -> DimensionResult:
    """What the dimension says of a solution."""
    profile = VERIFIER.verify("", solution)
    evidence = tuple(item for item in profile.evidence if item.dimension == DIMENSION)
    return DimensionResult(profile.scores[DIMENSION], evidence, profile.unavailable)


SOUND = {
    # expressions that a checker which cuts them takes for false equations
    "precedence": "2 + 3 * 4 = 14",
    "name before the number": "x + 2 = 5, so x = 3",
    "end of a sentence before": "The result is 5. So 6 * 2 = 12",
    "words before": "She eats 3 and bakes 4 so she uses 3 + 4 = <<3+4=7>>7 eggs",
    "letter x": "The donuts cost 3 x $68 = $<<3*68=204>>204.",
    "letter x and brackets": "(2+3) x (4) = 20",
    "units inside": "3 eggs/omelet * 28 days = 84 eggs",
    "remarks inside": "30 pages/week (received) + 30 pages/week (sent) = 60 pages/week",
    "chained signs": "30% of 180 = 0.3 * 180 = 54",
    "chain in words": "Total cost = Price * Number = $5 * 3 = $15",
    "chain over lines": "Number of articles = 5 + (2/5 * 5)\n= 5 + 2\n= 7",
    "thousands": "With Furniture United the cost is $2,100 + $1,350 = $<<2100+1350=3450>>3,450",
    "thousands in LaTeX": "\\(1{,}500 + 500 = 2{,}000\\)",
    "thousands with blanks": "The fee is $350 000 x 5/100 = $<<350000*5/100=17500.0>>17 500.",
    "mixed numbers": "1 1/2 + 2 1/4 = 3 3/4",
    "mixed number in words": "12 x 1 and 1/4 = 15",
    "column sum": "56.78\n-43.60\n= 13.18",
    "quantity of quantities": "Tara spent 8 packs of 5 bags * $4/pack = $<<8*5*4=160>>160.",
    "numbers of things": "Day 1 = 5 + 3 and week 2 * 4 = 40",
    "lines without their breaks": "Total hours = 36 hours/week * 12 weeks = 432 hours Hours per week = 14.4",
    "words times": "We know that .1(Number of Minutes) + 1 = .15(Number of Minutes)",
    # rounding, floats
    "rounded": "200 / 3 = 66.67",
    "cut": "5.67 / 1 = 5.6",
    "rounded to a whole number": "That means it took 450/70=<<450/70=6.428571428571429>>6 hours",
    "rounded up": "97 / 4 = 25 buses",
    "float tail": "1.87*9 = <<1.87*9=16.830000000000002>>16.83",
    "float tail of a quotient": "1000 ml / 12 = 83.33333333333333 ml",
    "computed with a rounded number": "66.67 * 3 = 200",
    "computed with a float": "80 / 26.666666666666668 = 3 trucks",
    "rounded pi": "\\(18 \\times 3.14159 = 56.54866\\)",
    "pi itself": "\\(16\\pi = 50.24\\)",
    "root": "\\(\\sqrt{2} \\approx 1.41\\) and \\(\\sqrt{50} = 5\\sqrt{2}\\)",
    "about": "7 * 15 is about 100, or 7 * 15 \u2248 100",
    # percent
    "percent worked out": "1/5 = 20%",
    "percent sign left out": "40 water type / 80 cards * 100 = 50%",
    "times 100 %": "20/40 * 100% = 50%",
    "percent of what is before": "$80 - 25% = $60",
    "percent of the whole": "100% - 20% = 80% of the students",
    "percents as numbers": "100-54 = 46% boys.",
    "share of something": "25% = $19.50, so 100% = $78",
    "part of something": "The housewife has 3/3 - 2/3 = 1/3 of $150 left.",
    # units
    "hours to minutes": "4 hours = 240",
    "weeks": "2 weeks = 14 days",
    "dozens": "3 dozen = 36 eggs",
    "feet": "4 feet = 4 * 12 = 48 inches",
    "money": "$5 = 500 cents and 5 * 25 cents = $1.25",
    "unknown units": "2 boxes = 24 eggs",
    "sum of units": "2 hours + 30 minutes = 150 minutes",
    "money and cents": "$3 + 50 cents = $3.50",
    "compound": "150 / 60 = 2 hours, 30 minutes",
    "squared conversion": "1 km = 1000 m and 5 km/h * 2 h = 10 km",
    "scale in words": "They lose 5 thousand a day, so 5 * 3 = $15,000.",
    # signs for something else than equality
    "goes on computing": "3 + 2 = 5 * 2 = 10",
    "fraction under a fraction": "He used 25 / 1/3 = 75 decorations",
    "trial": "Suppose 5 * 4 = 25, which is false.",
    "remainder": "17 = 5 mod 12",
    "ratio": "2 : 3 = 4 : 6",
    "clock": "5:00 - 1:00 = 4:00",
    # algebra
    "solving": "M - 2 = 14\nAdd 2 to both sides:\nM = 16",
    "solving to a decimal": "3x = 100\nDivide both sides by 3:\nx = 33.3",
    "two roots": "x = (1 + 269) / 18 or x = (1 - 269) / 18",
    "roots in lines": "x = (5 + 1)/2\nx = (5 - 1)/2",
    "another equation": "x + y = 5. For the second, 2x = 12",
    "cases": "n + 6 = 2n\nn + 6 = 3n",
    "percent of a name": "The discount is x - 25% = 19.50.\nThus, x = 19.50 / 0.75 = 26",
    "condition": "2x + 3 = x + 7",
    "identity": "Area = x(x + 2) = x^2 + 2x",
    "substitution": "y = 2x + 1 = 2(3) + 1 = 7",
    "same label later": "Cost = 5 + 3 = 8\nCost = 8 + 2 = 10",
    "sign turned": "-2x < 6, so x > -3",
    "factors": "The prime factorization of 28 is \\(2^2 \\times 7\\).",
    # LaTeX
    "fraction": "\\[\n\\frac{4}{36} = \\frac{1}{9}\n\\]",
    "degrees": "\\(\\frac{7 \\times 180^\\circ}{9} = 140^\\circ\\)",
    "formulas side by side": "$9x = 6$ $x = \\frac{6}{9} = \\frac{2}{3}$",
    "align": "\\begin{align*}\n2(3 + 4) &= 2 \\cdot 7 \\\\\n&= 14\n\\end{align*}",
    "periodic": "$10x = 6.\\overline{6}$ and $0.\\overline{3} = \\frac{1}{3}$",
    "comparison": "Since 5 > 3 and 2^3 \\leq 9",
}


@pytest.mark.parametrize("solution", SOUND.values(), ids=SOUND.keys())
def test_a_sound_statement_is_not_flagged(solution: str) -> None:
    assert checked(solution).evidence == ()
    assert checked(solution).score in (0.0, None)


WRONG = {
    "product": ("3 * 28 = 81", "wrong_equation", "84", "81", "3 * 28 is 84, not 81."),
    "units (parc-gsm8k-positives_perturbed-14)": (
        "3 eggs/omelet * 28 days = 81 eggs", "wrong_equation", "84", "81", "3 eggs/omelet * 28 is 84, not 81.",
    ),
    "money (parc-gsm8k-positives_perturbed-46)": (
        "Total = $7 + $7 = $15.", "wrong_equation", "14", "$15", "$7 + $7 is 14, not $15.",
    ),
    "remarks (parc-gsm8k-negatives-35)": (
        "1 hour (Monday) + 3 hours (Tuesday) = 5 hours", "wrong_equation", "4", "5",
        "1 hour (Monday) + 3 is 4, not 5.",
    ),
    "calculator (gsm8k-test-218)": ("so <<3*(1/3)=9>>9 years", "wrong_equation", "1", "9", "3*(1/3) is 1, not 9."),
    "sign lost (gsm8k-test-361)": ("0-18,000=<<0-18000=-18000>>18,000", "wrong_equation", "-18000", "18,000",
                                   "0-18,000 is -18000, not 18,000."),
    "fraction": ("(3/4) * 120 = 80", "wrong_equation", "90", "80", "(3/4) * 120 is 90, not 80."),
    "percent": ("20% of 70 = 15", "wrong_equation", "14", "15", "20% of 70 is 14, not 15."),
    "result in percent": ("12 / 40 = 25%", "wrong_equation", "30%", "25%", "12 / 40 is 30%, not 25%."),
    "spoken": ("So 3 times 4 is 13.", "wrong_equation", "12", "13", "3 times 4 is 12, not 13."),
    "chain": ("2 * 3 + 1 = 6 + 1 = 8", "wrong_equation", "7", "8", "6 + 1 is 7, not 8."),
    "both sides computed": (
        "60 + 57 + 54 = 162 + 54", "wrong_equation", "171", "162 + 54", "60 + 57 + 54 is 171, but 162 + 54 is 216.",
    ),
    "result first": ("15 = 3 * 4", "wrong_equation", "12", "15", "3 * 4 is 12, not 15."),
    "two numbers": ("So 16000 = 12800.", "wrong_equation", "16000", "12800", "16000 and 12800 are not the same."),
    "LaTeX": (
        "\\[ \\frac{1}{2} \\times 24 = 13 \\]", "wrong_equation", "12", "13", "\\frac{1}{2} \\times 24 is 12, not 13.",
    ),
    "root": ("\u221a72360 = 268.94", "wrong_rounding", "about 269", "268.94", "\u221a72360 is about 269, not 268.94."),
    "factors": ("The prime factorization of 576 is $2^5 \\cdot 3^3$.", "wrong_equation", "864", "576",
                "2^5 \\cdot 3^3 is 864, not 576."),
    "unit known on both sides": ("4 hours = 200 minutes", "wrong_equation", "4", "200",
                                 "4 and 200 are not the same."),
    "last digit": ("17.5 + 3.2 = 20.6", "wrong_rounding", "20.7", "20.6", "17.5 + 3.2 is 20.7, not 20.6."),
    "rounded wrongly": ("200 / 3 = 66.4", "wrong_rounding", "about 66.67", "66.4", "200 / 3 is about 66.67, not 66.4."),
    "far off about": ("7 * 15 \u2248 150", "wrong_equation", "105", "150", "7 * 15 is 105, not 150."),
    "half as a decimal": ("2.5 + 3 = 5", "wrong_equation", "5.5", "5", "2.5 + 3 is 5.5, not 5."),
    "comparison": ("because 2 * 3 > 7", "wrong_comparison", None, "2 * 3 > 7", "2 * 3 is not more than 7."),
    "same label (parc-metamathqa-positives_perturbed-12)": (
        "Total cost of items = $3 + $2\nTotal cost of items = $4", "wrong_equation", "5", "$4", "$3 + $2 is 5, not $4.",
    ),
    "same label without breaks (parc-gsm8k-positives_perturbed-20)": (
        "Total cost of pizza = Total - Total excluding pizza Total cost of pizza = $50 - $33 Total cost of pizza = $27",
        "wrong_equation", "17", "$27", "$50 - $33 is 17, not $27.",
    ),
    "same name": ("x = 12 - 2\nx = 11", "wrong_equation", "10", "11", "12 - 2 is 10, not 11."),
    "identity (parc-metamathqa-positives_perturbed-52)": (
        "Current height = x + (0.5x)\nCurrent height = 1.6x", "wrong_identity", None, "1.6x",
        "x + (0.5x) and 1.6x are not the same expression.",
    ),
    "identity in a chain": (
        "Area = (x + 2)^2 = x^2 + 4", "wrong_identity", None, "x^2 + 4",
        "(x + 2)^2 and x^2 + 4 are not the same expression.",
    ),
    "like terms (gsm8k-test-214)": (
        "x+4x=8x", "wrong_identity", None, "8x", "x+4x and 8x are not the same expression.",
    ),
    "solving (parc-gsm8k-positives_perturbed-24)": (
        "Combine like terms: 18x = 162\nDivide both sides by 18 to solve for x: x = 162 / 17", "wrong_solving_step",
        "x = 9", "x = 162 / 17", "From 18x = 162 follows x = 9, but x = 162 / 17 means x = about 9.53.",
    ),
    "solving an inequality (parc-gsm8k-positives-10)": (
        "90 \u2265 7.5n\nDivide both sides by 7.5: n \u2265 12", "wrong_solving_step", "n <= 12", "n \u2265 12",
        "From 90 \u2265 7.5n follows n <= 12, but n \u2265 12 means n >= 12.",
    ),
    "solving at once": (
        "2x + 30 = 110, so 2x = 90", "wrong_solving_step", "x = 40", "2x = 90",
        "From 2x + 30 = 110 follows x = 40, but 2x = 90 means x = 45.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("solution", "kind", "expected", "found", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_false_statement_is_found(solution: str, kind: str, expected: str | None, found: str, message: str) -> None:
    result = checked(solution)

    (finding,) = result.evidence
    assert (finding.kind, finding.expected, finding.found, finding.message) == (kind, expected, found, message)
    assert finding.channel == "rule"
    assert result.score == pytest.approx(KINDS[DIMENSION, kind, "rule"].severity)


def test_a_finding_has_its_step_and_place() -> None:
    solution = ["She has 3 + 4 = 7 eggs.", "She sells 7 * 2 = 15 eggs.", "A: 15"]

    (finding,) = checked(solution).evidence

    assert finding.step == 1
    assert finding.span is not None
    assert "\n".join(solution)[slice(*finding.span)] == "7 * 2 = 15"


def test_a_slip_on_the_next_line_belongs_to_that_line() -> None:
    (finding,) = checked("Total = 5 + 7 + 14\n= 27").evidence

    assert finding.step == 1


def test_the_same_slip_within_the_calculator_counts_once() -> None:
    assert len(checked("3 * 4 = <<3*4=13>>13").evidence) == 1


def test_more_slips_never_lower_the_score() -> None:
    scores = [checked("\n".join(f"{n} + 1 = {n + 3}" for n in range(count))).score for count in range(5)]

    assert scores[0] is None
    assert scores[1:] == sorted(score for score in scores[1:] if score is not None)
    assert scores[1] < scores[4] <= 1


@pytest.mark.parametrize("solution", ["", "No numbers at all.", "The total is 5.", "x = y + 2", "Total = 5"])
def test_without_anything_to_compute_there_is_no_score(solution: str) -> None:
    result = checked(solution)

    assert result.score is None
    assert "equations to compute" in result.unavailable


def test_the_number_of_findings_is_bounded() -> None:
    assert len(checked("\n".join(f"{n} + 1 = {n + 3}" for n in range(1_000))).evidence) <= MAX_FINDINGS


def test_hardly_a_correct_candidate_is_flagged(shared_data: Path) -> None:
    flagged = total = 0
    with (shared_data / "gsm8k_solutions_pool.jsonl").open() as lines:
        for line in lines:
            for candidate in json.loads(line)["candidates"]:
                if candidate["is_correct"]:
                    total += 1
                    flagged += bool(checked(candidate["solution"]).evidence)
    assert flagged <= 0.005 * total
