import json

import pytest

from trl_weighted_dpo.verifier import MathVerifier
from trl_weighted_dpo.verifier.findings import score_of

PROBLEM = (
    "A suit costs $100, and a flight $700 more than 5 times as much as a suit. "
    "How much do 6 suits and the flight cost in all?"
)
SOUND = "5 * 100 = 500\n500 + 700 = 1200\n6 * 100 = 600\n1200 + 600 = 1800\n"


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


def checked(verifier, solution, problem=PROBLEM, reference_solution=None):
    profile = verifier.verify(problem, solution, "1800", reference_solution)
    found = [item for item in profile.evidence if item.dimension == "step_ordering"]
    return profile.scores["step_ordering"], found


def numbered(*numbers: int, style: str = "{}. ") -> str:
    return "\n".join(style.format(number) + "Add what is left." for number in numbers) + "\nA: 1800"


FAULTY = {
    # numbers
    "2 1 3": (numbered(2, 1, 3), "number_out_of_order"),
    "1 3 2 4": (numbered(1, 3, 2, 4), "number_out_of_order"),
    "Step 1 3 2": (numbered(1, 3, 2, style="Step {}: "), "number_out_of_order"),
    "Step 2 1": (numbered(2, 1, style="**Step {}:** "), "number_out_of_order"),
    "counted from 5": (numbered(5, 7, 6, 8, style="({}) "), "number_out_of_order"),
    "the second of two lists": (numbered(1, 2, 3, 1, 3, 2), "number_out_of_order"),
    "second before first": ("Second, add them.\nFirst, find them.\nA: 1800", "number_out_of_order"),
    "in words": ("Step one: add.\nStep three: add.\nStep two: add.\nA: 1800", "number_out_of_order"),
    "on one line": ("Step 1: Add. Step 3: Add. Step 2: Add. A: 1800", "number_out_of_order"),
    "1 2 2 3": (numbered(1, 2, 2, 3), "repeated_number"),
    "Step 1 2 2": (numbered(1, 2, 2, style="Step {}: "), "repeated_number"),
    "1 1 2": (numbered(1, 1, 2, style="{}) "), "repeated_number"),
    "1 2 3 2 4": (numbered(1, 2, 3, 2, 4, style="### Step {}\n"), "repeated_number"),
    # values
    "a price of the next line (gsm8k-test-310#0)": (
        "The cost of 6 suits is 6 * $100 = $<<6*100=600>>600\n"
        "The cost of a flight is $700 + $500 = $<<700+500=1200>>1200\n"
        "Five times the cost of a suit is $100 * 5 = $<<100*5=500>>500\nA: 1800",
        "used_before_derived",
    ),
    "a value of the next line": ("500 + 700 = 1200\n5 * 100 = 500\n1200 + 600 = 1800\nA: 1800", "used_before_derived"),
    "a value of the last line": (
        "600 + 1200 = 1800\nHere 100 * 6 = 600 is the price of the suits.\nA: 1800",
        "used_before_derived",
    ),
    "a broken value": ("7.25 * 4 = 29\n2 * 3 = 6\n5 * 1.45 = 7.25\nA: 29", "used_before_derived"),
    "in LaTeX": ("\\[ 500 + 700 = 1200 \\]\n\\[ 5 \\times 100 = 500 \\]\nA: 1800", "used_before_derived"),
    "in numbered steps": (
        "Step 1: 500 + 700 = 1200\nStep 2: 5 * 100 = 500\nStep 3: 6 * 100 + 1200 = 1800",
        "used_before_derived",
    ),
    "a value that is a number of a step, too": (
        "Step 36: 36 + 700 = 736\nStep 37: 6 * 6 = 36\nStep 38: 736 + 100 = 836",
        "used_before_derived",
    ),
    # the answer
    "the answer first": ("The answer is 1800.\n" + SOUND.rstrip(), "answer_first"),
    "a box first": ("\\boxed{1800}\n" + SOUND.rstrip(), "answer_first"),
    "an answer line first": ("A: 1800\n" + SOUND.rstrip(), "answer_first"),
    "the answer first and last": ("The answer is 1800.\n" + SOUND + "So the answer is 1800.", "answer_first"),
    "with money": ("Answer: $1,800\n" + SOUND.rstrip(), "answer_first"),
}


