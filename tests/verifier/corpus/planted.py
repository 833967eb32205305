"""Generated rows: for every kind of finding a solution that has it and a sound one that comes close to it."""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

DRAWS = 4
"""Rows that are drawn from each template: as many faulty ones as sound ones."""


class Plant(NamedTuple):
    """A faulty solution of a problem and a sound one that looks like it.

    Args:
        finding (`str`): What is found in the faulty one and not in the sound one: dimension, kind and channel.
        problem (`str`): The problem.
        faulty (`str`): The faulty solution.
        sound (`str`): The sound one.
        answer (`str`, *optional*): The reference answer.
        reference (`str`, *optional*): The reference solution.
    """

    finding: str
    problem: str
    faulty: str
    sound: str
    answer: str | None = None
    reference: str | None = None


class Draw(NamedTuple):
    """What templates are filled with: `a` bags of `b` things and `c` more, by a person, and a letter for an unknown."""

    a: int
    b: int
    c: int
    name: str
    thing: str
    x: str

    @property
    def bags(self) -> str:
        return (
            f"{self.name} has {self.a} bags of {self.b} {self.thing} and buys {self.c} more. "
            f"How many {self.thing} does {self.name} have in the end?"
        )

    @property
    def product(self) -> int:
        return self.a * self.b

    @property
    def total(self) -> int:
        return self.a * self.b + self.c

    @property
    def way(self) -> str:
        """A sound solution without its answer."""
        return f"{self.a} * {self.b} = {self.product}\n{self.product} + {self.c} = {self.total}\n"

    @property
    def reference(self) -> str:
        a, b, c = self.a, self.b, self.c
        return (
            f"The bags hold {a}*{b}=<<{a}*{b}={a * b}>>{a * b} {self.thing}.\n"
            f"{self.name} has {a * b}+{c}=<<{a * b}+{c}={a * b + c}>>{a * b + c} {self.thing}.\n#### {a * b + c}"
        )


def _draw(rng: random.Random) -> Draw:
    return Draw(
        rng.choice((11, 13, 17, 19)),
        rng.choice((14, 16, 18, 22)),
        rng.choice((23, 29, 31, 37)),
        rng.choice(("Ann", "Tom", "Mia", "Ben")),
        rng.choice(("apples", "cookies", "pencils", "stickers")),
        rng.choice("xyn"),
    )


def numerical(d: Draw) -> Iterator[Plant]:
    """Equations and comparisons that hold or do not."""
    a, b, c, x = d.a, d.b, d.c, d.x
    kind = "numerical_validity/{}/rule".format
    yield Plant(
        kind("wrong_equation"),
        d.bags,
        f"{a} * {b} = {d.product + 10}\nSo there are {d.product + 10} + {c} = {d.total + 10}.\nA: {d.total + 10}",
        f"{a} * {b} = {d.product}\nSo there are {d.product} + {c} = {d.total}.\nA: {d.total}",
        str(d.total),
        d.reference,
    )
    yield Plant(
        kind("wrong_equation"),
        "",
        f"\\[ \\frac{{{a * b}}}{{{a}}} + {c} = {b + c + 1} \\]",
        f"\\[ \\frac{{{a * b}}}{{{a}}} + {c} = {b + c} \\]",
    )
    yield Plant(
        kind("wrong_rounding"),
        "",
        f"Each gets {a}.5 + {b}.2 = {a + b}.6 dollars.",
        f"Each gets {a}.5 + {b}.2 = {a + b}.7 dollars.",
    )
    yield Plant(
        kind("wrong_comparison"),
        "",
        f"That is enough, because {a} * {b} > {d.product + 3}.",
        f"That is enough, because {a} * {b} > {d.product - 3}.",
    )
    yield Plant(
        kind("wrong_identity"),
        "",
        f"Area = ({x} + {a})^2 = {x}^2 + {a * a}",
        f"Area = ({x} + {a})^2 = {x}^2 + {2 * a}{x} + {a * a}",
    )
    yield Plant(kind("wrong_identity"), "", f"{x} + {a}{x} = {a + 3}{x}", f"{x} + {a}{x} = {a + 1}{x}")
    yield Plant(
        kind("wrong_solving_step"),
        "",
        f"{a}{x} = {a * b}\nDivide both sides by {a}: {x} = {a * b} / {a + 1}",
        f"{a}{x} = {a * b}\nDivide both sides by {a}: {x} = {a * b} / {a}",
    )


