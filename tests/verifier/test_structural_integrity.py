import json

import pytest

from trl_weighted_dpo.verifier import MathVerifier
from trl_weighted_dpo.verifier.findings import KINDS, score_of
from trl_weighted_dpo.verifier.reading.numbering import MAX_MARKERS, read_markers

PROBLEM = "Ann has 3 bags of 4 apples and buys 2 more. How many apples does she have?"
SOUND = "3 * 4 = 12\n12 + 2 = 14\n"


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


def checked(verifier, solution, problem=PROBLEM):
    profile = verifier.verify(problem, solution, "14")
    found = [item for item in profile.evidence if item.dimension == "structural_integrity"]
    return profile.scores["structural_integrity"], found


def numbered(*numbers: int, style: str = "{}. ") -> str:
    work = ("Find the apples in the bags.", "Add those that she buys.", "Say how many there are.", "Check it.")
    return "\n".join(style.format(number) + work[index % 4] for index, number in enumerate(numbers)) + "\nA: 14"


FAULTY = {
    # no answer, or an empty one
    "nothing": ("", "no_answer"),
    "blanks": ("  \n ", "no_answer"),
    "words without a number": ("I do not know how to solve this kind of problem at all.", "no_answer"),
    "an empty answer line": (SOUND + "A:", "empty_answer"),
    "an empty marker": (SOUND + "####", "empty_answer"),
    "an empty box": (SOUND + r"So it is \boxed{}.", "empty_answer"),
    "a box with a blank": (SOUND + r"So it is \boxed{ }.", "empty_answer"),
    # cut off
    "cut off in an operation (gsm8k-test-5#2)": (
        "<<5*1/2=2.5>>2.5.\nFor the thirteenth glass he pays 5 * 1",
        "cut_off",
    ),
    "cut off after a sign": ("3 * 4 = 12\n12 + 2 =", "cut_off"),
    "cut off after an article": ("3 * 4 = 12\nNow we add the", "cut_off"),
    "cut off in words (parc-metamathqa-negatives-13)": ("The burgers cost $6.40. However, we are given", "cut_off"),
    "cut off without the stop": ("She has 3 bags.\nThat makes 12.\nThen 2 more that she finds under", "cut_off"),
    "cut off in a bracket": ("3 * 4 = 12\nThere are (12", "cut_off"),
    # loops
    "ones at the end": (SOUND + "so 1 1 1 1 1 1", "loop"),
    "laughter": (SOUND + "ha ha ha ha ha ha\nA: 14", "loop"),
    "a glued loop": (SOUND + "A" + "na" * 60 + "\nA: 14", "loop"),
    "a digit without end (gsm8k-test-48#2)": ("12 / 36 = 0." + "3" * 400 + "\nA: 0.3", "loop"),
    "a phrase": ("3 * 4 = 12\n" + "so she has more and " * 5 + "14.", "loop"),
    "a line": ("3 * 4 = 12\n" + "She has 12 apples in the bags and then buys 2 more of them.\n" * 3 + "A: 14", "loop"),
    "two lines by turns": (
        "She has 3 bags of 4 apples each.\nThat makes 12 apples in all bags.\n" * 4 + "A: 14",
        "loop",
    ),
    "words that are cut": (SOUND + "we add two more " * 6 + "we add", "loop"),
    "signs": ("3 * 4 = 12\n" + "+ 1 " * 40 + "\nA: 14", "loop"),
    "exclamations": ("3 * 4 = 12" + "!" * 200, "loop"),
    # repetitions
    "a sentence four times": (
        "Let us count the apples.\n3 * 4 = 12\n"
        + "".join(f"Let us count the apples.\nThere are {n} bags.\n" for n in range(4))
        + "A: 14",
        "repetition",
    ),
    "the work done twice": (
        "First we find the apples in the bags: 3 * 4 = 12.\nThen we add the 2 that she buys.\n12 + 2 = 14.\nWait.\n"
        "First we find the apples in the bags: 3 * 4 = 12.\nThen we add the 2 that she buys.\n12 + 2 = 14.\nA: 14",
        "repetition",
    ),
    # formulas
    "an empty numerator": (SOUND + r"That is $\frac{}{2}$.\nA: 14", "empty_latex"),
    "an empty denominator": (SOUND + r"That is $\frac{28}{ }$." + "\nA: 14", "empty_latex"),
    "an empty root": (SOUND + r"That is $\sqrt{}$." + "\nA: 14", "empty_latex"),
    "an empty display": (SOUND + "\\[ \\]\nA: 14", "empty_latex"),
    "a begin without end": ("\\begin{align}\n3 * 4 &= 12\n\nA: 14", "unbalanced_latex"),
    "another end": ("\\begin{align}\n3 * 4 &= 12\n\\end{array}\nA: 14", "unbalanced_latex"),
    "a left without right": (r"\(\left( 3 + 4 )\)" + "\nA: 14", "unbalanced_latex"),
    "a right without left": (r"\(( 3 + 4 \right)\)" + "\nA: 14", "unbalanced_latex"),
    "an open group": (r"\(\frac{28}{2 = 14\)" + "\nA: 14", "unbalanced_latex"),
    "one group end too many": (r"\(\frac{28}{2}} = 14\)" + "\nA: 14", "unbalanced_latex"),
    "an open formula": ("\\(3 * 4 = 12\nA: 14", "unbalanced_latex"),
    "an open display": ("\\[ 3 * 4 = 12\nA: 14", "unbalanced_latex"),
    "one display dollar": ("$$\\frac{28}{2} = 14\nA: 14", "unbalanced_latex"),
    "one dollar": ("so $x = 14 and that is all\nA: 14", "unbalanced_latex"),
    "an open calculation": ("She has 3 * 4 = <<3*4=12 apples in the bags.\nA: 14", "unbalanced_calculation"),
    "a calculation without its start": (
        "She has 3 * 4 = 3*4=12>>12 apples in the bags.\nA: 14",
        "unbalanced_calculation",
    ),
    # numbers
    "1 2 4": (numbered(1, 2, 4), "missing_step"),
    "Step 1, 2, 4": (numbered(1, 2, 4, style="Step {}: "), "missing_step"),
    "a heading 3 too few": (numbered(1, 2, 4, style="### Step {}\n"), "missing_step"),
    "counted from 5": (numbered(5, 6, 8, 9, style="({}) "), "missing_step"),
    "the second of two lists": (numbered(1, 2, 1, 2, 4), "missing_step"),
    "two missing": (numbered(1, 2, 5, 6, style="{}) "), "missing_step"),
    "in words": ("Step one: 3 * 4 = 12\nStep three: 12 + 2 = 14", "missing_step"),
    "on one line": ("Step 1: 3 * 4 = 12. Step 3: 12 + 2 = 14.", "missing_step"),
    # what comes after the answer
    "another answer line": (SOUND + "A: 14\nA: 15", "changed_answer"),
    "another marker": (SOUND + "#### 14\nor rather\n#### 15", "changed_answer"),
    "another box": (SOUND + "\\boxed{14}\nNo, it is\n\\boxed{15}", "several_answers"),
    "another sentence": (SOUND + "The answer is 14.\nHowever, the final answer is 12.", "several_answers"),
    "another question": (SOUND + "A: 14\n\nQuestion: Tom has 5 pens. How many has he?", "new_question"),
    "another problem": (SOUND + "The answer is 14.\n\n### Problem 2:\nTom has 5 pens.", "new_question"),
    "another turn": (SOUND + "\\boxed{14}\nHuman: Thank you! What is 3 + 3?", "new_question"),
    "a template token": (SOUND + "A: 14<|im_end|>\n<|im_start|>user\nWhat is 3 + 3?", "special_token"),
    "an end of text": (SOUND + "A: 14</s>\nWhat is 3 + 3?", "special_token"),
    "an instruction token": ("3 * 4 = 12 [INST] Go on [/INST]\n12 + 2 = 14\nA: 14", "special_token"),
    "a computation after the answer": (SOUND + "A: 14\nThen 14 * 5 = 70, so 70 / 2 = 35", "goes_on"),
    # debris
    "a replacement character": ("3 * 4 = 12\ufffd\nA: 14", "broken_characters"),
    "a lone surrogate": ("3 * 4 = 12\ud83d\nA: 14", "broken_characters"),
    "a null": ("3 * 4 = 12\x00\nA: 14", "broken_characters"),
    "a lost backslash (parc-metamathqa-positives_perturbed-54)": ("It is $\x0crac{1}{3}$.\nA: 14", "broken_characters"),
    "a lost times": ("3 \times 4 = 12\nA: 14", "broken_characters"),
    "UTF-8 read as Latin-1": ("Ann\u00e2\u20ac\u2122s apples: 3 * 4 = 12\nA: 14", "broken_characters"),
    "many scripts (math_cot_100-25#1)": (
        SOUND + "A: 14 daunting \uacaa\uc2b5 **** \u0628\u0648 BigDecimal",
        "garbled_text",
    ),
}


