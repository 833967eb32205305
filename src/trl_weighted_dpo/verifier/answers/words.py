"""Words that say the same: abbreviations, other forms of a word, yes and true."""

_GROUPS = (
    "january|jan", "february|feb", "march|mar", "april|apr", "may", "june|jun", "july|jul", "august|aug",
    "september|sep|sept", "october|oct", "november|nov", "december|dec",
    "monday|mon", "tuesday|tue|tues", "wednesday|wed", "thursday|thu|thur|thurs", "friday|fri", "saturday|sat",
    "sunday|sun",
    "north|n", "south|s", "east|e", "west|w", "northeast|ne|north east", "northwest|nw|north west",
    "southeast|se|south east", "southwest|sw|south west",
    "yes|y|true|t|correct", "no|n|false|f|incorrect|not true",
    "converges|convergent|converge|it converges|the series converges|is convergent",
    "diverges|divergent|diverge|it diverges|the series diverges|is divergent|does not converge",
    "increasing|increases|increase", "decreasing|decreases|decrease",
    "undefined|not defined|does not exist|dne|doesn t exist",
    "no solution|no solutions|none|empty set|emptyset|the empty set|no real solutions|no real solution|"
    "there are no solutions|there is no solution|no such number|no such numbers",
    "infinite|infinity|infinitely many|infinitely many solutions|infinite solutions|unbounded",
    "impossible|not possible|cannot be done", "possible",
    "noon|12 noon|midday", "midnight",
    "male|m|boy", "female|girl",
    "left|l", "right|r", "odd", "even", "heads|head|h", "tails|tail",
    "equal|the same|same|they are equal|equal to", "neither", "both",
    "linear|linearly", "quadratic", "exponential|exponentially", "rational", "irrational", "prime", "composite",
    "isosceles", "equilateral", "scalene", "acute", "obtuse", "parallel", "perpendicular|orthogonal",
    "symmetric|symmetrical", "one to one|injective", "onto|surjective", "continuous", "discontinuous|not continuous",
    "independent", "dependent|not independent", "positive", "negative", "red", "blue",
)  # fmt: skip
_MEANINGS: dict[str, frozenset[int]] = {}
for _index, _group in enumerate(_GROUPS):
    for _phrase in _group.split("|"):
        _MEANINGS[_phrase] = _MEANINGS.get(_phrase, frozenset()) | {_index}

_YES, _NO = _MEANINGS["yes"], _MEANINGS["no"] & _MEANINGS["false"]
_ENDINGS = (
    "ences", "ence", "ances", "ance", "ents", "ent", "ants", "ant", "ings", "ing", "ically", "ical", "ally", "ied",
    "ies", "ed", "es", "ly", "al", "ic", "ous", "ions", "ion", "er", "s", "e", "y",
)  # fmt: skip
_MIN_STEM = 4


def same_meaning(first: str, second: str) -> bool | None:
    """Whether two lower-cased answers in words are forms of one answer; `None` if both may be."""
    if first == second:
        return True
    meanings = _MEANINGS.get(first), _MEANINGS.get(second)
    if meanings[0] and meanings[1]:
        same = bool(meanings[0] & meanings[1])
        # "No" may stand for "no solution".
        return None if not same and (first.startswith(f"{second} ") or second.startswith(f"{first} ")) else same
    for meaning, said in ((meanings[0], second), (meanings[1], first)):
        # "No, it is composite."
        start = _MEANINGS.get(said.partition(" ")[0], frozenset())
        if meaning and " " in said and start & (_YES | _NO) and meaning & (_YES | _NO):
            return _agrees(meaning, start, said)
    if " " not in first and " " not in second and _stem(first) == _stem(second):
        return None
    return None if " " in first or " " in second or sorted(first) == sorted(second) else False


def _agrees(meaning: frozenset[int], start: frozenset[int], said: str) -> bool | None:
    both = any(_MEANINGS.get(word, frozenset()) & (_YES | _NO) - start for word in said.split()[1:])
    return None if both else bool(meaning & start)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word[: -len(ending)]
    return word