def logical(d: Draw) -> Iterator[Plant]:
    """Solutions that agree with themselves or do not."""
    a, b, c, x = d.a, d.b, d.c, d.x
    kind = "logical_consistency/{}".format
    yield Plant(
        kind("carried_wrong/rule"),
        f"Pens cost ${a} and books {b} dollars more. What do both cost?",
        f"Cost of the books = ${a} + ${b} = ${a + b}\nTotal cost = Cost of the pens + Cost of the books = "
        f"${a} + ${a + b + 40} = ${2 * a + b + 40}",
        f"Cost of the books = ${a} + ${b} = ${a + b}\nTotal cost = Cost of the pens + Cost of the books = "
        f"${a} + ${a + b} = ${2 * a + b}",
    )
    yield Plant(
        kind("carried_wrong/heuristic"),
        d.bags,
        f"There are {a} * {b} = {d.product} {d.thing}, so {d.name} has {d.product + 1} {d.thing}.",
        f"There are {a} * {b} = {d.product} {d.thing}, so {d.name} has {d.product} {d.thing}.",
    )
    yield Plant(
        kind("two_values/rule"),
        f"What is the unknown {x}?",
        f"We get {a}{x} = {a * b}.\nSo {x} = {b + 2}.",
        f"We get {a}{x} = {a * b}.\nSo {x} = {b}.",
    )
    yield Plant(
        kind("two_values/heuristic"),
        "Hens lay eggs. How many eggs are sold?",
        f"Total eggs = Hens * Eggs per hen = {a} * {b} = {d.product}\nTotal eggs = {d.product + 55}",
        f"Total eggs = Hens * Eggs per hen = {a} * {b} = {d.product}\nTotal eggs = {d.product}",
    )
    yield Plant(
        kind("answer_not_derived/rule"), d.bags, f"{d.way}A: {d.total + 41}", f"{d.way}A: {d.total}", str(d.total)
    )
    yield Plant(
        kind("answer_not_derived/heuristic"),
        d.bags,
        f"{d.way}The answer is {d.total + 41}.",
        f"{d.way}The answer is {d.total}.",
        str(d.total),
    )
    yield Plant(
        kind("answer_not_derived/heuristic"),
        "What does she make with flowers?",
        f"She makes ${a}.37 + ${b}.52 = ${a + b}.89.\nA: {a + b}",
        f"She makes ${a}.37 + ${b}.52 = ${a + b}.89.\nA: {a + b}.89",
    )
    yield Plant(
        kind("negative_count/rule"),
        d.bags,
        f"{d.name} eats some.\n{a} - {a} - {b} = -{b}\nA: -{b}",
        f"{d.name} eats some.\n{a} + {b} - {a} = {b}\nA: {b}",
    )
    yield Plant(
        kind("negative_count/heuristic"),
        f"{d.name} has ${c} and buys pens. How much money does {d.name} have left?",
        f"{d.name} has spent it, so there are $-{a}.",
        f"{d.name} has spent it, so there are ${a}.",
    )
    yield Plant(
        kind("more_removed_than_there/heuristic"),
        d.bags,
        f"{d.name} gives away {c}, so {a} - {c} = {a - c} are left.\nA: {c - a}",
        f"{d.name} gives away {a}, so {c} - {a} = {c - a} are left.\nA: {c - a}",
    )
    yield Plant(
        kind("fractional_count/heuristic"),
        f"A class has {2 * a + 1} desks. How many students sit there?",
        f"{2 * a + 1} / 2 = {a}.5\nA: {a}.5",
        f"{2 * a + 1} - 1 = {2 * a}\nA: {2 * a}",
    )
    yield Plant(
        kind("share_above_100/rule"),
        "What is the probability of a red ball?",
        f"P(red) = {c} / {a}",
        f"P(red) = {a} / {c}",
    )
    yield Plant(
        kind("share_above_100/heuristic"),
        f"In a group of {a * 10} there are badges. What percentage of the group wears one?",
        f"{a * 10 + a * 3} / {a * 10} = 1.3 = 130%\nA: 130%",
        f"{a * 3} / {a * 10} = 0.3 = 30%\nA: 30%",
    )


