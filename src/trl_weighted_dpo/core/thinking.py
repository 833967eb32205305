"""Thinking: which part of a text is a thought, and which is the answer that is meant to be read."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

UNFINISHED_THINKING = "unfinished thinking"
"""The reason of a verdict on a solution whose thought never ends."""

_NAMES = (
    r"(?:[a-z]{1,12}[:_])?(?:think(?:ing)?|thoughts?|reason(?:ing)?|scratch_?pad|analysis|cot)(?:_process)?"
    r"|(?:inner|internal)_(?:thoughts?|monologue)"
)
_THOUGHT = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?)"
_TURN = r"(?:<\|(?:end|start)\|>\s{0,4}(?:assistant\s{0,4})?){0,2}"
_HEADER = r"[^<>\n]{0,60}(?:<\|constrain\|>[^<>\n]{0,40})?<\|message\|>"

MARKS: tuple[tuple[str, str, str], ...] = (
    # Tags: DeepSeek-R1, Qwen3 and most others, Claude, EXAONE Deep, Seed-OSS (`<seed:think>`), LongCat, GRPO recipes.
    ("tag", rf"<\s?(?:{_NAMES})(?:\s[^<>\n]{{0,40}})?>", rf"<\s?\\?/\s?(?:{_NAMES})\s?>"),
    # Magistral.
    ("bracket", r"\[\s?think(?:ing)?\s?\]", r"\[\s?/\s?think(?:ing)?\s?\]"),
    # Kimi.
    ("triangle", r"\u25c1\s?think\s?\u25b7", r"\u25c1\s?/\s?think\s?\u25b7"),
    # Sky-T1, Bespoke-Stratos, OpenThoughts; Command A; the answer's own opening also ends an open thought.
    (
        "special token",
        rf"<[|\uff5c]\s?(?:(?:begin|start)_(?:of_)?)?{_THOUGHT}\s?[|\uff5c]>",
        rf"(?:<[|\uff5c]\s?(?:end_(?:of_)?|/\s?){_THOUGHT}\s?[|\uff5c]>\s*)?"
        r"<[|\uff5c]\s?(?:begin|start)_(?:of_)?(?:solution|response)\s?[|\uff5c]>"
        rf"|<[|\uff5c]\s?(?:end_(?:of_)?|/\s?){_THOUGHT}\s?[|\uff5c]>",
    ),
    # Apertus; Unsloth's GRPO notebooks.
    ("inner", r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    ("working out", r"<\s?start_working_out\s?>", r"<\s?end_working_out\s?>"),
    # gpt-oss: every channel but the last one is for itself. Gemma writes `<|channel>thought ... <channel|>`.
    (
        "channel",
        rf"{_TURN}<\|channel\|>\s{{0,4}}(?:analysis|commentary)\b{_HEADER}|<\|channel>\s{{0,4}}thought\b",
        rf"{_TURN}<\|channel\|>\s{{0,4}}final\b{_HEADER}|<channel\|>",
    ),
)
"""How models mark a thought: a name, what opens it and what closes it, as regular expressions in any case. Whatever
opened it, each of the closing marks ends a thought."""

_PLAIN_MARKS: tuple[tuple[str, str], ...] = (
    # gpt-oss decoded without its special tokens.
    (r"\Aanalysis(?=[A-Z\"'\d<\\(\[*$]|[\s\S]*?assistantfinal)", r"assistant\s?final"),
    # Granite.
    (r"(?m:^)Here is my thought process:", r"(?m:^)Here is my response:"),
)

_MARK = re.compile(
    "|".join(
        rf"(?:(?P<open{at}>{opening})|(?P<close{at}>{closing}))" for at, (_, opening, closing) in enumerate(MARKS)
    ),
    re.IGNORECASE,
)
_SIGN = re.compile(r"<(?=[\s|\uff5c/\\A-Za-z])|\[(?=[\s/Tt])|\u25c1")
_PLAIN_MARK = [re.compile(rf"(?P<open>{opening})|(?P<close>{closing})") for opening, closing in _PLAIN_MARKS]
_MAX_MARKS = 200

_TOKEN = (
    r"(?:<(?:[|\uff5c][^<>|\uff5c\n]{1,40}[|\uff5c]|/?s|(?:start|end)_of_turn|(?:/|[a-z]{1,12}:)?(?:eos|bos|pad))>"
    r"|\[\|[a-z_]{1,20}\|\])"
)
_IDLE = re.compile(rf"(?:\s|{_TOKEN}|\b(?:assistant|model)\b)*", re.IGNORECASE)
_WRAPPER = r"(?:response|solution|output)"
_HEAD = re.compile(rf"\s*<\s?{_WRAPPER}\s?>", re.IGNORECASE)
_TAIL = re.compile(
    rf"(?:\s*(?:<\s?/\s?{_WRAPPER}\s?>|{_TOKEN}))+\s*\Z",
    re.IGNORECASE,
)
_MAX_TAIL = 400
_BETWEEN = "\n"

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text, as a text of its own.

    Args:
        text (`str`): Its pieces, joined by line breaks.
        spans (`tuple[tuple[int, int], ...]`): Where its pieces stand in the whole text, in order; at least one.
        starts (`tuple[int, ...]`): Where they begin in `text`.
    """

    text: str
    spans: tuple[Span, ...]
    starts: tuple[int, ...]

    def place(self, span: Span) -> Span:
        """A span of the part as one of the whole text."""
        start = self._position(span[0])
        return start, max(start, self._position(span[1] - 1) + 1) if span[1] > span[0] else start

    def _position(self, position: int) -> int:
        at = max(0, bisect_right(self.starts, position) - 1)
        return min(self.spans[at][0] + position - self.starts[at], self.spans[at][1])


