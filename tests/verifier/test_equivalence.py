from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trl_weighted_dpo.verifier import Verdict, compare

CORRECT, INCORRECT, UNDECIDED = Verdict


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
        ("1200", "1.2e3", CORRECT),
        ("8", "8.3333", INCORRECT),
        ("1/3", "0.333333", CORRECT),
        ("1/3", "0.33", UNDECIDED),
        ("1/3", "0.4", INCORRECT),
        ("7.78", "70/9", UNDECIDED),
        ("16.83", "16.830000000000002", CORRECT),
        ("16.83", "16.84", INCORRECT),
        ("123456789012", "123456789013", INCORRECT),
        ("18", "$18", CORRECT),
        ("18", r"\$18.00", CORRECT),
        ("18", "18 dollars", CORRECT),
        ("18", "€18", CORRECT),
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
        # Lists, sets, intervals
        ("-2,1", "1,-2", CORRECT),
        ("-2,1", r"\{1,-2\}", CORRECT),
        ("(1,2)", "(2,1)", INCORRECT),
        ("(1,2)", "1,2", CORRECT),
        ("(1,2)", "2,1", INCORRECT),
        ("[1,2]", "(1,2)", INCORRECT),
        ("[0,1)", "[0,1]", INCORRECT),
        (r"\{1,2\}", "(1,2)", UNDECIDED),
        ("1,2,3", "1,2", INCORRECT),
        (r"3 \pm 2x", r"3-2x, 3+2x", CORRECT),
        (r"\pm 3", "3", INCORRECT),
        (r"(-\infty, 1) \cup [2, 3)", r"[2,3) \cup (-\infty,1)", CORRECT),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1 & 2 \\ 3 & 4\end{bmatrix}", CORRECT),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}", INCORRECT),
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
        ("x=-5, p=2", "2, -5", INCORRECT),
        ("x_1=1, x_2=2", "2, 1", CORRECT),
        ("2x+4y-3=0", r"y=-\frac12 x+\frac34", CORRECT),
        ("x^2/4+y^2/3=1", "3x^2+4y^2=12", CORRECT),
        ("2x+z=1", "1", INCORRECT),
        ("x<1", "-x>-1", CORRECT),
        ("x<1", "x<=1", INCORRECT),
        ("x<1", "x>1", INCORRECT),
        ("-793<a<10", "(-793,10)", CORRECT),
        (r"-2 \le x \le 7", r"x \in [-2,7]", CORRECT),
        # Words
        ("Evelyn", "evelyn", CORRECT),
        ("Evelyn", "Navin", INCORRECT),
        ("cat", "act", UNDECIDED),
        ("C", "(C)", CORRECT),
        (r"\text{C}", r"\text{(D)}", INCORRECT),
        ("yes", "no", INCORRECT),
        ("no solution", "there is no solution", UNDECIDED),
        # Guessed answers
        ("4", "Claire will eat 7 dozen eggs in 4 weeks.", UNDECIDED),
        ("7", "Claire will eat 7 dozen eggs in 4 weeks.", UNDECIDED),
        ("9", "Claire will eat 7 dozen eggs in 4 weeks.", INCORRECT),
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