def semantic(d: Draw) -> Iterator[Plant]:
    """Values that come from the problem and lead to the reference answer, or do not."""
    a, b, c = d.a, d.b, d.c
    kind = "semantic_alignment/{}/heuristic".format
    percent = f"A shop with {10 * a} pens sells {b}% of them and gives {c}% of the rest away. How many are left?"
    yield Plant(
        kind("misquoted_quantity"),
        percent,
        f"First {b}% of {10 * a} are sold.\nThen {c + 4}% of the rest are given away.",
        f"First {b}% of {10 * a} are sold.\nThen {c}% of the rest are given away.",
    )
    yield Plant(
        kind("unknown_quantity"),
        d.bags,
        f"{d.way}{d.total} - 47 = {d.total - 47}\nA: {d.total - 47}",
        f"{d.way}{d.total} - {c} = {d.product}\nA: {d.product}",
    )
    yield Plant(
        kind("unused_quantity"),
        f"A pen is ${a}, a pad is ${b}. What do both cost?",
        f"{a} + {a} = {2 * a}\nA: {2 * a}",
        f"{a} + {b} = {a + b}\nA: {a + b}",
    )
    wrong = f"{a} + {b} = {a + b}\n{a + b} + {c} = {a + b + c}\nA: {a + b + c}"
    right = f"{d.way}A: {d.total}"
    yield Plant(kind("off_route"), d.bags, wrong, right, str(d.total), d.reference)
    yield Plant(kind("route_not_reached"), d.bags, wrong, right, str(d.total), d.reference)
    yield Plant(
        kind("dead_end"),
        d.bags,
        f"{a} * {b} = {d.product}\n{d.product} + {d.product} = {2 * d.product}\n"
        f"{2 * d.product} * {c} = {2 * d.product * c}\nA: {2 * d.product * c}",
        right,
        str(d.total),
        d.reference,
    )
    yield Plant(
        kind("unfinished"),
        f"A baker makes {a} trays of {4 * b} rolls. He sells 3/4 of them. How many rolls are left?",
        f"{a} * {4 * b} = {4 * a * b}\nA: {4 * a * b}",
        f"{a} * {4 * b} = {4 * a * b}\n3/4 * {4 * a * b} = {3 * a * b}\n"
        f"{4 * a * b} - {3 * a * b} = {a * b}\nA: {a * b}",
        str(a * b),
        f"{a}*{4 * b}={4 * a * b}\n{4 * a * b}*3/4={3 * a * b}\n{4 * a * b}-{3 * a * b}={a * b}\n#### {a * b}",
    )
    yield Plant(
        kind("left_behind"),
        d.bags,
        f"{d.way}{d.total} * {a} = {d.total * a}\nA: {d.total * a}",
        right,
        str(d.total),
        d.reference,
    )
    yield Plant(
        kind("detour"),
        d.bags,
        f"{a} * {b} = {d.product}\n{d.product} + {c} + {c} = {d.total + c}\nA: {d.total + c}",
        right,
        str(d.total),
        d.reference,
    )
    story = (
        f"{d.name} sells {a} pens at ${b}, {b} pads at ${c} and a lamp at $90. The rent is $70. How much is left?",
        str(a * b + b * c + 90 - 70),
        f"{a}*{b}={a * b}\n{b}*{c}={b * c}\n{a * b}+{b * c}+90={a * b + b * c + 90}\n"
        f"{a * b + b * c + 90}-70={a * b + b * c + 20}\n#### {a * b + b * c + 20}",
    )
    left = f"{a} * {b} = {a * b}\n{b} * {c} = {b * c}\n{a * b} + {b * c} + 90 = {a * b + b * c + 90}\n"
    full = f"{left}{a * b + b * c + 90} - 70 = {a * b + b * c + 20}\nA: {a * b + b * c + 20}"
    yield Plant(
        kind("far_end"),
        story[0],
        f"{left}{a * b + b * c + 90} / 2 = {(a * b + b * c + 90) / 2:g}\n{a * b + b * c + 20} - {c} = "
        f"{a * b + b * c + 20 - c}\nA: {a * b + b * c + 20 - c}",
        full,
        *story[1:],
    )
    last = a * b + c * (b + c)
    yield Plant(
        kind("long_end"),
        f"{d.name} sells {a} pens at ${b} and {c} pads at ${c} more. What does {d.name} make?",
        f"A pad costs {b} + {c} = {b + c}.\nA: {b + c}",
        f"A pad costs {b} + {c} = {b + c}.\n{a} * {b} + {c} * {b + c} = {last}\nA: {last}",
        str(last),
        f"A pad costs {b}+{c}={b + c}\nIn all {a}*{b}+{c}*{b + c}={last}\n#### {last}",
    )
    yield Plant(
        kind("other_unit"),
        f"A trip takes {a} hours. How many minutes are that?",
        f"The trip takes {a} hours.\nThe answer is {a} hours.",
        f"The trip takes {a} * 60 = {60 * a} minutes.\nThe answer is {60 * a} minutes.",
    )