@pytest.mark.parametrize(("solution", "kind"), FAULTY.values(), ids=FAULTY.keys())
def test_a_fault_of_form_is_found(verifier, solution, kind) -> None:
    score, found = checked(verifier, solution)

    assert [item.kind for item in found] == [kind]
    assert score == score_of(found) > 0
    assert found[0].message.endswith((".", '"'))


SOUND_TEXTS = {
    "calculator notation": "She has 3*4=<<3*4=12>>12 apples.\nWith 2 more it is 12+2=<<12+2=14>>14.\nA: 14",
    "no answer line": "She has 3 * 4 = 12 apples in the bags, and 12 + 2 = 14 in all.",
    "an answer alone": "14",
    "an answer without a stop": "Apples in all = 12 + 2\nApples in all = 14 apples",
    "an unfinished sentence with an answer line": "3 * 4 = 12 and then we have\nA: 14",
    "no stop at all": "She has 3 bags of 4 apples\nThat makes 12 apples\nWith 2 more it is 14 in all of them",
    "no stop after the answer": "She has 3 bags.\nThat makes 12 apples.\nWith 2 more she has 14 apples",
    "money in a calculation (gsm8k-test-72#1)": "He raises 129 + 92 = $<<129+92=221>>221.",
    "so many times (gsm8k-test-254#3)": "so he went down 21*4 = <<4*21=84>>84 times",
    "no value at the end (gsm8k-test-184#1)": "So 0.01 x 100 is 25% more for a number above 3 than for even ones.",
    "words after the value (gsm8k-test-495#1)": "It is 8*5=40.\nThat is a day.\nIt makes 5*40=200 minutes in a week",
    "a box": "\\[ 3 \\times 4 = 12 \\]\nSo there are \\(\\boxed{14}\\) apples.",
    "a box in a display": "Thus the answer is:\n\\[\n\\boxed{14}\n\\]",
    "the format asked for": "I will put the answer in \\boxed{}.\n3 * 4 = 12\n\\boxed{14}",
    # the same again, and rightly so
    "equal factors": "2^{10} = 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 = 1024\nA: 1024",
    "equal terms (gsm8k-test-184#1)": "8 - 1 - 1 - 1 - 1 - 1 - 1 = 2\nA: 2",
    "equal terms with units": "5 apples + 5 apples + 5 apples + 5 apples + 5 apples = 25 apples\nA: 25",
    "a list of outcomes": "The coin shows heads, tails, heads, tails, heads, tails, heads, tails.\nA: 4",
    "equal data": "The numbers are 5, 5, 5, 5, 5, 5, 5, 5 and their mean is 5.\nA: 5",
    "a matrix of zeros": "\\[\\begin{pmatrix} 0 & 0 & 0 \\\\ 0 & 0 & 0 \\\\ 0 & 0 & 0 \\end{pmatrix}\\]\nA: 0",
    "a table": "| day | apples |\n|---|---|\n| 1 | 4 |\n| 2 | 4 |\n| 3 | 4 |\n\nA: 12",
    "a repeating decimal": "1 / 3 = 0.333333333333333\nA: 0.33",
    "a googol": "10^100 = 1" + "0" * 100 + "\nA: 100",
    "a ruler": "3 * 4 = 12\n" + "-" * 80 + "\n" + "= " * 40 + "\nA: 14",
    "a phrase three times (parc-metamathqa-positives-53)": (
        "This simplifies to:\nx = 1\nThis simplifies to:\ny = 2\nThis simplifies to:\nz = 3\nA: 3"
    ),
    "three equal lines": "Ann buys one: 1 * 2 = 2\nx = 2\nTom buys one\nx = 2\nMia buys one\nx = 2\nA: 6",
    "verdicts on a list (math_cot_100-14#1)": "\n".join(
        f"- {n}: {'Neither a factor of 34 nor a multiple of 7' if n != 14 else 'Multiple of 7'}" for n in range(11, 20)
    )
    + "\nA: 8",
    "a plan and then its execution (math_cot_100-16#3)": "\n".join(
        [f"{n}. **Count the multiples of {k}.**" for n, k in ((1, 2), (2, 7), (3, 14))]
        + ["Let's start.", "1. **Count the multiples of 2.**", "There are 9.", "2. **Count the multiples of 7.**"]
        + ["There are 3.", "3. **Count the multiples of 14.**", "There are 2.", "\\(9 + 3 - 2 = \\boxed{10}\\)"]
    ),
    # brackets that may stand alone
    "dollars": "It costs $5. She pays $3 and $4 more, which is 5 + 3 + 4 = $12.\nA: 12",
    "dollars after the number": "It costs 5$. The other 3$ are hers.\nA: 8",
    "dollars beside formulas": "She has $x$ apples at $2 each, so $2x$ dollars.\nA: 14",
    "escaped dollars": "It costs \\$5, so $x = 5$.\nA: 5",
    "a brace of a definition": "f(x) = { x if x > 0, else 0\nf(3) = 3\nA: 3",
    "sets": "A = {1, 2} and $B = \\{1, 2\\}$, $\\left\\{ 3 \\right.$\nA: 2",
    "half-open": "The interval is [0, 14) or $\\left[0, 14\\right)$.\nA: 14",
    "a line break with a space": "\\begin{align}\n3 * 4 &= 12 \\\\[4pt]\n12 + 2 &= 14\n\\end{align}\nA: 14",
    "arrows": "$3 * 4 \\leftarrow 12$ and $12 \\rightarrow 14$\nA: 14",
    "much less": "1 << 14 and 14 >> 1, so 14.\nA: 14",
    "empty groups": "The number is ${}_4C_2 = 6$ and $\\text{}$.\nA: 6",
    # numbers at the head of lines
    "counted from 3": numbered(3, 4, 5, 6),
    "two lists (math_cot_100-77#5)": numbered(1, 2, 3, 1, 2),
    "nested lists": "1. Ann:\n1. buys\n2. eats\n2. Tom:\n1. buys\n2. eats\n3. Both\nA: 14",
    "parts of steps": "Step 1: x\nStep 2a: y\nStep 2b: z\nStep 3: w\nA: 14",
    "decimal steps": "1. Find\n2.1. Add\n2.2. Subtract\n3. Say\nA: 14",
    "steps joined": "Step 1: x\nSteps 2 and 3: y\nStep 4: z\nA: 14",
    "all ones": "1. Find\n1. Add\n1. Say\nA: 14",
    "a number that begins a line": "She has 12 and gets 2, which is\n14. So she has\n17. Then she eats 3.\nA: 14",
    "numbered equations": "(1) x + y = 5\n(2) x - y = 1\n(1) + (2): 2x = 6\nA: 3",
    "first and then": "First, 3 * 4 = 12.\nNext, 12 + 2 = 14.\nThird, we say it.\nA: 14",
    "a step named in a sentence": "Step 1: 3 * 4 = 12.\nStep 2: as in step 1, 12 + 2 = 14.\nStep 3: done\nA: 14",
    # what may come after an answer
    "the answer again": "\\boxed{14}\nTherefore, the final answer is 14.",
    "the answer in another form": "The answer is 0.5.\nSo \\boxed{\\frac{1}{2}}",
    "a check": SOUND + "A: 14\nCheck: 14 - 2 = 12, and 12 / 4 = 3, and 3 * 7 = 21 is not needed.",
    "a verification (math_cot_100-71#1)": "3 * 4 = 12\n\\boxed{14}\n\nTo verify, 2 * 7 * 5 = 70.\n\\boxed{14}.",
    "a unit": "There are \\(\\boxed{14}\\) apples in all.",
    "a remark": SOUND + "A: 14\nI hope it is correct.",
    "two solutions": "x = 1 or x = 14, so \\boxed{1} and \\boxed{14}.",
    "parts": "The answer to part (a) is 12.\nThe answer to part (b) is 14.",
    "an answer on the way (gsm8k-train-7157)": "The answer in gallons is 15 * 8 = <<15*8=120>>120 pints\n#### 120",
    "questions to oneself": "Question: How many in bags?\nAnswer: 12\nQuestion: How many in all?\nAnswer: 12 + 2 = 14",
    "headings of markdown": "#### 1. Find\n3 * 4 = 12\n#### 2. Add\n12 + 2 = 14\n\\boxed{14}",
    "the problem first": "Question: How many apples?\n3 * 4 = 12\n12 + 2 = 14\nThe answer is 14.",
    "a token at the end": SOUND + "A: 14<|im_end|>",
    "tokens at both ends": "<|im_start|>" + SOUND + "A: 14</s><pad><pad>",
    # characters
    "carriage returns and tabs": "3 * 4 = 12\r\n\t12 + 2 = 14\r\nA: 14",
    "signs and accents": "3 \u00d7 4 = 12, \u03c0 \u2248 3.14, caf\u00e9, \u20ac3 \u2234 \u221a4 = 2\nA: 14",
    "Chinese with formulas": "\u6bcf\u888b 4 \u4e2a\uff0c$3 \\times 4 = 12$\n\\boxed{14}",
    "Russian": "\u0412 \u043f\u0430\u043a\u0435\u0442\u0430\u0445 3 * 4 = 12\nA: 14",
    "Japanese": "\u308a\u3093\u3054\u306f 3 * 4 = 12 \u500b\nA: 14",
}


