import pytest

from trl_weighted_dpo.verifier.reading.answer import MAX_TEXT_LENGTH, read_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("She has 5.\n#### 42", "42"),
        ("#### 41\nNo:\n#### 42", "42"),
        ("work\nA: 42", "42"),
        ("A: $1,234.50", "$1,234.50"),
        (r"so \boxed{42}.", "42"),
        (r"so \boxed{\frac{1}{\sqrt{2}}}.", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{41} … \boxed{42}", "42"),
        (r"First \boxed{41}. Then \boxed{42}.", "42"),
        (r"\boxed{41} at first, but really \boxed{42}", "42"),
        (r"\boxed{1} and \boxed{-2}", "1, -2"),
        (r"$\boxed{2}, \boxed{3}, \boxed{5}$", "2, 3, 5"),
        (r"\boxed{42} \boxed{42}", "42"),
        (r"$\boxed{20}$ percent", r"20\%"),
        (r"$\boxed{\$480}$", r"\$480"),
        (r"\fbox{7}", "7"),
        ("The answer is 42.", "42"),
        ("The answer is $18.", "$18"),
        ("The answer is: **42**", "42"),
        ("**Final Answer:** 42", "42"),
        ("Final Answer:\n42", "42"),
        ("Final Answer: The final answer is $7.78$. I hope it is correct.", "$7.78$"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("The answer to the question is 42 apples.", "42 apples"),
        ("the answer = 42", "42"),
        ("Answer: 12 because 3*4=12", "12"),
        ("The answer is 42, not 41.", "42"),
        ("The answer is 10^2 meters.", "10^2 meters"),
        (r"The answer is \[ \frac{1}{2} \] as shown.", r"\[ \frac{1}{2} \]"),
        (r"\boxed{12}. Note: the answer is given in meters.", "12"),
        ("A: Evelyn", "Evelyn"),
        ("The answer is Evelyn.", "Evelyn"),
        ("A: 42<|im_end|>\n<|im_start|>user", "42"),
        ("A: ４２", "42"),
        ("#### Step 1: add\nadd\nA: 42", "42"),
    ],
)
def test_an_answer_line_is_read(text: str, answer: str) -> None:
    found = read_answer(text)

    assert found is not None
    assert (found.text, found.is_weak, found.is_cut_off) == (answer, False, False)


@pytest.mark.parametrize(
    ("text", "answer", "is_cut_off"),
    [
        ("42", "42", False),
        ("So she pays 3 * $4 = $12.", "$12", False),
        ("She has 25", "25", False),
        ("She has 25 apples in all.", "25", False),
        ("so x is $\\frac{1}{2}$.", "$\\frac{1}{2}$", False),
        ("It takes 1/3 of the 12.5 hours", "12.5", False),
        ("She needs to pay 5 * 1", "1", True),
        ("5 + 3 =", "5 + 3 =", True),
        ("She has 25 of the", "25", True),
        ("He has <<16-3=13", "13", True),
        ("There are (25", "25", True),
        ("There are 25 and", "25", True),
        ("so $x = 25", "25", True),
        (r"so \boxed{25", "25", True),
    ],
)
def test_without_an_answer_line_the_last_value_is_weak(text: str, answer: str, is_cut_off: bool) -> None:
    found = read_answer(text)

    assert found is not None
    assert (found.text, found.is_weak, found.is_cut_off) == (answer, True, is_cut_off)


@pytest.mark.parametrize("text", ["A:", "work\n#### ", r"so \boxed{}", "5 apples\nA: \n", "She has 5 in room B2."])
def test_an_answer_that_is_there_but_cannot_be_read(text: str) -> None:
    found = read_answer(text)

    assert found is not None
    assert found.text is None


@pytest.mark.parametrize("text", ["", "\n \n", "?!", "I do not know, as there is not enough information to say so."])
def test_nothing_there(text: str) -> None:
    assert read_answer(text) is None


@pytest.mark.parametrize(
    "text", ["x\nA: 42", r"so \boxed{42}!", "The answer is 42.", "She has 42.", "a" * 2 * MAX_TEXT_LENGTH + "\nA: 42"]
)
def test_the_span_points_at_the_answer(text: str) -> None:
    found = read_answer(text)

    assert found is not None
    assert text[slice(*found.span)] == "42"


@pytest.mark.parametrize(
    ("text", "answer", "alternatives"),
    [
        ("84 / 12 = 7 dozen\nTherefore, Claire will eat 7 dozen eggs in 4 weeks.", "7", ()),
        ("4 * $4.00 = $16.00\nSo she spends $16 on ice cream after 60 days.", "$16", ()),
        ("The integer closest to the cube root of 100 is 5.", "5", ()),
        ("Claire will eat 7 dozen eggs in 4 weeks.", "4", ("7",)),
        ("She takes 2 hours and 30 minutes.", "2 hours and 30 minutes", ()),
        ("1. First 3 of them.\nAll in all it takes 15 minutes to eat.", "15", ()),
        ("Step 2: the answer is wanted in meters.\nIt is 5 * 3 = 15.", "15", ()),
    ],
)
def test_a_last_sentence_with_several_numbers(text: str, answer: str, alternatives: tuple[str, ...]) -> None:
    found = read_answer(text)

    assert found is not None
    assert (found.text, found.is_weak, found.alternatives) == (answer, True, alternatives)
