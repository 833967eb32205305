from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trl_weighted_dpo.verifier import MathVerifier, Verdict, compare

CORRECT, INCORRECT, UNDECIDED = Verdict


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


@pytest.mark.parametrize(
    ("reference", "found", "verdict"),
    [
        # Numbers
        ("42", "42", CORRECT),
        ("42", "42.0", CORRECT),
        ("42", "+42", CORRECT),
        ("42", "4 2", UNDECIDED),
        ("42", "4\u200b2", UNDECIDED),
        ("42", "\u202e24", UNDECIDED),
        ("4", ".4", INCORRECT),
        ("-5", "\u22125", CORRECT),
        ("-5", "5", INCORRECT),
        ("0", "-0", CORRECT),
        ("1000", "1,000", CORRECT),
        ("1000", "1 000", CORRECT),
        ("1000", "1\u202f000", CORRECT),
        ("1000", "1{,}000", CORRECT),
        ("1000", r"1,\!000", CORRECT),
        ("1000", r"1\,000", CORRECT),
        ("32349", r"32, 349", INCORRECT),
        ("2.74", "2,74", CORRECT),
        ("1234", "1.234", INCORRECT),
        ("1/2", "0.5", CORRECT),
        ("1/2", r"\frac12", CORRECT),
        ("-10/9", r"-\frac{10}{9}", CORRECT),
        ("5/2", "2 1/2", CORRECT),
        ("5/2", r"2\frac{1}{2}", CORRECT),
        ("11/2", "1 1/2", INCORRECT),
        ("1200", r"1.2 \times 10^3", CORRECT),
        ("0,111", "0.111", CORRECT),
        ("1000.99", "1000,99", CORRECT),
        ("1/6", r"0.1\overline{6}", CORRECT),
        ("4/33", r"0.\overline{12}", CORRECT),
        ("31/90", r"0.3\dot{4}", CORRECT),
        (r"0.\overline{3}", "0.3", UNDECIDED),
        ("13", r"\text{13}", CORRECT),
        ("5", r"\text{5 or 6}", INCORRECT),
        ("1112112_3", "1112112_{3}", CORRECT),
        ("1112112_3", "1112112", CORRECT),
        ("1112112_3", "1112122_3", INCORRECT),
        ("101_2", "101_3", UNDECIDED),
        ("101_2", "5", UNDECIDED),
        ("101_2", "103_2", UNDECIDED),
        ("1200", "1.2e3", CORRECT),
        ("8", "8.3333", INCORRECT),
        ("1/3", "0.333333", CORRECT),
        ("1/3", "0.33", UNDECIDED),
        ("1/3", "0.4", INCORRECT),
        ("1000000000000", "999999999999.00", INCORRECT),
        (r"2\pi", "6.28318530718", CORRECT),
        (r"2\pi", "6.28", UNDECIDED),
        (r"2\pi", "6.29", INCORRECT),
        (r"100\pi", "314", UNDECIDED),
        (r"\pi", "3", INCORRECT),
        ("7.78", "70/9", UNDECIDED),
        ("16.83", "16.830000000000002", CORRECT),
        ("16.83", "16.84", INCORRECT),
        ("123456789012", "123456789013", INCORRECT),
        ("18", "$18", CORRECT),
        ("18", r"\$18.00", CORRECT),
        ("18", "18 dollars", CORRECT),
        ("18", "€18", CORRECT),
        ("$18", "18 euros", UNDECIDED),
        ("$18", "18 dollars each", CORRECT),
        ("48 clips", "48 hair clips", CORRECT),
        ("48 feet", "48 square feet", UNDECIDED),
        ("48 miles", "48 miles per hour", UNDECIDED),
        ("15", r"15\ \mathrm{m}^2", CORRECT),
        ("12", "12 units^2", CORRECT),
        ("12 inches", "12 in", CORRECT),
        ("5000000", "5 million", CORRECT),
        ("5", "5 million", UNDECIDED),
        ("6", "5 million", INCORRECT),
        ("$5 million", "$5,000,000", CORRECT),
        ("7", "7 dozen", CORRECT),
        ("84", "7 dozen", CORRECT),
        ("5", "5 squared", UNDECIDED),
        ("15", r"15\text{ cm}^2", CORRECT),
        ("15 cm", "15 centimeters", CORRECT),
        ("15 cm", "15 kg", UNDECIDED),
        ("90^\\circ", "90", CORRECT),
        ("6", "6s", UNDECIDED),
        ("28%", "28", CORRECT),
        ("28%", "0.28", CORRECT),
        ("28%", "28 percent", CORRECT),
        ("28%", "2.8", INCORRECT),
        ("0.5", "0.5%", UNDECIDED),
        ("2.5", "2 hours and 30 minutes", UNDECIDED),
        ("4:30 p.m.", "4:30 pm", CORRECT),
        ("4:30 p.m.", "4:30 a.m.", INCORRECT),
        ("11:21", "22:42", UNDECIDED),
        ("3", "three", CORRECT),
        ("3", "four", INCORRECT),
        ("21", "twenty-one", CORRECT),
        ("205", "two hundred and five", CORRECT),
        ("5", "twenty-five", INCORRECT),
        # Values that are not meant themselves
        ("5", "The answer is not 5.", UNDECIDED),
        ("5", "The answer is less than 5.", UNDECIDED),
        ("5", "The answer is 5 more than 3.", UNDECIDED),
        ("3", "The answer is 5 times 3.", UNDECIDED),
        ("5", "The answer is 5% of 20.", UNDECIDED),
        ("5", "A: half of 5", UNDECIDED),
        ("5", "She has 3 times 5.", UNDECIDED),
        ("1/3", "The probability is 1 in 3.", UNDECIDED),
        ("3", "The probability is 1 in 3.", UNDECIDED),
        ("-5", "It is 5 degrees below zero.", UNDECIDED),
        ("1/3", "The probability is 1/3, or about 33%.", UNDECIDED),
        ("8", "The answer is 5 + 3.", CORRECT),
        ("18", "She makes $18/day.", CORRECT),
        ("3/4", "Now three quarters of the whole cake are left.", UNDECIDED),
        ("x=5, y=3", "So x=5 and y=3.", CORRECT),
        ("5", "So x=5 and y=3.", UNDECIDED),
        ("(5,3)", "So the solution is (5, 3).", CORRECT),
        ("(3,5)", "So the solution is (5, 3).", INCORRECT),
        ("16:30", "He comes at 4:30 PM", CORRECT),
        ("16:30", "He comes at 5:30 PM", INCORRECT),
        ("4:30", "He comes at 4:30 p.m.", CORRECT),
        ("5", "She has 5 more apples than Tom.", CORRECT),
        ("5", r"5 \cdot", UNDECIDED),
        ("0", "The parabola has no $y$-intercept.", UNDECIDED),
        ("10", "So she ran 10km.", CORRECT),
        ("10", "So the area is 10m\u00b2", CORRECT),
        # Expressions
        ("2-2p", "2(1-p)", CORRECT),
        ("2-2p", "p=2-2p", INCORRECT),
        ("x^2+2x+1", "(x+1)^2", CORRECT),
        (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}", CORRECT),
        (r"\frac94\pi", r"\frac{9\pi}{4}", CORRECT),
        ("x+1", "y+1", INCORRECT),
        ("x+2n+1", "x+1", INCORRECT),
        ("2x", "1/2x", UNDECIDED),
        (r"\infty", r"-\infty", INCORRECT),
        ("ba^2", "a^2b", CORRECT),
        ("(ab)^2", "ab^2", INCORRECT),
        (r"\frac ab", r"\frac{a}{b}", CORRECT),
        # Lists, sets, intervals
        ("-2,1", "1,-2", CORRECT),
        ("-2,1", r"\{1,-2\}", CORRECT),
        ("(1,2)", "(2,1)", INCORRECT),
        ("(1,2)", "1,2", CORRECT),
        ("(1,2)", "2,1", INCORRECT),
        ("[1,2]", "(1,2)", INCORRECT),
        ("[0,1)", "[0,1]", INCORRECT),
        ("(2, 12)", "(2,12)", CORRECT),
        ("[10, 100]", "[10,100]", CORRECT),
        (r"\{100, 200, 300\}", r"\{100,200,300\}", CORRECT),
        ("1000", "(1,000)", CORRECT),
        ("(2, 12) \\cup (12, 102)", "x \\in (2,12)\\cup(12,102)", CORRECT),
        (r"[1,2) \cup [2,3]", "[1,3]", CORRECT),
        (r"(1,2) \cup (2,3)", "(1,3)", INCORRECT),
        ("[-3,2]", r"(-\infty,-3] \cup [2,\infty)", INCORRECT),
        (r"(\frac{3}{5},\frac{8}{3}]", "(0.6,2.6667]", UNDECIDED),
        (r"(-\infty,1) \cup (2,\infty)", r"x<1 \text{ or } x>2", CORRECT),
        ("(1,2)", r"x>1 \text{ and } x<2", UNDECIDED),
        (r"(-\infty,1) \cup (2,\infty)", "x<1, y>2", UNDECIDED),
        (r"(-\infty,3) \cup (3,\infty)", r"x \neq 3", CORRECT),
        (r"(-\infty,\infty)", r"\mathbb{R}", CORRECT),
        ("all real numbers", r"(-\infty,\infty)", CORRECT),
        (r"\{1,2\}", r"\{1,2,2\}", CORRECT),
        ("1,2", "1,2,2", UNDECIDED),
        ("(1,2),(3,4)", "(3,4),(1,2),(1,2)", CORRECT),
        ("1,2", r"\boxed{1}\boxed{2}", CORRECT),
        ("2", r"\boxed{1} \boxed{2}", INCORRECT),
        ("2", "\\boxed{1}\n\\boxed{2}", CORRECT),
        (r"\{1,2\}", "(1,2)", UNDECIDED),
        ("1,2,3", "1,2", INCORRECT),
        (r"3 \pm 2x", r"3-2x, 3+2x", CORRECT),
        (r"\pm 3", "3", INCORRECT),
        (r"(-\infty, 1) \cup [2, 3)", r"[2,3) \cup (-\infty,1)", CORRECT),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1 & 2 \\ 3 & 4\end{bmatrix}", CORRECT),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}", INCORRECT),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\left(\begin{array}{c}1\\2\end{array}\right)", CORRECT),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"(\begin{pmatrix}1\\2\end{pmatrix})", CORRECT),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", UNDECIDED),
        # Names and relations
        ("x=5", "5", CORRECT),
        ("5", "x = 5", CORRECT),
        ("x=1", "y=1", UNDECIDED),
        ("x=1", "y=2", INCORRECT),
        ("x = 11", "x = 5+5+1 = 11", CORRECT),
        ("1/3", r"x = 1/3 \approx 0.3", CORRECT),
        ("k=45, n=2", "n=2, k=45", CORRECT),
        ("k=45, n=2", "n=45, k=2", INCORRECT),
        ("x=-5, p=2", "-5, 2", CORRECT),
        ("x=-5, p=2", "2, -5", UNDECIDED),
        ("x_1=1, x_2=2", "2, 1", CORRECT),
        ("2x+4y-3=0", r"y=-\frac12 x+\frac34", CORRECT),
        ("x^2/4+y^2/3=1", "3x^2+4y^2=12", CORRECT),
        ("2x+z=1", "1", INCORRECT),
        ("x<1", "-x>-1", CORRECT),
        ("x<1", "x<=1", INCORRECT),
        ("x<1", "x>1", INCORRECT),
        ("-793<a<10", "(-793,10)", CORRECT),
        (r"-2 \le x \le 7", r"x \in [-2,7]", CORRECT),
        (r"x \in [-2,7]", r"-2 \le x \le 7", CORRECT),
        (r"x \in [-2,7]", r"-2 \le 2x \le 7", UNDECIDED),
        # Words
        ("Evelyn", "evelyn", CORRECT),
        ("Evelyn", "Navin", INCORRECT),
        ("cat", "act", UNDECIDED),
        ("C", "(C)", CORRECT),
        (r"\text{C}", r"\text{(D)}", INCORRECT),
        ("B", "Option B", CORRECT),
        ("B", r"\textbf{(B) } 42", CORRECT),
        ("42", r"\textbf{(B) } 42", CORRECT),
        ("42", "(B) 43", INCORRECT),
        ("B", "C) 42", INCORRECT),
        (r"\textbf{(B) } 42", r"\textbf{(C) } 42", UNDECIDED),
        ("ellipse", "an ellipse", CORRECT),
        ("A, B", r"\text{B, A}", CORRECT),
        ("yes", "no", INCORRECT),
        ("yes", "Yes, it is.", CORRECT),
        ("yes", "No, it is not.", INCORRECT),
        (r"\frac{1}{2}", "one half", CORRECT),
        ("no solution", "there is no solution", CORRECT),
        # Guessed answers
        ("4", "Claire will eat 7 dozen eggs in 4 weeks.", UNDECIDED),
        ("7", "Claire will eat 7 dozen eggs in 4 weeks.", UNDECIDED),
        ("9", "Claire will eat 7 dozen eggs in 4 weeks.", INCORRECT),
        # An inline formula that is broken over lines: it may be 9 or a mistake
        ("9", "Answer $ \n 9 \n $", UNDECIDED),
        # What is missing
        ("", "5", UNDECIDED),
        ("5", "", INCORRECT),
        ("5", "A:", UNDECIDED),
        ("5", "3 + 5 +", UNDECIDED),
        (r"\foo{5}", "5", UNDECIDED),
    ],
)
def test_comparison(reference: str, found: str, verdict: Verdict) -> None:
    assert compare(reference, found).verdict is verdict


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("1/2^99", "1/2^98"),
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
        ("3*x-1*y+13=0", "3x + 4y + 14=0"),
        ("41", r"\boxed{41} … \boxed{42}"),
        (r"\{41,42\}", r"\boxed{41} … \boxed{42}"),
        (r"\boxed{1} no no no no no \boxed{2}", r"$\boxed{1,2}$"),
        ("7 = 11a+c", "11a+c"),
        ("a^2 + b = 0", "0"),
        (r"1\sqrt{19}", "1"),
        ("(a+5)(b+2)", "(+5)(b+2)"),
    ],
)
def test_false_positives_of_math_verify(reference: str, found: str) -> None:
    assert compare(reference, found).verdict is not Verdict.CORRECT