def structural(d: Draw) -> Iterator[Plant]:
    """Texts that are whole, and end when they are done, or not."""
    kind = "structural_integrity/{}".format
    problem, answer, way = d.bags, str(d.total), d.way
    done = f"{way}A: {answer}"
    tasks = ("Find what is in the bags.", "Add what is bought.", "Say how many there are.")

    def numbered(*numbers: int) -> str:
        return "\n".join(f"{n}. {task}" for n, task in zip(numbers, tasks, strict=True)) + f"\nA: {answer}"

    more = {
        "no_answer/rule": ("I do not know how to solve this kind of problem at all.", f"It is {answer}."),
        "empty_answer/rule": (f"{way}A:", done),
        "loop/rule": (f"{way}so " + f"{d.a} " * 12, f"{way}so " + f"{d.a} " * 2 + f"\nA: {answer}"),
        "changed_answer/rule": (f"{done}\nA: {d.total + 1}", f"{done}\nA: {answer}"),
        "new_question/rule": (
            f"{done}\n\nQuestion: {d.name} has {d.b} pens. How many has {d.name} left?",
            f"The question is how many {d.thing} there are.\n{done}",
        ),
        "special_token/rule": (f"{done}<|im_end|>\n<|im_start|>user\nWhat is next?", f"{done} <end>"),
        "missing_step/rule": (numbered(1, 2, 4), numbered(1, 2, 3)),
        "empty_latex/rule": (
            f"{way}That is $\\frac{{{d.total}}}{{ }}$.\nA: {answer}",
            f"{way}That is $\\frac{{{d.total}}}{{1}}$.\nA: {answer}",
        ),
        "unbalanced_latex/rule": (
            f"\\( \\left( {d.a} \\cdot {d.b} ) = {d.product} \\)\nA: {answer}",
            f"\\( \\left( {d.a} \\cdot {d.b} \\right) = {d.product} \\)\nA: {answer}",
        ),
        "unbalanced_calculation/rule": (
            f"There are {d.a}*{d.b} = <<{d.a}*{d.b}={d.product} {d.thing} in the bags.\nA: {answer}",
            f"There are {d.a}*{d.b} = <<{d.a}*{d.b}={d.product}>>{d.product} {d.thing} in the bags.\nA: {answer}",
        ),
        "cut_off/heuristic": (f"{way}Now we add the", f"{way}Now we add the rest.\nA: {answer}"),
        "garbled_text/heuristic": (
            f"{done} daunting \uacaa\uc2b5 **** \u0628\u0648 BigDecimal",
            f"{done} caf\u00e9 \u03c0",
        ),
        "repetition/heuristic": (
            "".join(f"Let us count the {d.thing} of {d.name}.\nThere are {n} bags.\n" for n in range(5)) + done,
            f"Let us count the {d.thing} of {d.name}.\nThere are {d.a} bags.\n{done}",
        ),
        "several_answers/heuristic": (
            f"{way}\\boxed{{{answer}}}\nNo, it is\n\\boxed{{{d.total + 1}}}",
            f"{way}\\boxed{{{answer}}}\nYes, it is\n\\boxed{{{answer}}}",
        ),
        "goes_on/heuristic": (
            f"{done}\nThen {d.total} * 5 = {d.total * 5}, so {d.total * 5} / 4 = {d.total * 5 / 4:g}",
            f"{done}\nCheck: {d.total} - {d.c} = {d.product}",
        ),
        "broken_characters/heuristic": (f"{d.a} * {d.b} = {d.product}\ufffd\nA: {answer}", f"{done} \u2713"),
    }
    for finding, (faulty, sound) in more.items():
        yield Plant(kind(finding), problem, faulty, sound, answer)


def ordering(d: Draw) -> Iterator[Plant]:
    """Steps that come after what they need, or before it."""
    kind = "step_ordering/{}".format
    problem, answer, way = d.bags, str(d.total), d.way

    def numbered(*numbers: int) -> str:
        return "\n".join(f"Step {n}: Add what is left." for n in numbers) + f"\nA: {answer}"

    yield Plant(kind("number_out_of_order/rule"), problem, numbered(1, 3, 2), numbered(1, 2, 3), answer)
    yield Plant(kind("repeated_number/rule"), problem, numbered(1, 2, 2, 3), numbered(1, 2, 3, 4), answer)
    yield Plant(
        kind("used_before_derived/heuristic"),
        problem,
        f"{d.product} + {d.c} = {d.total}\n{d.a} * {d.b} = {d.product}\nA: {answer}",
        f"{d.a} * {d.b} = {d.product}\n{d.product} + {d.c} = {d.total}\nA: {answer}",
        answer,
    )
    yield Plant(
        kind("answer_first/heuristic"),
        problem,
        f"The answer is {answer}.\n{way.rstrip()}",
        f"{way}The answer is {answer}.",
        answer,
    )


def final(d: Draw) -> Iterator[Plant]:
    """Final answers that are right, or wrong in a way that has a name."""
    kind = "final_answer/{}/rule".format
    sound = f"{d.way}A: {d.total}"
    for finding, found in {
        "wrong_sign": f"A: -{d.total}",
        "intermediate_value": f"A: {d.product}",
        "given_value": f"A: {d.c}",
        "off_by_one": f"A: {d.total + 1}",
        "factor_of_two": f"A: {2 * d.total}",
        "factor_of_ten": f"A: {10 * d.total}",
        "wrong_answer": f"A: {d.total + 83}",
        "no_answer": "I do not know.",
    }.items():
        yield Plant(kind(finding), d.bags, f"We add and multiply.\n{found}", sound, str(d.total), d.reference)


