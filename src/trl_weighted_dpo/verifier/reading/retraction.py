"""Answers that are denied where they are given, or taken back after."""

import re

from trl_weighted_dpo.verifier.reading.languages import RETRACTS, alternatives
from trl_weighted_dpo.verifier.reading.values import VALUE

_MAX_REST = 3_000
_MAX_BEFORE = 60
_MAX_WORDS_BEFORE = 6
_WORD_START = re.compile(r"(?<![\w'])\w")

# What takes an answer back in so many words.
_TAKES_BACK = (
    r"(?:that|this|it|which|answer|result|value|above)(?: (?:is|was|seems|looks|must be)|'s) (?:\w+ )?"
    r"(?:wrong|incorrect|false|mistaken|off|not (?:right|correct|it|the answer))",
    r"(?:that|this|it|which|answer|result|value|above)(?: (?:is|was) ?not| (?:is|was)n't| can(?:no|')t be)"
    r"(?: (?:right|correct|it|possible|the (?:right |correct )?answer)\b|(?=[.!,]))",
    r"(?:i|we)(?: have|'ve)? (?:\w+ )?(?:made|make|see) (?:a|an|my|the|our) (?:\w+ )?(?:mistake|error|slip)",
    r"there(?: is|'s| was) (?:a|an) (?:\w+ )?(?:mistake|error) in (?:my|the|our|this|that)",
    r"(?:i|we) (?:mis(?:calculated|counted|read|took|stated|added|understood|applied)|messed up|forgot)",
    r"(?:i|we) (?:was|were) wrong",
    r"(?:oops|whoops|scratch that|strike that|never ?mind|my (?:bad|mistake|error)|disregard that|ignore that)",
    r"(?:wait|hmm|hold on|actually)\W{1,4}(?:no\b|that(?:'s| is| was) (?:wrong|not|incorrect)|i (?:made|was|mis))",
    r"(?:correction|corrected answer|erratum|edit) ?:",
    r"(?:i|we) take (?:that|it|this) back",
    r"(?:i )?(?:apologi[sz]e|sorry)\b[^.\n]{0,60}(?:mistake|error|confusion|wrong|should|correct)",
    r"let(?: me| us|'s) (?:fix|correct|redo|recompute|recalculate|start over|rework)",
)
# What may go on to another answer, or to the same one.
_RECONSIDERS = (
    r"wait|hmm+|hold on|actually|no|nope|on second thought|rather|instead",
    r"(?:it|this|that|answer|which) (?:should|must|ought to) (?:actually |really |instead )?(?:be|have been)",
    r"i (?:meant|mean)|let me (?:re-?check|double[ -]?check|reconsider|try again|think again)",
    r"(?:wrong|incorrect|mistake|error)",
    r"(?:but|however)\b[^.\n]{0,60}\b(?:not|\w+n't|cannot|invalid|impossible|contradict\w*|reject\w*|violat\w*)",
)
_LETTERS = r"A-Za-z\u00c0-\u06ff\u0900-\u097f"
_HARD = re.compile(r"(?<!\w)(?:" + "|".join(_TAKES_BACK) + ")", re.IGNORECASE)
_SOFT = re.compile(
    r"(?<!\w)(?:" + "|".join(_RECONSIDERS) + rf")(?!\w)|(?<![{_LETTERS}]){alternatives(RETRACTS)}(?![{_LETTERS}])",
    re.IGNORECASE,
)
_AT_ONCE = re.compile(
    r"[\s$*)\]}.\\]{0,8}(?:\?|\(?(?:is|are|was|would be|seems|looks) (?:\w+ )?(?:wrong|incorrect|false|not\b)|isn't\b"
    r"|would (?:be|have been)\b"
    r"|\(?(?:wrong|incorrect)\b|[\u274c\u2717\u2718])",
    re.IGNORECASE,
)
_CONFIRMS = re.compile(
    r"\b(?:is|are|was) (?:indeed |in fact |also |still )?(?:right|correct|confirmed|verified|consistent)\b"
    r"|\b(?:checks out|matches|confirmed|verified|yes)\b|[\u2713\u2714\u2705]",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r"(?:(?:not|cannot|never|except|neither|nor|(?:rather|other) than|instead of|different from|unequal to"
    r"|(?:anything|everything|nothing|all) but)|\w+n't)"
    r"(?: (?:be|equal|equals|equal to|exactly|simply|just|the|going to be))*[\s$*:\\(\[]{0,6}$"
    r"|(?:(?:negative|minus|plus or minus|twice|double|triple|half(?: of)?|times|(?:divided|multiplied|divisible) by"
    r"|(?:the |a )?(?:squares?|cubes?|(?:square|cube) roots?|roots?|reciprocals?|inverse|opposite|factors?|multiples?"
    r"|thirds?|quarters?|fourths?|fifths?|tenths?|negative|logarithm|log|factorial|remainder) of))[\s$*:\\(\[]{0,6}$",
    re.IGNORECASE,
)
_WRONG_ANSWER = re.compile(
    r"\b(?:wrong|incorrect|false|mistaken|tempting|erroneous|naive) (?:final )?(?:answer|result|value)s?\b"
    r"[^.\n]{0,20}$",
    re.IGNORECASE,
)
_DOUBTED_ANSWER = re.compile(
    r"\b(?:not (?:true|the case)|false|wrong|doubt|deny|(?:do|did|does|can)(?:n't| not|not) (?:think|believe|say|mean))"
    r" (?:to (?:say|think|claim|assume) )?(?:that )?(?:the )?(?:final )?$"
    r"|\b(?:might|may|could|would) (?:\w+ )?(?:think|guess|assume|expect|say) (?:that )?(?:the )?(?:final )?$",
    re.IGNORECASE,
)


def is_denied(text: str, start: int, phrase: tuple[int, int] | None = None) -> bool:
    """Whether what stands before an answer at `start`, or before the phrase that announces it, says that it is not the
    answer, or that the answer is something else that is made of it."""
    window = text[max(0, start - _MAX_BEFORE) : start]
    words = [match.start() for match in _WORD_START.finditer(window)]
    if any(_DENIED_BEFORE.match(window, word) for word in words[-_MAX_WORDS_BEFORE:]):
        return True
    if phrase is None:
        return False
    low = max(0, phrase[0] - _MAX_BEFORE)
    return bool(_WRONG_ANSWER.search(text[low : phrase[1]]) or _DOUBTED_ANSWER.search(text[low : phrase[0]]))


def is_taken_back(text: str, start: int, end: int) -> bool:
    """Whether what follows the answer between `start` and `end` takes it back: in so many words, or by thinking again
    and coming to another number."""
    rest = text[end : end + _MAX_REST]
    if not rest:
        return False
    if _AT_ONCE.match(rest):
        return True
    if not any(map(str.isalpha, rest)):
        return False
    hard = _HARD.search(rest)
    if hard is not None:
        return not _is_confirmed(rest[hard.end() :])
    soft = _SOFT.search(rest)
    if soft is None:
        return False
    values = [match.group() for match in VALUE.finditer(rest, soft.end())]
    if not values:
        return False
    return _digits(values[-1]) not in {_digits(match.group()) for match in VALUE.finditer(text, start, end)}


def _is_confirmed(rest: str) -> bool:
    sentences = re.split(r"(?<=[.!?])\s+", rest.strip())
    return _CONFIRMS.search(sentences[-1]) is not None and "not" not in sentences[-1].lower()


def _digits(value: str) -> str:
    return re.sub(r"\.0+$", "", re.sub(r"[^\d./-]", "", value)).strip("./")