@dataclass(frozen=True, slots=True)
class Thinking:
    """A text with a thought in it.

    Args:
        thought (`Part`): What it thinks: all its thoughts.
        answer (`Part`): What is meant to be read; blank if there is nothing but a thought.
        is_open (`bool`): Whether a thought never ends.
        is_answered (`bool`): Whether something follows a thought.
    """

    thought: Part
    answer: Part
    is_open: bool
    is_answered: bool


def split_thinking(text: str) -> Thinking | None:
    """Splits a text into thought and answer; `None` if it has no mark of a thought.

    A closing mark without an opening one, as after a prompt that opened the thought, makes everything before it a
    thought. An opening mark within a thought is a part of it. Text between thoughts belongs to the answer.
    """
    marks = _marks(text)
    if not marks:
        return None
    pieces: list[tuple[bool, int, int]] = []
    position, is_open = 0, False
    waiting = 0
    for opens, start, end in marks:
        # An outer thought ends with a mark of its own, after those within it.
        is_outer = not opens and waiting > 0
        waiting = waiting + 1 if opens else max(0, waiting - 1)
        if opens and is_open:
            continue
        if not opens and not is_open and (is_outer or not _is_stray(text, pieces, position, start, end)):
            pieces = [(True, begin, finish) for _, begin, finish in pieces]
            is_open = True
        pieces.append((is_open, position, start))
        position, is_open = end, opens
    pieces.append((is_open, position, len(text)))
    thought = [(start, end) for is_thought, start, end in pieces if is_thought]
    answer = [_unwrapped(text, start, end) for is_thought, start, end in pieces if not is_thought]
    is_answered = any(start > thought[0][0] and not _is_idle(text, start, end) for start, end in answer)
    return Thinking(_part(text, thought), _part(text, answer), is_open, is_answered and not is_open)


def without_thought(text: str) -> str:
    """Returns what a text says after its thought; the text itself if it has none, and nothing if that never ends."""
    thinking = split_thinking(text)
    if thinking is None:
        return text
    return "" if thinking.is_open else thinking.answer.text.strip()


def after_thought(prompt: str) -> str:
    """Returns a prompt whose last thought is closed: what a chat template opened is an empty thought, and the answer
    follows."""
    tail = prompt[-_MAX_TAIL:]
    marks = _marks(tail)
    if not marks or not marks[-1][0] or tail[marks[-1][2] :].strip():
        return prompt
    opened = tail[marks[-1][1] : marks[-1][2]]
    closing = next(
        (close for mark, close in _CLOSING.items() if opened.lower().startswith(mark)), f"</{opened.strip('<> ')}>"
    )
    return f"{prompt.rstrip()}\n\n{closing}\n\n"


_CLOSING = {
    "[": "[/THINK]",
    "\u25c1": "\u25c1/think\u25b7",
    "<|channel>": "<channel|>",
    "<|begin_of_": "<|end_of_thought|>",
    "<|start_": "<|END_THINKING|>",
    "<|inner": "<|inner_suffix|>",
    "<start_": "<end_working_out>",
    "<|think": "<|/think|>",
}


def _marks(text: str) -> list[tuple[bool, int, int]]:
    """The marks of a text, in order, as whether they open a thought, and where they stand."""
    marks: list[tuple[bool, int, int]] = []
    reached = 0
    # Trying the places where a mark may begin is many times as fast as a search for one.
    for sign in _SIGN.finditer(text):
        match = _MARK.match(text, sign.start()) if sign.start() >= reached else None
        if match is not None:
            reached = match.end()
            # Of very many, the last one decides where the answer begins.
            del marks[_MAX_MARKS:]
            marks.append((str(match.lastgroup).startswith("open"), *match.span()))
    if not marks:
        for plain in _PLAIN_MARK:
            found = [(match.lastgroup == "open", *match.span()) for match in _some(plain, text)]
            # What opens it is plain words, which a text may have without thinking.
            if found and found[0][0]:
                return found[:1] + found[-1:] if len(found) > 1 else found
    return marks


def _some(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    if text.startswith("analysis") or "thought process:" in text:
        yield from pattern.finditer(text)


def _is_stray(text: str, pieces: list[tuple[bool, int, int]], position: int, start: int, end: int) -> bool:
    """Whether a closing mark without an opening one ends nothing: it comes last, after an answer that follows a
    thought."""
    has_thought = any(is_thought for is_thought, _, _ in pieces)
    return has_thought and not _is_idle(text, position, start) and _is_idle(text, end, len(text))


def _is_idle(text: str, start: int, end: int) -> bool:
    return _IDLE.fullmatch(text, start, end) is not None


def _unwrapped(text: str, start: int, end: int) -> Span:
    """A piece of the answer without the marks around it."""
    head = _HEAD.match(text, start, end)
    start = head.end() if head else start
    tail = _TAIL.search(text, max(start, end - _MAX_TAIL), end) if end == len(text) else None
    return start, tail.start() if tail else end


def _part(text: str, spans: list[Span]) -> Part:
    # A role or special tokens before the thought say nothing.
    spans = [span for span in spans if not _is_idle(text, *span)] or spans[-1:] or [(len(text), len(text))]
    starts, position = [], 0
    for start, end in spans:
        starts.append(position)
        position += end - start + len(_BETWEEN)
    return Part(_BETWEEN.join(text[start:end] for start, end in spans), tuple(spans), tuple(starts))