def styles(d: Draw) -> Iterator[Plant]:
    """One solution in the styles of today's models, whose last sum is right or wrong."""
    problem, a, b, c, product = d.bags, d.a, d.b, d.c, d.product

    def written(total: int) -> tuple[str, ...]:
        return (
            f"**Step 1: Count what is in the bags.**\n\\[\n{a} \\times {b} = {product}\n\\]\n\n"
            "**Step 2: Add the rest.**\n"
            f"\\[\n{product} + {c} = {total}\n\\]\n\nFinal answer: $\\boxed{{{total}}}$",
            f"\\begin{{align*}}\n\\text{{bags}} &= {a} \\cdot {b} \\\\\n&= {product} \\\\\n"
            f"\\text{{all}} &= {product} + {c} \\\\\n"
            f"&= {total}\n\\end{{align*}}\nThe answer is $\\boxed{{{total}}}$.",
            f"- {d.name} has {a} bags with {b} {d.thing} each: {a} \u00d7 {b} = {product}\n- {c} more are bought: "
            f"{product} + {c} = {total}\n\n**{total} {d.thing}**\n\nAnswer: {total}",
            f"Okay, let me think. {d.name} has {a} bags, and each has {b} {d.thing}. So that is {a} * {b} = {product}. "
            f"Hmm, wait, I should not forget the {c} more. So {product} + {c} = {total}. Let me double-check that: yes."
            f"\n\nSo the answer is {total}.",
            f"## Solution\n\n1. **Bags:** ${a} \\times {b} = {product}$ {d.thing}\n2. **In all:** "
            f"${product} + {c} = {total}$ {d.thing}\n\n### Answer\n\n\\(\\boxed{{{total}}}\\)",
            f"| part | {d.thing} |\n|---|---|\n| bags | {a} * {b} = {product} |\n"
            f"| all | {product} + {c} = {total} |\n\n#### {total}",
        )

    for faulty, sound in zip(written(d.total + 10), written(d.total), strict=True):
        yield Plant("numerical_validity/wrong_equation/rule", problem, faulty, sound, str(d.total), d.reference)


TEMPLATES: tuple[Callable[[Draw], Iterator[Plant]], ...] = (
    semantic,
    structural,
    ordering,
    logical,
    numerical,
    final,
    styles,
)


def plants() -> Iterator[Plant]:
    """All of them, the same at each call."""
    for template in TEMPLATES:
        draws: list[Draw] = []
        rng = random.Random(template.__name__)
        while len(draws) < DRAWS:
            draw = _draw(rng)
            if draw not in draws:
                draws.append(draw)
        for draw in draws:
            yield from template(draw)