@pytest.mark.parametrize("found", [r"\boxed{\$480}", r"$\boxed{\$480}$", r"$$\boxed{\$480}$$", r"\(\boxed{\$480}\)"])
def test_money_in_a_box(found: str) -> None:
    assert compare("480", found).verdict is Verdict.CORRECT


RENDERINGS = {
    "fraction": lambda v: f"{v.numerator}/{v.denominator}",
    "latex": lambda v: f"{'-' if v < 0 else ''}\\frac{{{abs(v.numerator)}}}{{{v.denominator}}}",
    "dfrac": lambda v: f"${'-' if v < 0 else ''}\\dfrac{{{abs(v.numerator)}}}{{{v.denominator}}}$",
    "boxed": lambda v: f"so \\boxed{{{v.numerator}/{v.denominator}}}.",
    "line": lambda v: f"work\nA: {v.numerator}/{v.denominator}",
    "named": lambda v: f"x = {v.numerator}/{v.denominator}",
}
WHOLE_RENDERINGS = {
    "plain": lambda n: f"{n}",
    "grouped": lambda n: f"{n:,}",
    "braces": lambda n: f"{n:,}".replace(",", "{,}"),
    "spaces": lambda n: f"{n:,}".replace(",", " "),
    "decimal": lambda n: f"{n}.00",
    "money": lambda n: f"${n:,}.00" if n >= 0 else f"-${-n:,}.00",
    "boxed": lambda n: f"\\boxed{{{n:,}}}",
    "unit": lambda n: f"{n} \\text{{ meters}}",
    "fullwidth": lambda n: f"{n}".translate(str.maketrans("0123456789-", "０１２３４５６７８９−")),
    "sentence": lambda n: f"The answer is {n:,}.",
    "hashes": lambda n: f"work\n#### {n:,}",
}


