"""A text of mathematics as the dimensions see it: steps, quantities and statements, with their places in the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from trl_weighted_dpo.verifier.reading.grammar import Node

MAX_READ = 20_000
"""Characters of a text that are read; what comes after is not checked, and the profile says so."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a solution.

    Args:
        index (`int`): 0-based position among the steps.
        span (`tuple[int, int]`): Start and end of it in the text.
    """

    index: int
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mention:
    """A quantity that a text mentions, in digits or in words.

    Args:
        value (`Fraction`): Its value as written: 20 for `20%`, 1/2 for `half`, 12 for `a dozen`.
        span (`tuple[int, int]`): Start and end of the number or word in the text, without sign, currency and unit.
        places (`int`): Decimals written after the point; 0 for words.
        percent (`bool`): Whether a percent sign or word follows.
        unit (`str`): The word that follows it, lower-cased and in the singular, or `dollar`; "" for none.
        in_words (`bool`): Whether it is written in words.
    """

    value: Fraction
    span: tuple[int, int]
    places: int
    percent: bool
    unit: str
    in_words: bool


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a statement.

    Args:
        span (`tuple[int, int]`): Start and end of it in the text.
        node (`Node`, *optional*): It as an expression, units dropped; `None` if it is words or cannot be read.
        value (`Fraction`, *optional*): Its exact value; `None` if it has names or no rational value. `20%` is 1/5.
        places (`int`, *optional*): Decimals shown if it is one written number and nothing else; `None` otherwise.
        percent (`bool`): Whether it is one number with a percent sign.
        unit (`str`): The unit after it if it is one number, as in [`Mention`]; "" for none.
    """

    span: tuple[int, int]
    node: Node | None
    value: Fraction | None
    places: int | None
    percent: bool
    unit: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A chain of sides with a relation between each two: `Total = 3 * 4 = 12 apples`, `3 times 4 is 12`, `x < 5`.

    Args:
        step (`int`): The step it is in.
        span (`tuple[int, int]`): Start and end of it in the text.
        sides (`tuple[Side, ...]`): At least two, from left to right; also of a chain broken over lines.
        signs (`tuple[str, ...]`): The relation between each two: `=`, `approx`, `!=`, `<`, `<=`, `>`, `>=` or `is`.
        source (`str`): `"plain"`, `"calculator"` for `<<...>>` or `"latex"`.
        label (`str`): What the first side names if it is words (`Total`), lower-cased, without articles; "" else.
    """

    step: int
    span: tuple[int, int]
    sides: tuple[Side, ...]
    signs: tuple[str, ...]
    source: str
    label: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that was read.

    Args:
        text (`str`): The text as given; of a list of steps, these joined by newlines.
        plain (`str`): The same in plain characters, of the same length, cut to `MAX_READ`.
        steps (`tuple[Step, ...]`): Its steps, in order; at least one unless the text is blank.
        mentions (`tuple[Mention, ...]`): Its quantities, in order, those inside statements included.
        statements (`tuple[Statement, ...]`): Its statements, in order.
        was_cut (`bool`): Whether the text is longer than what was read.
    """

    text: str
    plain: str
    steps: tuple[Step, ...]
    mentions: tuple[Mention, ...]
    statements: tuple[Statement, ...]
    was_cut: bool

    def step_at(self, position: int) -> int | None:
        """The index of the step that holds the character at `position`, or the last that begins before it."""
        index = None
        for step in self.steps:
            if step.span[0] > position:
                break
            index = step.index
        return index


def split_steps(solution: str | Sequence[str], limit: int = MAX_READ) -> tuple[str, tuple[Step, ...]]:
    """The text of a solution and those of its steps that begin before `limit`: its lines that are not blank, or the
    steps it is given as."""
    pieces = solution.split("\n") if isinstance(solution, str) else list(solution)
    text = solution if isinstance(solution, str) else "\n".join(solution)
    steps: list[Step] = []
    start = 0
    for piece in pieces:
        if start >= limit:
            break
        if not isinstance(solution, str) or piece.strip():
            steps.append(Step(len(steps), (start, start + len(piece))))
        start += len(piece) + 1
    return text, tuple(steps)