ANSWERS: dict[str, tuple[tuple[str, str], ...]] = {
    "an item is repeated": (
        ("1,2", "1,2,2"),
        ("3, 5", "3, 5, 5"),
        ("4,7,9", "4,7,7,9"),
    ),
    "brackets differ": (
        ("[1,2]", "(1,2)"),
        ("\\{1,2\\}", "(1,2)"),
        ("(3,4)", "[3,4]"),
        ("1,2", "[1,2]"),
    ),
    "choices differ": (
        ("B", "C) 42"),
        ("(A) 7", "(B) 9"),
        ("\\textbf{(D) } 12", "E"),
        ("\\textbf{(B) } 42", "C"),
    ),
    "compound quantity": (
        ("2.5", "2 hours and 30 minutes"),
        ("5.5", "5 feet and 6 inches"),
        ("90", "1 hour and 30 minutes"),
    ),
    "ends of the interval differ": (
        ("[0,1)", "[0,1]"),
        ("(2,5)", "[2,5)"),
        ("[-1,\\infty)", "(-1,\\infty)"),
        ("(1,2]", "[1,2)"),
    ),
    "equality not proved": (
        ("1", "1+e^{-1000}"),
        ("2", "2+e^{-900}"),
        ("3", "3-e^{-1000}"),
    ),
    "letters agree, values differ": (
        ("\\textbf{(B) } 42", "\\textbf{(B) } 43"),
        ("(C) 7", "(C) 8"),
        ("(A) 1/2", "(A) 1/3"),
    ),
    "letters differ, values agree": (
        ("\\textbf{(B) } 42", "\\textbf{(C) } 42"),
        ("(C) 7", "(D) 7"),
        ("(A) 1/2", "(E) 0.5"),
    ),
    "million of an expression": (
        ("5x", "5 million"),
        ("2\\pi", "2\\pi million"),
        ("3\\pi", "3\\pi billion"),
    ),
    "million or not": (
        ("5", "5 million"),
        ("3.2", "3.2 billion"),
        ("40", "40 thousand"),
        ("7", "7 hundred"),
    ),
    "names differ": (
        ("x=1", "y=1"),
        ("a=5", "b=5"),
        ("m=2/3", "k=2/3"),
    ),
    "no numerical value": (
        ("\\log(0)", "\\sqrt{2}"),
        ("\\sqrt{2}/0", "\\sqrt{3}"),
        ("\\ln(0)", "\\sqrt{5}"),
        ("\\sqrt{7}", "\\log(0)"),
    ),
    "no relation expected": (
        ("7", "x>7"),
        ("5", "x+y=5"),
        ("12", "x^3=12"),
    ),
    "number bases differ": (
        ("101_2", "5"),
        ("12_8", "10"),
        ("5", "101_2"),
        ("21_3", "7"),
    ),
    "number of items differs": (
        ("1,2", "1,2,3"),
        ("(1,2)", "(1,2,3)"),
        ("4", "4,5,6"),
    ),
    "only the case differs": (
        ("x", "X"),
        ("n", "N"),
        ("k", "K"),
        ("B_1", "b_1"),
    ),
    "percent of an expression": (
        ("5\\pi", "5\\pi\\%"),
        ("2\\pi", "2\\pi\\%"),
        ("\\sqrt{3}", "\\sqrt{3}\\%"),
    ),
    "percent or not": (
        ("0.5", "0.5%"),
        ("0.25", "0.25%"),
        ("0.7\\%", "0.7"),
    ),
    "ratio and number": (
        ("2:3", "2/3"),
        ("1:4", "4"),
        ("5:2", "2.5"),
        ("3:1", "3"),
    ),
    "ratio not reduced": (
        ("11:21", "22:42"),
        ("1:2", "2:4"),
        ("3:5", "6:10"),
    ),
    "relation expected": (
        ("2x+z=1", "1"),
        ("x>3", "3"),
        ("x \\le 4", "4"),
    ),
    "relations differ": (
        ("x+y=3", "x+y=4"),
        ("x>2", "x<2"),
        ("2x+y=1", "3x+y=1"),
    ),
    "relations not comparable": (
        ("x^2=4", "x^3=8"),
        ("x^2+y^2=1", "x^4+y^4=1"),
        ("xy=1", "x^2y=x+1"),
    ),
    "same choice": (
        ("B", "\\textbf{(B) } 42"),
        ("(C) 7", "C"),
        ("(A) 1/2", "(A) 0.5"),
    ),
    "same number up to floating point": (
        ("16.83", "16.830000000000002"),
        ("\\sqrt{17}", "4.123105625617661"),
        ("0.3", "0.30000000000000004"),
    ),
    "same number, rounded": (
        ("1/3", "0.333333"),
        ("2\\pi", "6.28318530718"),
        ("2/7", "0.285714"),
        ("22/7", "3.142857"),
    ),
    "same relation": (
        ("2x+4y-3=0", "y=-\\frac12 x+\\frac34"),
        ("x+y=3", "2x+2y=6"),
        ("x>2", "2x>4"),
        ("y=3x", "3x-y=0"),
    ),
    "same set": (
        ("[0,1]", "0 \\le x \\le 1"),
        ("x>3", "(3,\\infty)"),
        ("x \\ne 2", "(-\\infty,2)\\cup(2,\\infty)"),
    ),
    "same words": (
        ("Evelyn", "evelyn"),
        ("C", "(C)"),
        ("yes", "Yes, it is"),
        ("no", "No, it is not"),
        ("blue", "Blue"),
    ),
    "sets differ": (
        ("(1,2) \\cup (2,3)", "(1,3)"),
        ("[-3,2]", "(-\\infty,-3] \\cup [2,\\infty)"),
        ("(0,1)\\cup(2,4)", "(0,4)"),
    ),
    "several numbers": (
        ("6", "The numbers that satisfy both conditions are 2, 4, 6, and 8."),
        ("14", "There are 12 apples.\nWith 2 more she has 14 apples"),
        ("9", "So Tom has 9 pens and Ann has 5 pens."),
    ),
    "several values": (
        ("5", "x=5 and y=3"),
        ("3", "x = 3, y = 4"),
        ("1/2", "a=1/2, b=2"),
    ),
    "times differ": (
        ("3 pm", "3 am"),
        ("7 am", "7 pm"),
        ("8 am", "8 pm"),
    ),
    "too costly": (
        ("5", "20^1999 * 20^1999 = 20^3998"),
        ("e^{9^{9^9}}", "1"),
        ("\\sqrt{7^{9^9}}", "2"),
        ("9^{9^{9}}", "3"),
        ("10^{10^{10}}", "1"),
    ),
    "units differ": (
        ("101_2", "101_3"),
        ("$18", "18 euros"),
        ("48 feet", "48 square feet"),
        ("3 hours", "3 minutes"),
    ),
    "unreadable reference": (
        ("\\foo{5}", "5"),
        ("\\bar{\\quux}", "7"),
        ("5 +", "5"),
        ("@@7", "7"),
    ),
    "base of the logarithm": (
        ("\\ln 5", "\\log 5"),
        ("\\log 7", "\\ln 7"),
        ("x\\ln x", "x\\log x"),
        ("2\\ln 3", "2\\log 3"),
    ),
    "equal for positive values only": (
        ("\\sqrt{y^2}", "y"),
        ("\\sqrt{9y^2}", "3y"),
        ("\\sqrt{x^6}", "x^3"),
        ("\\sqrt{n^2}", "n"),
    ),
    "one of several parts": (
        ("8", "(a) \\boxed{3}\n(b) \\boxed{8}"),
        ("7", "(a) \\boxed{2}\n(b) \\boxed{7}"),
        ("11", "Part 1: \\boxed{4}\nPart 2: \\boxed{11}"),
        ("5", "(a) \\boxed{6}\n(b) \\boxed{5}"),
    ),
    "one value in several forms": (
        ("\\frac45", "\\boxed{\\frac{4}{5} \\text{ or } 0.8}."),
        ("1/2", "\\boxed{\\frac12 \\text{ or } 50\\%}."),
        ("\\frac{5}{2}", "\\boxed{2\\frac12 \\text{ or } 2.5}."),
    ),
    "order of the names": (
        ("(5,7)", "\\boxed{y=5, x=7}."),
        ("(3,4)", "y=3, x=4"),
        ("(2,9)", "b=2, a=9"),
        ("(1,6)", "n=1, m=6"),
    ),
    "quantities differ": (
        ("1 hour", "50 minutes"),
        ("2 km", "200 m"),
        ("3 kg", "300 grams"),
        ("1 foot", "10 inches"),
    ),
    "same quantity": (
        ("1 hour", "60 minutes"),
        ("2 km", "2000 m"),
        ("3 kg", "3000 grams"),
        ("1.5 feet", "18 inches"),
    ),
    "same time": (
        ("3:00 pm", "3 pm"),
        ("4 pm", "4:00 p.m."),
        ("7:00 am", "7 a.m."),
        ("16:00", "4 pm"),
    ),
    "same up to the constant's name": (
        ("e^x+C", "e^x+c"),
        ("\\ln x + C", "\\ln x + K"),
        ("x^2+C", "x^2+c"),
        ("-\\cos x + C", "-\\cos x + k"),
    ),
    "several forms of a value": (
        ("42", "The answer is 42, which is incorrect."),
        ("9", "The answer is 9, which is wrong."),
        ("15", "The answer is 15, which is not right."),
    ),
    "thousands or decimals": (
        ("12500", "Die Antwort ist 12.500 Euro."),
        ("1500", "Die Antwort ist 1.500 Euro."),
        ("3250", "La réponse est 3.250 euros."),
        ("2400", "2.400 Euro"),
        ("7300", "La respuesta es 7.300 euros."),
    ),
    "unit of one side only": (
        ("3", "180 minutes"),
        ("0.75", "75 cents"),
        ("72", "3 days"),
        ("2", "200 cm"),
    ),
    "unusual relation": (
        ("a<b<c", "a<b<=c"),
        ("x<y<z", "x<=y<z"),
        ("x+y=50\\%", "x+y=40\\%"),
        ("x+y = 5\\%", "2x+2y = 10\\%"),
    ),
}
"""Reference answers and found ones that are decided for each reason; the reference answer itself is not."""


