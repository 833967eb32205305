"""What the columns of public sets of math problems mean: one table, by name and by columns."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trl_weighted_dpo.core import schema

Row = Mapping[str, Any]

_GSM8K_ANSWER = re.compile(r"####\s*(\S[^\n]*?)\s*\Z")
_METAMATHQA_ANSWER = re.compile(r".*\bThe answer is:?\s*(\S[^\n]*?)\s*\Z", re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?[ \t]*(?:\{|([^\s{$\\.,;]+))")
_NO_ANSWERS = ("proof", "notfound")
"""What NuminaMath 1.5 has in place of an answer."""
_BARE = 40
"""Most characters of a text that may be an answer as it is."""


def gsm8k_answer(solution: str) -> str | None:
    """What follows `####` in the last line, without thousands separators; `None` if nothing does."""
    found = _GSM8K_ANSWER.search(solution)
    return found[1].replace(",", "") if found else None


def metamathqa_answer(solution: str) -> str | None:
    """What follows the last "The answer is:"; `None` if nothing does."""
    found = _METAMATHQA_ANSWER.match(solution)
    return found[1].rstrip(".") or None if found else None


def boxed_answer(solution: str) -> str | None:
    """What stands in the last `\\boxed{}` or `\\fbox{}` with balanced braces, with the boxes before it that a comma,
    "and" or "or" joins to it, as the verifier reads them; `None` if there is none."""
    boxes = [*_BOX.finditer(solution)]
    for box in reversed(boxes):
        inside = box[1] if box[1] is not None else _balanced(solution, box.end())
        if inside is None:
            continue
        inside = inside.strip()
        if len(boxes) == 1 or not inside:
            return inside or None
        from trl_weighted_dpo.verifier.reading.answer import read_answer

        found = read_answer(solution)
        joined = (found.text if found is not None else None) or ""
        return joined if joined.endswith(f", {inside}") else inside
    return None


def _balanced(text: str, begin: int) -> str | None:
    """The text from a place to the brace that closes the one before it."""
    depth, at = 1, begin
    while at < len(text):
        if text[at] == "\\":
            # What is escaped opens and closes nothing.
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return text[begin:at]
        at += 1
    return None


def short_answer(text: str) -> str | None:
    """The text itself if it can be a final answer as it is: one line of at most 40 characters and six words."""
    bare = text.strip()
    return bare if bare and "\n" not in bare and len(bare) <= _BARE and len(bare.split()) <= 6 else None


def boxed_or_short_answer(solution: str) -> str | None:
    """What a box holds, else the text itself if it is short."""
    return boxed_answer(solution) or short_answer(solution)


def stated_answer(answer: str) -> str | None:
    """The text, unless it says that there is no answer."""
    return None if answer in _NO_ANSWERS else answer


@dataclass(frozen=True)
class Layout:
    """How the rows of a set become problems.

    Args:
        sets (`str`): Which sets have these columns.
        url (`str`): Where one of them is; `""` for our own.
        problem (`str`): Column of the problem.
        answer (`str`, *optional*): Column of the reference answer.
        read (`Callable[[str], str | None]`, *optional*): How it is read from a text there, as `reading` says in words.
        solution (`str`, *optional*): Column of the reference solution. The answer may be read from it too.
        otherwise (`tuple[str, Callable]`, *optional*): Column and reader where `answer` has none.
        identity (`str`, *optional*): Column of the id.
        around (`tuple[str | None, str | None]`, *optional*): Columns of texts, or lists of them, that belong to the
            problem, before and after it.
        also (`tuple[str, ...]`, *optional*): Columns that have to be there besides those of the problem and the answer.
        are_lists (`bool`, *optional*): Whether answers and solutions are lists of texts.
        is_answered (`bool`, *optional*): Whether the column of the answer has to be there.
        describes (`Callable[[Row], bool]`, *optional*): Whether a row with these columns looks like one of the set,
            where sets share names.
    """

    sets: str
    url: str
    problem: str
    answer: str | None = None
    read: Callable[[str], str | None] = stated_answer
    reading: str = "as it is"
    solution: str | None = None
    otherwise: tuple[str, Callable[[str], str | None]] | None = None
    identity: str | None = None
    around: tuple[str | None, str | None] = (None, None)
    also: tuple[str, ...] = ()
    are_lists: bool = False
    is_answered: bool = True
    describes: Callable[[Row], bool] = lambda row: True

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that have to be there, by which a set is recognised."""
        answer = self.answer if self.otherwise is None else self.otherwise[0]
        return tuple(dict.fromkeys([self.problem, *([answer] if answer and self.is_answered else []), *self.also]))

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that become ours."""
        of_answer = [self.answer, self.otherwise[0] if self.otherwise else None]
        return tuple(name for name in (self.problem, *of_answer, self.solution, *self.around) if name)

    def map(self, row: Row) -> dict[str, Any]:
        """Our columns, from those of a row."""
        problem = row.get(self.problem)
        before, after = (_joined(row.get(name), "\n") if name else None for name in self.around)
        if isinstance(problem, str):
            problem = "\n\n".join(part for part in (before, problem, after) if part)
        answer = self._answer(row.get(self.answer), self.read) if self.answer else None
        if answer is None and self.otherwise is not None:
            answer = self._answer(row.get(self.otherwise[0]), self.otherwise[1], row.get(self.answer or ""))
        solution = row.get(self.solution) if self.solution else None
        if self.are_lists and isinstance(solution, list) and all(isinstance(part, str) for part in solution):
            solution = "\n\n".join(solution) or None
        own = {schema.PROBLEM: problem, schema.REFERENCE_ANSWER: answer, schema.REFERENCE_SOLUTION: solution}
        return own | ({schema.ID: row[self.identity]} if self.identity and self.identity in row else {})

    def _answer(self, value: Any, read: Callable[[str], str | None], given: Any = None) -> Any:
        if given in _NO_ANSWERS:
            return None
        if self.are_lists and isinstance(value, list) and all(isinstance(part, str) for part in value):
            value = ", ".join(value) or None
        return read(value) if isinstance(value, str) else value


_LIKE_ANSWERS = re.compile(
    r"answer|solution|target|ground_?truth|\bgold\b|^correct$|label|expected|rationale", re.IGNORECASE
)


def looks_like_an_answer(column: str) -> bool:
    """Whether the name of a column says that it may hold the answer."""
    return _LIKE_ANSWERS.search(column) is not None


def _joined(value: Any, between: str) -> str | None:
    return between.join(map(str, value)) if isinstance(value, list) else value


def _has_mark(row: Row) -> bool:
    return "####" in str(row["answer"])


def _is_short(row: Row) -> bool:
    answer = row["answer"]
    return (isinstance(answer, int | float) and not isinstance(answer, bool)) or (
        isinstance(answer, str) and short_answer(answer) == answer.strip()
    )


def _unread(row: Row) -> bool:
    """Whether a row with our columns may have its answer in another one."""
    ours = (schema.REFERENCE_ANSWER, schema.REFERENCE_SOLUTION)
    return schema.REFERENCE_ANSWER not in row and any(looks_like_an_answer(name) for name in row if name not in ours)


_HUB = "https://huggingface.co/datasets/"

PRESETS: dict[str, Layout] = {
    "own": Layout(
        "our own columns, and pools", "", "problem", schema.REFERENCE_ANSWER, solution=schema.REFERENCE_SOLUTION,
        read=lambda answer: answer, is_answered=False, describes=lambda row: not _unread(row),
    ),
    "gsm8k": Layout(
        "GSM8K", _HUB + "openai/gsm8k", "question", "answer", gsm8k_answer,
        "after `####` in the last line, without thousands separators", "answer", describes=_has_mark,
    ),
    "mgsm": Layout(
        "MGSM", _HUB + "juletxara/mgsm", "question", "answer_number", solution="answer",
    ),
    "aqua": Layout(
        "AQuA-RAT", _HUB + "deepmind/aqua_rat", "question", "correct", solution="rationale",
        around=(None, "options"), reading="the letter", also=("options",),
    ),
    "olympiadbench": Layout(
        "OlympiadBench", _HUB + "Hothan/OlympiadBench", "question", "final_answer", solution="solution",
        reading="the items of the list, joined by commas", around=("context", None), also=("solution", "answer_type"),
        are_lists=True,
    ),
    "deepmath": Layout("DeepMath-103K", _HUB + "zwhe99/DeepMath-103K", "question", "final_answer"),
    "openmath_instruct_1": Layout(
        "OpenMathInstruct-1", _HUB + "nvidia/OpenMathInstruct-1", "question", "expected_answer",
    ),
    "openmath_instruct_2": Layout(
        "OpenMathInstruct-2", _HUB + "nvidia/OpenMathInstruct-2", "problem", "expected_answer",
        solution="generated_solution",
    ),
    "openr1_math": Layout(
        "OpenR1-Math-220k", _HUB + "open-r1/OpenR1-Math-220k", "problem", "answer", solution="solution",
        also=("solution", "generations"),
    ),
    "numina_math": Layout(
        "NuminaMath-CoT, NuminaMath-1.5", _HUB + "AI-MO/NuminaMath-1.5", "problem", "answer",
        reading="as it is, unless it is `proof` or `notfound`; else what the last box holds", solution="solution",
        otherwise=("solution", boxed_answer), also=("source",),
    ),
    "math": Layout(
        "MATH, MATH-500, AIME 2024", _HUB + "HuggingFaceH4/MATH-500", "problem", "answer",
        reading="as it is; else what the last box holds, with those that a list joins to it", solution="solution",
        otherwise=("solution", boxed_answer), identity="unique_id",
    ),
    "aime": Layout(
        "AIME 2024 with capital letters", _HUB + "Maxwell-Jia/AIME_2024", "Problem", "Answer", solution="Solution",
        identity="ID",
    ),
    "big_math": Layout(
        "Big-Math, AIME 2025, AMC", _HUB + "SynthLabsAI/Big-Math-RL-Verified", "problem", "answer",
    ),
    "final_answer": Layout("any set with these columns", "", "problem", "final_answer"),
    "gsm_plus": Layout(
        "GSM-Plus", _HUB + "qintongli/GSM-Plus", "question", "answer", solution="solution",
        also=("solution", "perturbation_type"),
    ),
    "limo": Layout(
        "LIMO", _HUB + "GAIR/LIMO", "question", "answer", solution="solution", also=("solution",),
    ),
    "s1k": Layout(
        "s1K, s1K-1.1", _HUB + "simplescaling/s1K-1.1", "question", "solution", boxed_or_short_answer,
        "what the last box holds, else the text if it is short", "solution",
    ),
    "metamathqa": Layout(
        "MetaMathQA", _HUB + "meta-math/MetaMathQA", "query", "response", metamathqa_answer,
        'after the last "The answer is:"', "response",
    ),
    "question_answer": Layout(
        "any set with short answers", "", "question", "answer", describes=_is_short,
    ),
    "orca_math": Layout(
        "Orca-Math", _HUB + "microsoft/orca-math-word-problems-200k", "question",
        reading="none: it stands in a sentence", solution="answer", also=("answer",),
    ),
}  # fmt: skip
"""The layouts, in the order in which `auto` tries them."""