@pytest.mark.parametrize("solution", SOUND_TEXTS.values(), ids=SOUND_TEXTS.keys())
def test_a_sound_form_is_not_flagged(verifier, solution) -> None:
    assert checked(verifier, solution) == (0.0, [])


@pytest.mark.parametrize(
    ("solution", "found", "step", "message"),
    [
        (numbered(1, 2, 4), "4.", 2, "Step 3 is missing: the numbers go from 2 to 4."),
        (numbered(1, 2, 5, 6), "5.", 2, "Steps 3 and 4 are missing: the numbers go from 2 to 5."),
        (numbered(1, 2, 6, 7), "6.", 2, "Steps 3 to 5 are missing: the numbers go from 2 to 6."),
        (SOUND + "A: 14\nA: 15", "A: 15", 3, "The answer is first given as 14, and then as 15."),
        (SOUND + "\\(\\left( 3\\)\nA: 14", "\\left", 2, "The \\left has no \\right that belongs to it."),
        (SOUND + "\x07\nA: 14", "\x07", 2, "There is a broken character (U+0007) in the text."),
        ("3 * 4 =", "3 * 4 =", 0, 'The solution breaks off: it ends in "3 * 4 =".'),
    ],
)
def test_a_finding_says_what_and_where(verifier, solution, found, step, message) -> None:
    _, (finding,) = checked(verifier, solution)

    assert finding.span is not None
    assert (solution[slice(*finding.span)], finding.step, finding.message) == (found, step, message)