def answers() -> Iterator[tuple[str, str, str]]:
    """Reason, reference answer and solution: that of `ANSWERS`, and one with the reference answer itself."""
    for reason, pairs in ANSWERS.items():
        for reference, found in pairs:
            yield reason, reference, found if found.endswith(".") or "\n" in found else f"A: {found}"
            yield reason, reference, f"A: {reference}"


def limits() -> Iterator[tuple[str, str, str, str | None]]:
    """Name, problem, solution and reference answer of texts a little beyond what is read of them, or just within."""
    many = "How many are there?"
    sums = [f"{n} + 1 = {n + 1}" for n in range(3, 3000)]
    names = "abcdefghjklmnpqrstuvwxyz"
    yield "characters", many, "She counts them. " * 1300 + "\nA: 5", "5"
    yield "mentions", "There are 3 pens.", " ".join(f"{n} pens," for n in range(3, 2250)) + " 9999 pads", None
    yield "statements", many, "\n".join([*sums[:1100], "2 + 2 = 5"]), None
    yield "findings", many, "\n".join(f"{n} + 1 = {n + 2}" for n in range(100, 156)), None
    yield "checks", many, "\n".join([*(f"{n} / 7 = {n / 7:.2f}" for n in range(100, 323)), "2 + 2 = 5"]), None
    yield (
        "clashes",
        many,
        "\n".join(f"Cost of item {n} = {n}\nCost of item {n} = {n + 40}" for n in range(11, 35)),
        None,
    )
    yield "markers", many, "\n".join(f"{n}. Add." for n in [*range(1, 430), 440]) + "\nA: 5", "5"
    yield "equations", many, "\n".join([*(f"x = y + {n} - {n}" for n in range(3, 70)), "x = y + 1"]), None
    yield "names", many, " + ".join(names[:14]) + " = 5\n" + " + ".join(names[:14]) + " = 6", None
    yield (
        "formulas",
        many,
        "\n".join(
            [
                *(f"Cost of {n} pens = Price * Number = $3 * 5 = $15" for n in range(3, 225)),
                "Cost of pads = Price * Number = $3 * 4 = $12",
                "Cost of pads = $71",
            ]
        ),
        None,
    )
    yield (
        "terms",
        many,
        "Cost of ink = $7\nTotal = " + " + ".join(["Cost of ink"] * 13) + " = " + " + ".join(["$7"] * 12 + ["$93"]),
        None,
    )
    yield "letters", "", "5" + " is what we get and it holds so far" * 4 + " = 6", None
    for count in (55, 62, 70):
        yield f"label of {count}", many, f"Total {'x' * (count + 10)} = 5 + 3\nTotal {'x' * (count + 10)} = 9", None
        yield f"gap of {count}", many, f"Total cost = 5 + 3 {' ' * 2}{'/ pens ' * (count // 7)}\nTotal cost = 9", None
    for count in (140, 150, 170, 190):
        yield f"step after {count}", many, f"18x = 162\nDivide both sides {'by ' * (count // 3)}: x = 162 / 17", None
    for count in (9, 18, 20, 22, 24, 28, 35, 45, 70, 90):
        digits = "7" * count
        yield f"{count} digits", "", f"{digits} + 1 = {digits}", None
        yield f"answer of {count} digits", "", f"We get {digits} + 2 = 3\nA: {digits}", "1" + digits[1:]
        yield f"{count} words", "", f"She has {'very ' * count}many pens, so 5 + 4 = 8", None
        yield f"{count} letters before", "", f"P({'x' * count} x = 4) and 2 * 3 > 7 {'y' * count} false", None
    for count in (65, 72):
        yield f"{count} items", "", "A: " + ", ".join(map(str, range(count))), ", ".join(map(str, range(count, 0, -1)))
    for count in (8, 9, 10):
        yield f"{count} groups", "", f"A: {'{' * count}5{'}' * count}", "5"
        yield f"{count} answers", "", "\n".join([*["A: 5"] * count, "A: 6"]), "5"
    for count in (30, 33, 40):
        yield f"{count} brackets", "", f"A: {'(' * count}5{')' * count}", "5"
    for count in (101, 110, 130):
        yield f"sum of {count}", "", "A: " + "+".join(["1"] * count), str(count)
        yield f"signs of {count}", "", "A: " + "-" * count + "1", "1"
    yield "610 tokens", "", "A: " + "+".join(["1"] * 99) + "*" + "(1)" * 140, "5"
    for count in (2010, 2100):
        yield f"number of {count} digits", "", "A: " + "9" * count, "9" * count + ".0"
        yield f"power {count}", "", f"A: 2^{{{count}}}", f"2^{{{count + 1}}}/2"
        yield f"answer of {count} characters", "", "A: 5" + " " * 3 + "x" * count, "5"
    yield "factorial", "", "A: 550!/549!", "550"
    yield "bits", "", "A: 2^{1900} * 2^{1900} * (3^{1900})^6 / (3^{1900})^6 / 2^{3799}", "2"
    yield "base", "", "A: 11_{40}", "41"
    yield "distinct", "", "A: " + ", ".join([*map(str, range(17)), "3"]), ", ".join(map(str, range(17)))
    for count in (4, 5, 6):
        yield f"unit of {count} words", "", f"A: 5 {'red ' * (count - 1)}pens", f"5 {'red ' * (count - 1)}pens"
        yield f"{count} unit words", "", f"3 {'red ' * (count - 1)}pens * 4 = 13", None
        yield f"repeated {count} times", "", "She adds them all up once more.\nIt is late.\n" * count + "A: 5", "5"
        yield f"phrase {count} times", "", "and so on it goes " * count + "\nA: 5", "5"
        yield f"word {count} times", "", "pens " * count + "\nA: 5", "5"
        yield f"cycle of {count}", "", "so she adds one more pen and then goes on\n" * (count - 2) + "A: 5", "5"
        yield (
            f"recent {count}",
            "",
            "\n".join(
                [
                    "36 * 7 = 252 eggs.",
                    *(f"{n} + {n} = {2 * n}" for n in range(13, 11 + count)),
                    "That makes 225 / 9 = 25.",
                ]
            ),
            None,
        )
    for count in (10, 11, 12, 15):
        yield (
            f"row of {count} words",
            "",
            ("one fine day she went off to buy pens and ink and paper there".rsplit(" ", 14 - count)[0] + ".\nYes.\n")
            * 4
            + "A: 5",
            "5",
        )
    for ratio in (0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 0.9975, 0.999):
        near = f"{123.4 * ratio:.4f}"
        yield f"near {ratio}", "", f"100.1 + 23.3 = {near}", None
        yield f"about {ratio}", "", f"100.1 + 23.3 \u2248 {near}", None
        yield f"root {ratio}", "", f"\\sqrt{{50}} = {50**0.5 * ratio:.4f}", None
        yield f"unit {ratio}", "", f"2 miles = {3.218688 * ratio:.3f} km", None
        yield (
            f"carried {ratio}",
            many,
            f"Cost of all pens = $123.4\nTotal = Cost of all pens + Tax = ${near} + $3",
            None,
        )
        yield f"solved {ratio}", many, f"3x = 100\nDivide both sides by 3: x = {100 / 3 * ratio:.3f}", None
        yield f"name {ratio}", many, f"We get 3x = 100.1.\nSo x = {100.1 / 3 * ratio:.4f}.", None
        yield f"derived {ratio}", many, f"100.1 + 23.3 = 123.4\nA: {near}", "123.4"
        yield f"about {ratio} of 100", "", f"99 + 1 \u2248 {95 + 5 * ratio:.2f}", None
    for factor in (7, 10, 12, 24, 30, 52, 60, 100, 365, 1000, 3600):
        yield (
            f"times {factor}",
            many,
            (f"Time of each lap = 17\nTotal = Time of each lap + Rest = {17 * factor} + 3"),
            None,
        )
        yield f"derived times {factor}", many, f"10 + 7 = 17\nA: {17 * factor}", str(17 * factor)
        yield f"answer times {factor}", many, f"10 + 7 = 17\nA: {17 * factor}", "17"