@pytest.mark.parametrize("rendering", RENDERINGS.values(), ids=RENDERINGS)
@given(value=st.fractions(max_denominator=10**6), other=st.fractions(max_denominator=10**6))
def test_every_rendering_of_a_fraction_is_the_fraction(rendering, value: Fraction, other: Fraction) -> None:
    assert compare(f"{value}", rendering(value)).verdict is Verdict.CORRECT
    if value != other:
        assert compare(f"{other}", rendering(value)).verdict is not Verdict.CORRECT


@pytest.mark.parametrize("rendering", WHOLE_RENDERINGS.values(), ids=WHOLE_RENDERINGS)
@given(value=st.integers(-(10**15), 10**15), other=st.integers(-(10**15), 10**15))
def test_every_rendering_of_a_whole_number_is_the_number(rendering, value: int, other: int) -> None:
    assert compare(f"{value}", rendering(value)).verdict is Verdict.CORRECT
    if value != other:
        assert compare(f"{other}", rendering(value)).verdict is Verdict.INCORRECT


PIECES = st.sampled_from(
    [
        *"0123456789+-*/^()[]{}$,.:;=<>|!%_&x\\ \n",
        r"\frac",
        r"\boxed{",
        r"\text{",
        "####",
        "A:",
        "answer is",
        r"\sqrt",
        "and",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=40).map("".join)))