@pytest.mark.parametrize(("solution", "kind"), FAULTY.values(), ids=FAULTY.keys())
def test_a_fault_of_order_is_found(verifier, solution, kind) -> None:
    problem = "Add 2, 3, 4, 5, 6 and 1.45." if "7.25" in solution or "36" in solution else PROBLEM
    score, found = checked(verifier, solution, problem)

    assert [item.kind for item in found] == [kind]
    assert score == score_of(found) > 0


SOUND_TEXTS = {
    "in order": SOUND + "A: 1800",
    "numbered": numbered(1, 2, 3, 4),
    "counted from 3": numbered(3, 4, 5),
    "from nought": numbered(0, 1, 2, style="Step {}: "),
    "two lists": numbered(1, 2, 3, 1, 2),
    "three lists that begin at 2": numbered(2, 3, 2, 3, 2, 3),
    "nested lists": "1. Suits:\n1. price\n2. number\n2. Flight:\n1. price\n2. number\n3. All\nA: 1800",
    "cases of one step each": "Case 1: short\nStep 1: Add.\nCase 2: long\nStep 1: Add.\nStep 2: Add.\nA: 1800",
    "two styles": "1. Suits\n(1) price\n(2) number\n2. Flight\n(1) price\nA: 1800",
    "all ones": numbered(1, 1, 1),
    "a gap": numbered(1, 2, 4),
    "sub-steps": "Step 1: x\nStep 2.1: y\nStep 2.2: z\nStep 3: w\nA: 1800",
    "a list of data": "- 29: prime\n- 9: not prime\n- 5: prime\nA: 2",
    "a number that begins a line": "It is 1200, and with\n600. So it is\n18. Then 5 * 100 = 500\nA: 1800",
    "a reference back": "Step 1: 5 * 100 = 500.\nStep 2: 500 + 700 = 1200, with the 500 of Step 1.\nA: 1800",
    "numbered equations": "(1) x + y = 50\n(2) x - y = 10\n(2) + (1): 2x = 60\n(1) gives y = 20\nA: 30",
    # values
    "said before it is derived": "The flight is 700 more than 500.\n500 + 700 = 1200\n5 * 100 = 500\nA: 1800",
    "said in the same sentence": "As 5 suits cost 500, it is 500 + 700 = 1200.\nCheck: 5 * 100 = 500\nA: 1800",
    "derived in the same line": "700 + 500 = 1200, where 500 = 5 * 100\nA: 1800",
    "given": "700 + 100 = 800\n7 * 100 = 700\nA: 1800",
    "a check backwards": SOUND + "Check: 1800 - 600 = 1200 and 1200 - 700 = 500 and 500 / 5 = 100\nA: 1800",
    "an unknown taken back": "500 + 700 = 1200\n1200 - 700 = 500\nA: 1800",
    "a small number": "4 * 100 = 400\n5 - 1 = 4\nA: 1800",
    "simplified on the way (gsm8k-train-1499)": "700 + 6 * 50 = 700 + 300 = 1000\n100 * 3 = 300\nA: 1800",
    "not derivable before": "500 + 700 = 1200\n1200 + 33 = 1233\n1233 - 733 = 500\nA: 1800",
    "an identity (gsm8k-test-546#2)": "2 * 26 = 52\n1 * 26 = 26\nA: 78",
    "a constant": "3 * 60 = 180 minutes\n2 * 30 = 60\nA: 180",
    # the answer
    "the answer at the end": SOUND + "The answer is 1800.",
    "the answer alone": "The answer is 1800.\nI hope it is correct.",
    "the reason on the same line": "The answer is 1800, because 1200 + 600 = 1800.\nThat is all.",
    "the question first": "The answer is what all this costs.\n" + SOUND + "A: 1800",
    "a guess that was wrong": "The answer is 900.\n" + SOUND.rstrip(),
    "a box and then its check": SOUND + "\\boxed{1800}\nIndeed, 1800 - 600 = 1200.",
}


