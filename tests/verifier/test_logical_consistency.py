"""`logical_consistency`: what a solution says against itself, and what only looks like it."""

from functools import cache

import pytest

from trl_weighted_dpo.verifier import MathVerifier
from trl_weighted_dpo.verifier.dimensions.logical_consistency import DIMENSION
from trl_weighted_dpo.verifier.findings import KINDS
from trl_weighted_dpo.verifier.profile import ErrorProfile

EGGS = "Hens lay eggs. How many eggs are sold?"
APPLES = "Tom has 5 apples in a bowl. How many apples does he have in the end?"
MONEY = "Ann has $36 and buys pens. How much money does she have left?"
UNKNOWN = "What is the value of the unknown x?"


@cache
def _verifier() -> MathVerifier:
    return MathVerifier()


def _profile(problem: str, solution: str, reference: str | None = None) -> ErrorProfile:
    return _verifier().verify(problem, solution, reference)


def _found(problem: str, solution: str) -> list[tuple[str, str, int | None, str]]:
    """Kind, channel, step and faulty text of each finding."""
    return [
        (item.kind, item.channel, item.step, solution[slice(*item.span)] if item.span else "")
        for item in _profile(problem, solution).evidence
        if item.dimension == DIMENSION
    ]


FAULTS = [
    # A number put in for a label with another value.
    (
        "overtime-rate (parc-gsm8k-positives_perturbed-7)",
        "Eliza works 45 hours, of which 40 at $10 per hour. What does she earn with 1.2 times the rate for overtime?",
        "Overtime hourly rate = 1.2 * $10 = $12\nOvertime pay = Overtime hourly rate * Overtime hours = $15 * 5 = $75",
        ("carried_wrong", "rule", 1, "$15"),
    ),
    (
        "run-on-formula (parc-gsm8k-positives_perturbed-23)",
        "One pair of heels costs $33 and the other twice as much. What do the boots cost?",
        "Cost of the second pair = 2 * Cost of the first pair Cost of the second pair = 2 * $33 "
        "Cost of the second pair = $66\nTotal cost = Cost of the first pair + Cost of the second pair "
        "Total cost = $33 + $55 Total cost = $88",
        ("carried_wrong", "rule", 1, "$55"),
    ),
    (
        "difference (parc-metamathqa-positives_perturbed-3)",
        "A sitter takes $16 per hour, a new one $12 and $3 for each scream. How much is saved in 6 hours?",
        "Cost of the new sitter = $12 * 6 + $6 = $78\nAmount saved = Cost of the old sitter - Cost of the new sitter = "
        "$96 - $86 = $10",
        ("carried_wrong", "rule", 1, "$86"),
    ),
    (
        "divisor (parc-metamathqa-positives_perturbed-42)",
        "33 pupils are 11 years old on average, 55 parents 33. What is the average age of all?",
        "Total number of people = 33 + 55. Total number of people = 88.\n"
        "Average age = Total age of all / Total number of people. Average age = 2178 / 89.",
        ("carried_wrong", "rule", 1, "89"),
    ),
    (
        "label-left-of-the-sign",
        EGGS,
        "Total eggs = 7 * 12 = 84\nTotal eggs / 12 = 81 / 12",
        ("carried_wrong", "rule", 1, "81"),
    ),
    (
        "given-in-a-list",
        "What does she earn?",
        "Data: - Regular hourly rate: $10 per hour - Working hours: 40 hours\n"
        "Pay = Regular hourly rate * Working hours = $17 * 40 = $680",
        ("carried_wrong", "rule", 1, "$17"),
    ),
    # A number from nowhere that looks like a result.
    ("restated-at-once", APPLES, "He buys 3 * 4 = 12, so he has 13 apples.", ("carried_wrong", "heuristic", 0, "13")),
    (
        "digits-changed-places",
        EGGS,
        "There are 36 * 7 = 252 eggs.\nThat makes 225 / 9 = 25 boxes.",
        ("carried_wrong", "heuristic", 1, "225"),
    ),
    (
        "one-digit (gsm8k-train-7401)",
        "Three tanks hold water. How many gallons are in the tanks?",
        "The first two hold 5250 + 4000 = 9250 gallons.\nIn total there are 9350 + 1500 = 10850 gallons.",
        ("carried_wrong", "heuristic", 1, "9350"),
    ),
    (
        "same-unit",
        EGGS,
        "They lay 7 * 12 = 84 eggs.\nUsing the 81 eggs, they fill boxes.",
        ("carried_wrong", "heuristic", 1, "81"),
    ),
    (
        "dropped-decimals (gsm8k-test-641/0)",
        "What would he make in a year?",
        "The monthly raise is 11500 / 12 = 958.33 dollars.\nIn a year that is 958 * 12 = 11496 dollars.",
        ("carried_wrong", "heuristic", 1, "958"),
    ),
    # A name with two values.
    ("divided-by-another", UNKNOWN, "18x = 162\nx = 162 / 17", ("two_values", "rule", 1, "x = 162 / 17")),
    ("subtracted-another", UNKNOWN, "2x + 30 = 110\n2x = 90", ("two_values", "rule", 1, "2x = 90")),
    ("added-instead", UNKNOWN, "200 = J + 170\nJ = 200 + 170", ("two_values", "rule", 1, "J = 200 + 170")),
    ("subtracted-instead", UNKNOWN, "We get 5x = 75.\nSo x = 70.", ("two_values", "rule", 1, "x = 70")),
    ("substituted-another", UNKNOWN, "M = 16\nJ = M + 2\nJ = 15 + 2", ("two_values", "rule", 2, "J = 15 + 2")),
    ("system", UNKNOWN, "x + y = 10\nx - y = 4\nx = 8", ("two_values", "rule", 2, "x = 8")),
    ("in-latex", UNKNOWN, "We have $3x = 33$.\nThen $x = 12$.", ("two_values", "rule", 1, "x = 12")),
    ("fraction", UNKNOWN, "\\[ \\frac{x}{4} = 5 \\]\n\\[ x = 25 \\]", ("two_values", "rule", 1, "x = 25")),
    ("decimals", UNKNOWN, "0.75x = 19.50\nx = 19.50 / 0.85", ("two_values", "rule", 1, "x = 19.50 / 0.85")),
    ("run-on-equations", UNKNOWN, "5x = 90\nx = 90 / 3 x = 30", ("two_values", "rule", 1, "x = 90 / 3")),
    (
        "product-of-settled-names",
        "What is the area?",
        "l = 6\nw = 7\nA = l * w\nA = 45",
        ("two_values", "rule", 3, "A = 45"),
    ),
    (
        "label-restated",
        EGGS,
        "Total eggs = Hens * Eggs per hen = 7 * 12 = 84\nTotal eggs = 99",
        ("two_values", "heuristic", 1, "99"),
    ),
    # An answer that was not derived.
    (
        "other-answer",
        APPLES,
        "So the total is 40 + 4 = 44.\nThe rest is 44 / 2 = 22.\nA: 45",
        ("answer_not_derived", "rule", 2, "45"),
    ),
    (
        "off-by-ten (gsm8k-test-206/1)",
        "How many kilometers did he ride?",
        "In total he rode 500 + 480 = 980 kilometers.\nA: 990",
        ("answer_not_derived", "rule", 1, "990"),
    ),
    ("in-prose", EGGS, "They lay 7 * 12 = 84 eggs.\nThe answer is 71.", ("answer_not_derived", "heuristic", 1, "71")),
    (
        "dropped-cents (gsm8k-test-74/1)",
        "What does Artie make with flowers?",
        "He makes $32.88 + $52.87 = $85.75.\nA: 85",
        ("answer_not_derived", "heuristic", 1, "85"),
    ),
    # Values that cannot be.
    (
        "negative-answer",
        APPLES,
        "He has 5 apples and eats some.\n3 - 3 - 4 = -4\nA: -4",
        ("negative_count", "rule", 2, "-4"),
    ),
    ("guessed-answer", MONEY, "She has spent it, so she has $-4.", ("negative_count", "heuristic", 0, "$-4")),
    (
        "more-removed",
        APPLES,
        "He gives away 8, so 5 - 8 = -3 are left.\nA: 3",
        ("more_removed_than_there", "heuristic", 0, "5 - 8"),
    ),
    (
        "more-removed-without-sign (gsm8k-test-138/2)",
        "A test has 75 questions. How many questions are incomplete?",
        "She leaves 75 - 160 = 85 questions.\nA: 85",
        ("more_removed_than_there", "heuristic", 0, "75 - 160"),
    ),
    (
        "more-removed-in-calculator",
        MONEY,
        "She has $22 - $26 = $<<22-26=-4>>-4 left.\nA: 4",
        ("more_removed_than_there", "heuristic", 0, "$22 - $26"),
    ),
    (
        "half-a-student",
        "A class has 45 desks. How many students sit there?",
        "45 / 2 = 22.5\nA: 22.5",
        ("fractional_count", "heuristic", 1, "22.5"),
    ),
    (
        "fraction-of-a-kid (gsm8k-test-197/2)",
        "How many of the kids went home?",
        "That is 6277 / 2 = 3138.5.\nA: 3138.5",
        ("fractional_count", "heuristic", 1, "3138.5"),
    ),
    (
        "share-above-the-whole",
        "In a group of 50 there are 120 badges. What percentage of the group wears one?",
        "120 / 50 = 2.4 = 240%\nA: 240%",
        ("share_above_100", "heuristic", 1, "240%"),
    ),
    (
        "probability-above-1",
        "What is the probability of a red ball?",
        "P(red) = 6 / 4 = 1.5",
        ("share_above_100", "rule", 0, "6 / 4"),
    ),
    (
        "probability-below-0",
        "What is the probability that it rains?",
        "The probability of rain = 1 - 1.2 = -0.2",
        ("share_above_100", "rule", 0, "1 - 1.2"),
    ),
]


