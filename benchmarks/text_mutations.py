"""Mutations of solutions, the same for a seed and an index: what `fuzz_verifier` verifies."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.verifier.hostile import FRAGMENTS

_LONG = 30_000


class Row(NamedTuple):
    problem: str
    solution: str
    answer: str | None
    reference: str | None


_JUNK = (
    *(
        "\\",
        "$",
        "$$",
        "\\(",
        "\\[",
        "\\]",
        "{",
        "}",
        "\\frac",
        "\\frac{1}{",
        "\\boxed{",
        "\\sqrt[",
        "^{",
        "_{",
        "&",
        "\\\\",
    ),
    *(
        "\\begin{align}",
        "\\end{align}",
        "\\text{",
        "\\left(",
        "\\right)",
        "<<",
        ">>",
        "=",
        "==",
        "= =",
        " is ",
        "%",
        "% of ",
    ),
    *(
        "####",
        "A:",
        "Step 1:",
        "1.",
        "(a)",
        "The answer is ",
        "\\boxed{}",
        "```",
        "\n\n",
        "\t",
        "\r\n",
        "+",
        "-",
        "*",
        "/",
    ),
    *(
        "half of ",
        "twice ",
        "a dozen ",
        "two hundred ",
        "1/2 ",
        "2 1/2",
        "1e9",
        "0.333...",
        "12:30 pm",
        "3 hours ",
        "$1,000",
    ),
)
_THOUGHTS = (
    ("<think>\n", "\n</think>\n\n"), ("", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>\n"),
    ("[THINK]", "[/THINK]"), ("\u25c1think\u25b7", "\u25c1/think\u25b7"), ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>\n", "\n<|end_of_thought|>\n<|begin_of_solution|>"), ("analysis", "assistantfinal"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("Here is my thought process:", "Here is my response:"), ("<think><think>", "</thinking></think>"),
)  # fmt: skip
_TURNS = (
    "<|im_start|>assistant\n", "<|im_end|>\n", "<|endoftext|>", "</s>", "<|return|>", "<|start_header_id|>user",
    "<\uff5cend\u2581of\u2581sentence\uff5c>", "[INST]", "<answer>", "</answer>", "<solution>", "<response>", "<think",
)  # fmt: skip
_CONFUSABLES = {
    "0": "O\u0660\uff10\u006f\u0966",
    "1": "lI\u0661\uff11\u00b9",
    "2": "\u0662\uff12\u00b2\u00bd",
    "=": "\uff1d\u2261\u2248\u2260",
    "-": "\u2212\u2013\u2014\u00ad",
    "+": "\uff0b\u00b1",
    "*": "\u00d7\u22c5x\u2217",
    "/": "\u00f7\u2215\u2044",
    " ": "\u00a0\u200b\u3000\t\u2009",
    ".": ",\u3002\u00b7",
    ",": ".\uff0c\u066c",
    "a": "\u0430",
    "$": "\uff04\u20ac",
    "\n": "\r\u2028\x0b ",
}
_CHARACTERS = "0123456789 =+-*/().,$%\\{}[]<>#:;!?^_&|~'\"\n\t\x00\x1f\u00e9\u202e\u200b\ud800\U0001f34e"

Mutate = Callable[[random.Random, str, Sequence[Row]], str]


def _cut(rng: random.Random, text: str, most: int = 40) -> tuple[int, int]:
    start = rng.randint(0, len(text))
    return start, min(len(text), start + rng.randint(0, most))


def _flip(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    start = rng.randrange(len(text)) if text else 0
    return text[:start] + rng.choice(_CHARACTERS) + text[start + 1 :]


def _flip_bytes(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(rng.randint(1, 4)):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content.decode("utf-8", rng.choice(("replace", "surrogateescape", "ignore")))


def _delete(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    start, end = _cut(rng, text)
    return text[:start] + text[end:]


def _duplicate(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    start, end = _cut(rng, text, most=120)
    return text[:end] + text[start:end] * rng.choice((1, 1, 2, 30)) + text[end:]


def _swap(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    (a, b), (c, d) = sorted((_cut(rng, text), _cut(rng, text)))
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:] if b <= c else text


def _shuffle_lines(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    lines = text.split("\n")
    rng.shuffle(lines)
    return "\n".join(lines)


def _splice(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    other = rng.choice(rows).solution
    return text[: rng.randint(0, len(text))] + other[rng.randint(0, len(other)) :]


def _insert_hostile(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    start = rng.randint(0, len(text))
    return text[:start] + rng.choice(FRAGMENTS) + text[start:]


def _insert_junk(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, len(text))
        text = text[:start] + rng.choice(_JUNK) + text[start:]
    return text


def _change_number(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    digits = [index for index, character in enumerate(text) if character in "0123456789"]
    if not digits:
        return text
    start = rng.choice(digits)
    number = rng.choice((str(rng.randint(0, 9)), "0", "-1", "1.5", "1,000", "9" * rng.randint(1, 60), "1/0", ""))
    return text[:start] + number + text[start + 1 :]


def _confuse(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    for character in rng.sample(sorted(_CONFUSABLES), 2):
        text = text.replace(character, rng.choice(_CONFUSABLES[character]), rng.choice((1, 1, 3, -1)))
    return text


def _repeat_character(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    start = rng.randint(0, len(text))
    return text[:start] + rng.choice(_CHARACTERS + "(({{<<==  $$") * rng.choice((50, 500, 5_000)) + text[start:]


def _truncate(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    return text[: rng.randint(0, len(text))]


def _change_case(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    return rng.choice((str.upper, str.lower, str.title, str.swapcase))(text)


def _repeat(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    return "\n".join([text] * rng.choice((2, 3, 100)))[:_LONG]


def _think(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    """Puts a thought before or around a text, closed, open, doubled or with broken marks."""
    opening, closing = rng.choice(_THOUGHTS)
    thought = rng.choice((text, rng.choice(rows).solution, "", "Wait, is it? " * rng.choice((1, 50))))
    if rng.random() < 0.2:
        closing = rng.choice(("", rng.choice(_THOUGHTS)[1], closing * 2, _delete(rng, closing, rows)))
    if rng.random() < 0.1:
        opening = rng.choice(("", opening * 2, _delete(rng, opening, rows), opening.upper()))
    start = rng.choice((0, 0, 0, rng.randint(0, len(text)), len(text)))
    return text[:start] + opening + thought + closing + text[start:]


def _turn(rng: random.Random, text: str, rows: Sequence[Row]) -> str:
    start = rng.choice((0, rng.randint(0, len(text)), len(text)))
    return text[:start] + rng.choice(_TURNS) + text[start:]


MUTATIONS: tuple[Mutate, ...] = (
    *(_flip, _flip, _flip_bytes, _delete, _delete, _duplicate, _swap, _shuffle_lines, _splice, _insert_hostile),
    *(_insert_junk, _insert_junk, _change_number, _change_number, _confuse, _repeat_character, _truncate, _change_case),
    *(_repeat, _think, _think, _think, _turn, _turn),
)


def mutated(rows: Sequence[Row], seed: int, index: int) -> dict[str, Any]:
    """The arguments of one call of `verify`, the same for a seed and an index."""
    rng = random.Random(f"{seed}-{index}")
    row = rng.choice(rows)

    def mutations(text: str, most: int) -> str:
        for _ in range(rng.randint(1, most)):
            text = rng.choice(MUTATIONS)(rng, text, rows)[: 2 * _LONG]
        return text

    solution: str | list[str] = mutations(row.solution, 6)
    if rng.random() < 0.1:
        solution = [*solution.split("\n"), ""]
    return {
        "problem": mutations(row.problem, 3) if rng.random() < 0.2 else row.problem,
        "solution": solution,
        "reference_answer": mutations(row.answer or "", 2) if rng.random() < 0.1 else row.answer,
        "reference_solution": rng.choice((None, row.reference, mutations(row.reference or "", 3))),
    }