@pytest.mark.parametrize("solution", SOUND_TEXTS.values(), ids=SOUND_TEXTS.keys())
def test_a_sound_order_is_not_flagged(verifier, solution) -> None:
    assert checked(verifier, solution) == (0.0, [])


@pytest.mark.parametrize("solution", ["", "1800", "6 * 100 + 5 * 100 + 700 = 1800"])
def test_a_single_step_has_no_order(verifier, solution) -> None:
    profile = verifier.verify(PROBLEM, solution, "1800")

    assert profile.scores["step_ordering"] is None
    assert "a second step" in profile.unavailable


@pytest.mark.parametrize(
    ("solution", "found", "step", "message"),
    [
        (numbered(1, 3, 2, 4), "2.", 2, "Step 2 comes after step 3."),
        (numbered(1, 2, 2, 3), "2.", 2, "The number 2 is given to two steps."),
        (
            "500 + 700 = 1200\n5 * 100 = 500\nA: 1800",
            "500",
            0,
            "500 is used here, but where it comes from is only said later.",
        ),
        (
            "The answer is 1800.\n" + SOUND.rstrip(),
            "answer is 1800.",
            0,
            "The answer 1800 is given before it is derived.",
        ),
    ],
)
def test_a_finding_says_what_and_where(verifier, solution, found, step, message) -> None:
    _, (finding,) = checked(verifier, solution)

    assert finding.span is not None
    assert (solution[slice(*finding.span)], finding.step, finding.message) == (found, step, message)


def test_a_reference_solution_does_not_hide_a_value_that_comes_early(verifier) -> None:
    solution = "500 + 700 = 1200\n5 * 100 = 500\n1200 + 600 = 1800\nA: 1800"
    reference = SOUND + "#### 1800"

    assert checked(verifier, solution, PROBLEM, reference) == checked(verifier, solution)
    assert checked(verifier, reference, PROBLEM, reference) == (0.0, [])


def test_steps_that_are_swapped_are_found_where_the_list_is_given(verifier) -> None:
    steps = ["Step 1: Add 3.", "Step 3: Add 4.\nThen rest.", "Step 2: Add 5."]
    _, (finding,) = checked(verifier, steps)

    assert (finding.kind, finding.step) == ("number_out_of_order", 2)


@pytest.mark.parametrize("style", ["{}. ", "{}) ", "({}) ", "Step {}: ", "**Step {}.** ", "### Step {}\n", "- {}. "])
@pytest.mark.parametrize("offset", [0, 1, 6])
@pytest.mark.parametrize(
    ("numbers", "kind"),
    [((1, 2, 3), None), ((1, 2, 1, 2), None), ((1, 3, 2), "number_out_of_order"), ((1, 2, 2, 3), "repeated_number")],
)
def test_style_and_first_number_change_nothing(verifier, style, offset, numbers, kind) -> None:
    score, found = checked(verifier, numbered(*(offset + number for number in numbers), style=style))

    assert [item.kind for item in found] == ([kind] if kind else [])
    assert score == score_of(found)


def test_sound_solutions_are_rarely_flagged(verifier, shared_data) -> None:
    flagged = total = 0
    for name in ("gsm8k_solutions_pool", "math_cot_pool"):
        for line in (shared_data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for candidate in row["candidates"]:
                if candidate["is_correct"]:
                    total += 1
                    flagged += bool(checked(verifier, candidate["solution"], row["problem"])[1])

    assert flagged <= 0.005 * total