@pytest.mark.parametrize(
    ("problem", "solution", "expected"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_a_fault_is_found_where_it_is(problem: str, solution: str, expected: tuple[str, str, int, str]) -> None:
    found = _found(problem, solution)
    assert expected in [(kind, channel, step, text.strip()) for kind, channel, step, text in found]
    assert (_profile(problem, solution).scores[DIMENSION] or 0) >= KINDS[DIMENSION, *expected[:2]].severity


SOUND = [
    ("plain", EGGS, "They lay 7 * 12 = 84 eggs.\nThat makes 84 / 12 = 7 boxes.\nA: 7"),
    ("label-put-in", EGGS, "Total eggs = 7 * 12 = 84\nBoxes = Total eggs / Eggs per box = 84 / 12 = 7"),
    ("any-order", MONEY, "Price of pens = $5\nPrice of ink = $7\nTotal = Price of pens + Price of ink = $7 + $5 = $12"),
    ("in-percent", MONEY, "Discount rate = 25%\nDiscount = Discount rate * Old price = 0.25 * 36 = 9"),
    ("in-cents", MONEY, "Price per pen = 75 cents\nTotal = Price per pen * Number of pens = $0.75 * 4 = $3"),
    ("in-minutes", "How long?", "Time per lap = 2 hours\nTotal = Time per lap * Laps = 120 * 3 = 360 minutes"),
    ("rounded", "What speed?", "Average speed = 100 / 3 = 33.333\nDistance = Average speed * Time = 33.3 * 6 = 199.8"),
    (
        "one-word-labels-of-two-trips",
        "A car drives 3 hours at 60 mph and 2 hours at 45 mph. How far?",
        "Speed = 60\nDistance = Speed * Time = 60 * 3 = 180\nDistance = Speed * Time = 45 * 2 = 90",
    ),
    (
        "label-of-another-person",
        "Ann works 8 hours at $10, Ben 6 hours at $12. What do they earn?",
        "Hourly rate = $10\nAnn: pay = Hourly rate * Hours = $10 * 8 = $80\n"
        "Ben: pay = Hourly rate * Hours = $12 * 6 = $72",
    ),
    (
        "what-remains (parc-metamathqa-positives-17)",
        "Bob runs 70 miles in 3 days. How many miles does he run on the third day?",
        "Remaining miles = Total miles - Miles run on the first day\nRemaining miles = 70 - 14\n"
        "Remaining miles = 56 miles\nRemaining miles = Remaining miles - Miles run on the second day\n"
        "Remaining miles = 56 - 28\nRemaining miles = 28",
    ),
    (
        "two-prices (parc-metamathqa-positives-91)",
        "Presale tickets cost $155 and tickets at the gate $200. What was paid?",
        "Price per ticket = $155\nPresale = 20 * $155 = $3100\nPrice per ticket = $200\nGate = 30 * $200 = $6000",
    ),
    ("label-with-a-rate", EGGS, "Eggs per day = 12 / 3 = 4\nEggs per day = 8"),
    ("partial-sum", EGGS, "Students left = 24 - (13 + 8)\nStudents left = 24 - 21\nStudents left = 3"),
    ("sum-in-the-head", UNKNOWN, "x + 2x + 15 + x + 1 = 40\n4x + 16 = 40\n4x = 24\nx = 6"),
    ("mental-step", EGGS, "They have 3 * 4 = 12 eggs and eat 2, so they have 10 eggs left.\nA: 10"),
    ("another-number", EGGS, "They lay 3 * 4 = 12 eggs.\nThere are 48 hens, so that is 48 * 12 = 576.\nA: 576"),
    ("rounded-up", "How many buses are needed?", "100 / 12 = 8.33, so 9 buses are needed.\nA: 9"),
    ("calculator-tail", MONEY, "She has $<<2.12*17=36.040000000000001>>36.04.\nA: 36.04"),
    # Names.
    ("solved", UNKNOWN, "3x + 4 = 19\n3x = 15\nx = 5\nA: 5"),
    ("substituted", UNKNOWN, "M = 16\nJ = M + 2\nJ = 16 + 2\nJ = 18"),
    ("system-solved", UNKNOWN, "x + y = 10\nx - y = 4\n2x = 14\nx = 7\ny = 10 - 7\ny = 3"),
    ("rounded-root", UNKNOWN, "3x = 32\nx = 10.67"),
    (
        "converted",
        "How long?",
        "$t = \\frac{1}{5}$\n$t = \\frac{1}{5} \\text{ hours} \\times 60 = 12 \\text{ minutes}$",
    ),
    ("roots", UNKNOWN, "x^2 = 9\nx = 3 or x = -3"),
    ("roots-on-lines", UNKNOWN, "x^2 - 5x + 6 = 0\nx = 2\nx = 3"),
    ("cases", UNKNOWN, "Case 1: x = 3\nThen y = 5.\nCase 2: x = 4\nThen y = 7."),
    ("if-then", UNKNOWN, "If d = 4, then e = 5.\nIf d = 6, then e = 3."),
    ("points", UNKNOWN, "When x = 0, y = 5.\nWhen x = 1, y = 7."),
    ("trial", UNKNOWN, "Try x = 3: 2 * 3 + 1 = 7.\nTry x = 4: 2 * 4 + 1 = 9."),
    (
        "new-meaning",
        UNKNOWN,
        "Let x be Ann's age. Then 2x = 20 and x = 10.\nNow let x be Ben's age. Then 3x = 36 and x = 12.",
    ),
    ("next-part", UNKNOWN, "Part 1: 2x = 20, so x = 10.\nPart 2: 3x = 36, so x = 12."),
    ("counter", UNKNOWN, "n = 1\nn = n + 1\nn = 2"),
    ("no-solution", UNKNOWN, "x + 1 = 3\nx + 1 = 4\nThis is a contradiction, so there is no solution."),
    ("function-values", UNKNOWN, "f(1) = 3\nf(2) = 5\nf(3) = 7"),
    ("events", "What is the probability?", "P(X = 4) = 1/6\nP(X = 5) = 1/3"),
    ("indices", UNKNOWN, "\\[ \\sum_{i=1}^{3} i = 6 \\]\n\\[ \\sum_{i=2}^{3} i = 5 \\]"),
    ("sum-of-names (parc-metamathqa-positives-84)", UNKNOWN, "$a = 2$ and $b = 7$.\nSum of $a$ and $b$ = $2 + 7 = 9$."),
    ("units-that-look-like-names", "How long is it?", "It is 5m = 500 cm long.\nThe rest is 2m = 200 cm long."),
    ("loose-percent (gsm8k-test-24/0)", UNKNOWN, "x - 25% = 19.50\nx - 75% = 19.50"),
    ("modulo", UNKNOWN, "x = 5 mod 7\nx = 3 mod 4"),
    ("inequality", UNKNOWN, "n > 5\nn < 9\nn = 7"),
    # Answers.
    ("answer-in-dollars", MONEY, "She has 3600 / 2 = 1800 cents left.\nA: $18"),
    ("answer-rounded", "How many buses are needed?", "100 / 12 = 8.33\nA: 9"),
    ("answer-rounded-down", "How many whole boxes can be filled?", "39 / 10 = 3.9\nA: 3"),
    ("answer-of-the-problem", APPLES, "He gets 2 - 2 = 0 more.\nA: 5"),
    ("answer-earlier", UNKNOWN, "3x = 15\nx = 5\nCheck: 3 * 5 + 4 = 19\nA: 5"),
    ("answer-as-fraction", UNKNOWN, "x = 6 / 16 = \\frac{3}{8}\n\\boxed{\\frac{3}{8}}"),
    ("answer-without-sign", "What is the difference of the ages?", "20 - 36 = -16\nA: 16"),
    # Values that may be.
    ("loss", "Ann sells for $90 what cost $180. How much profit does she make?", "$90 - $180 = -$90\nA: -90"),
    ("temperature", "It was 5 degrees and fell by 8. How many degrees is it?", "5 - 8 = -3\nA: -3"),
    ("difference-of-integers", "What is the value of 4 - 25?", "4 - 25 = -21\nA: -21"),
    ("signed-numbers", "How much is -3 more than -7?", "-3 + -7 = -10\nA: -10"),
    ("two-units", "How many ounces is it?", "It weighs 4 pounds - 6 ounces = 58 ounces.\nA: 58"),
    (
        "range",
        "How many hours in all weeks?",
        "Weeks 1-2 have 96 hours.\nWeeks 3-4 have 70 hours, 96 - 70 = 26 fewer.\nA: 26",
    ),
    ("average-of-people", "How many students are in a class on average?", "45 / 2 = 22.5\nA: 22.5"),
    ("rate-of-people", "How many people per hour go in?", "5 / 2 = 2.5\nA: 2.5"),
    ("hours", "How many hours does it take?", "5 / 2 = 2.5\nA: 2.5"),
    ("pizzas", "How many pizzas do they eat?", "5 / 2 = 2.5\nA: 2.5"),
    ("growth", "By what percent did it grow?", "30 / 12 = 2.5 = 250%\nA: 250%"),
    (
        "more-than-all",
        "What percent of the original price is the new, higher price?",
        "150 / 100 = 1.5 = 150%\nA: 150%",
    ),
    ("probability-in-percent", "What is the probability of red?", "P(red) = 3 / 4 = 75%\nA: 75%"),
    ("chance-without-sign", "What is the probability of red in percent?", "The probability = 3 / 4 * 100 = 75\nA: 75"),
    ("polynomial", "Find P(2) for P(x) = 2x + 1.", "P(2) = 2 * 2 + 1 = 5\nA: 5"),
]


@pytest.mark.parametrize(("problem", "solution"), [row[1:] for row in SOUND], ids=[row[0] for row in SOUND])
def test_a_sound_solution_is_left_alone(problem: str, solution: str) -> None:
    assert _found(problem, solution) == []
    assert _profile(problem, solution).scores[DIMENSION] == 0.0


def test_every_kind_has_a_case() -> None:
    assert {row[3][:2] for row in FAULTS} == {key[1:] for key in KINDS if key[0] == DIMENSION}


def test_a_finding_says_what_was_expected() -> None:
    solution = "Total eggs = 7 * 12 = 84\nBoxes = Total eggs / Eggs per box = 81 / 12"
    (finding,) = [item for item in _profile(EGGS, solution).evidence if item.dimension == DIMENSION]
    assert (finding.expected, finding.found) == ("84", "81")
    assert finding.message == "Total eggs was found to be 84, but 81 is put in for it here."
    (finding,) = [item for item in _profile(UNKNOWN, "6x = 40\nx = 7").evidence if item.dimension == DIMENSION]
    assert (finding.expected, finding.found) == ("x = 20/3", "x = 7")
    assert finding.message == "x was 20/3 before, but here it comes to 7."


def test_a_solution_without_numbers_is_not_checked() -> None:
    profile = _profile(EGGS, "All of them are sold.")
    assert profile.scores[DIMENSION] is None
    assert "numbers in the solution" in profile.unavailable


def test_two_findings_weigh_more_than_one() -> None:
    one = _profile(APPLES, "5 - 8 = -3\nA: 3").scores[DIMENSION]
    two = _profile(APPLES, "5 - 8 = -3\nA: -3").scores[DIMENSION]
    assert one == pytest.approx(0.5)
    assert two == pytest.approx(1 - 0.5 * 0.1)


def test_an_answer_after_what_was_read_is_not_missed() -> None:
    solution = "They lay 7 * 12 = 84 eggs.\n" + "That is so.\n" * 2_000 + "So 71 is right.\nA: 71"
    assert _found(EGGS, solution) == []


def test_the_reference_is_not_looked_at() -> None:
    solution = "There are 36 * 7 = 252 eggs.\nThat makes 225 / 9 = 25 boxes.\nA: 25"
    verifier = _verifier()
    found = [
        [item for item in verifier.verify(EGGS, solution, *reference).evidence if item.dimension == DIMENSION]
        for reference in ((), ("25", "225 / 9 = 25\n#### 25"), ("7", "49 / 7 = 7\n#### 7"))
    ]
    assert found[0] == found[1] == found[2] != []


HOSTILE = {
    "steps": "x = x + 1\n" * 3_000,
    "many-names": "".join(f"{chr(97 + i % 26)}{i % 7} = {i} * {chr(97 + i * 5 % 26)} + {i}\n" for i in range(1_500)),
    "long-sum": "x = " + " + ".join(f"{i}a{i % 9}" for i in range(3_000)) + " = 7\nx = 3",
    "labels": "".join(
        f"Total cost = Price of pens {i % 9} * Pens bought = ${i} * {i + 3} = {i * 7}\n" for i in range(300)
    ),
    "long-labels": "A b = " + " + ".join(["C d"] * 2_000) + " = " + " + ".join(["9"] * 2_000),
    "near-numbers": "".join(f"{i} + {i} = {2 * i}\nso {2 * i + 1} eggs\n" for i in range(1_000, 1_600)),
    "huge-numbers": "Total eggs = 1e2000\nTotal eggs / 12 = 3e1999 / 12\nx = " + "9" * 5_000 + "\nx = 3\nA: 1e1999",
    "dashes": " - A" * 4_000 + " = 3 - 5 = -2",
    "equals": "1" + "=" * 15_000,
    "towers": "x = 9^9^9^9\nx = 3\n" * 400,
    "long-results": "They have 9^2000 * 9^2000 * 9^2000 = 8, so he has 81.\n3 * 9^2000 * 9^2000 is 12345\nA: 7",
}


@pytest.mark.parametrize("solution", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_gives_a_short_finding_or_none(solution: str) -> None:
    profile = _profile("How many of the kids have a probability?", solution)
    score = profile.scores[DIMENSION]
    assert score is None or 0 <= score <= 1
    for item in profile.evidence:
        if item.dimension == DIMENSION:
            assert len(item.message) < 300
            assert item.span is not None
            assert 0 <= item.span[0] < item.span[1] <= len(solution)