def test_each_gap_is_found(verifier) -> None:
    # As in parc-gsm8k-positives-13.
    _, found = checked(verifier, numbered(1, 2, 3, 5, 6, 7, 9, 10, style="Step {}: "))

    assert [(item.kind, item.expected) for item in found] == [("missing_step", "4"), ("missing_step", "8")]


@pytest.mark.parametrize(
    ("problem", "reference", "kinds"),
    [
        ("Who has more apples?", "Ann", []),
        ("Who has more apples?", None, []),
        ("Which of them has more?", "14", ["no_answer"]),
        ("How many apples has Ann?", None, ["no_answer"]),
    ],
)
def test_an_answer_in_words_is_one_unless_a_number_is_asked_for(verifier, problem, reference, kinds) -> None:
    profile = verifier.verify(problem, "As we have seen, the one with more of them is Ann.", reference)

    assert [item.kind for item in profile.evidence if item.dimension == "structural_integrity"] == kinds


def test_a_loop_is_marked_from_its_first_word_to_its_last(verifier) -> None:
    solution = SOUND + "Then ha ha ha ha ha ha.\nA: 14"
    _, (finding,) = checked(verifier, solution)

    assert solution[slice(*finding.span)] == "ha ha ha ha ha"
    assert finding.found == "ha"