def test_any_text_gets_a_verdict(text: str) -> None:
    assert compare(text, text).verdict is not Verdict.INCORRECT or compare(text, text).reason == "no answer"
    assert compare("42", text).verdict in Verdict


@pytest.mark.parametrize(
    ("reference", "found", "verdict"),
    [
        (r"\sqrt{17}", "4.123105625617661", CORRECT),
        ("4.123105625617661", r"\sqrt{17}", CORRECT),
        (r"\sqrt{17}", "4.12", UNDECIDED),
        (r"\sqrt{17}", "4.13", INCORRECT),
        (r"\sqrt{17}", "4", INCORRECT),
        (r"\sqrt{17}", "4.123106625", INCORRECT),
        (r"\sin 30^\circ", "1/2", CORRECT),
        (r"\sin(60^{\circ})", r"\frac{\sqrt{3}}{2}", CORRECT),
        (r"\sin 30^\circ", r"\sin 30", INCORRECT),
        (r"\arctan x", r"\tan^{-1} x", CORRECT),
        (r"\tan^{-1} 1", r"1/\tan 1", INCORRECT),
    ],
)
def test_numbers_that_need_a_worker(verifier: MathVerifier, reference: str, found: str, verdict: Verdict) -> None:
    assert verifier.compare(reference, found).verdict is verdict