def test_faults_add_up(verifier) -> None:
    score, found = checked(verifier, "Step 1: \\(\\frac{}{2}\nStep 3: 14\x00\nA: 14\nA: 15")

    assert [item.kind for item in found] == [
        "unbalanced_latex",
        "empty_latex",
        "missing_step",
        "broken_characters",
        "changed_answer",
    ]
    assert score == score_of(found) > 0


@pytest.mark.parametrize("style", ["{}. ", "{}) ", "({}) ", "Step {}: ", "**Step {}.** ", "### Step {}\n", "- {}. "])
@pytest.mark.parametrize("offset", [0, 1, 6])
def test_style_and_first_number_change_nothing(verifier, style, offset) -> None:
    sound = numbered(*(offset + n for n in (1, 2, 3, 4)), style=style)
    faulty = numbered(*(offset + n for n in (1, 2, 4, 5)), style=style)

    assert checked(verifier, sound) == (0.0, [])
    assert checked(verifier, faulty)[0] == KINDS["structural_integrity", "missing_step", "rule"].severity


def test_a_text_that_is_not_read_to_its_end_is_not_called_unbalanced(verifier) -> None:
    words = " ".join(f"word{n}" for n in range(4_000))

    assert checked(verifier, f"\\[ 3 * 4 = 12\n{words}\n\\]\nA: 14") == (0.0, [])


def test_only_so_many_numbers_are_read() -> None:
    assert len(read_markers("\n".join(f"{n % 100}. x" for n in range(2 * MAX_MARKERS)))) == MAX_MARKERS


def test_sound_solutions_are_rarely_flagged(verifier, shared_data) -> None:
    flagged: dict[str, list[str]] = {"rule": [], "heuristic": []}
    total = 0
    for name in ("gsm8k_solutions_pool", "math_cot_pool"):
        for line in (shared_data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for candidate in row["candidates"]:
                if candidate["is_correct"]:
                    total += 1
                    _, found = checked(verifier, candidate["solution"], row["problem"])
                    for channel in {item.channel for item in found}:
                        flagged[channel].append(row["id"])

    assert len(flagged["rule"]) <= 0.005 * total
    assert len(flagged["heuristic"]) <= 0.03 * total
