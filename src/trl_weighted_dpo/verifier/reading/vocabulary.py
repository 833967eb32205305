"""What words between numbers mean to an expression: an operator, a unit, a name, or the end of it."""

import re

from trl_weighted_dpo.verifier.reading.tokens import GREEK
from trl_weighted_dpo.verifier.reading.units import singular

_SPOKEN_OPERATORS = {
    **dict.fromkeys(("times", "multiplied by", "x", "of", "of the", "of his", "of her", "of their", "of these"), "*"),
    "divided by": "/", "plus": "+", "minus": "-",
}  # fmt: skip
_UNIT_AND_OPERATOR = re.compile(r"(?P<unit>.{1,40}) (?P<operator>times|multiplied by|x|divided by|plus|minus)")
_OPERATOR_ENDS = (" times", " by", " x", " plus", " minus")
_UNIT_AND_VERB = re.compile(r"(?:(?P<unit>[\w ]{1,40}) )?(?:is|are|equals|is equal to|makes|gives)")
_VERB_ENDS = ("is", "are", "equals", "is equal to", "makes", "gives")
_PART_OF = re.compile(
    r"(?:.{1,200} )?(?:(half)|(?:a|one) (third|quarter|fourth|fifth|tenth)) of(?: the)?", re.IGNORECASE
)
_PARTS = {"half": "2", "third": "3", "quarter": "4", "fourth": "4", "fifth": "5", "tenth": "10"}

# After these a number does not begin an expression: the word and the number are one thing.
_BOUND_BEFORE = frozenset({
    "twice", "thrice", "double", "triple", "quadruple", "half", "third", "quarter", "square", "squared", "cube",
    "cubed", "root", "factorial", "log", "ln", "mod", "modulo", "sin", "cos", "tan", "sqrt", "minus", "plus", "times",
    "by", "over", "than", "choose", "dozen", "hundred", "thousand", "million", "billion", "negative", "gcd", "lcm",
    "step", "day", "week", "month", "year", "question", "problem", "equation", "test", "part", "case", "example",
    "option", "number",
})  # fmt: skip
# After these a number belongs to the one before: `8 packs of 5 bags`, `24 eggs in 1 tray`.
_GROUPING = frozenset({
    "of", "with", "at", "in", "per", "containing", "having", "holding", "from", "each", "to",
})  # fmt: skip
_DETERMINERS = frozenset({
    "the", "a", "an", "his", "her", "their", "its", "these", "those", "other", "another",
})  # fmt: skip
_SUMS = frozenset({"total of", "sum of", "rate of", "cost of", "price of", "profit of", "average of"})
# Words between a sign and a number that leave the number what it is.
_QUALIFIERS = frozenset({
    "a", "an", "about", "approximately", "around", "exactly", "just", "nearly", "almost", "only", "roughly", "the",
    "total", "of",
})  # fmt: skip
# Words that begin what is more of the value before them.
_BOUND_AFTER = frozenset({
    "remainder", "r", "mod", "modulo", "million", "billion", "thousand", "thousands", "hundred", "squared", "cubed",
    "factorial", "base", "plus", "minus", "divided", "multiplied", "percentage",
})  # fmt: skip
_BETWEEN_NUMBERS = frozenset(("times", "or", "to", "out of", "over"))
_NOT_IN_UNITS = frozenset({
    "the", "so", "and", "he", "she", "they", "it", "that", "which", "who", "is", "are", "was", "were", "will", "has",
    "have", "had", "if", "then", "when", "because", "since", "total", "remaining", "we", "you", "i", "but", "this",
    "these", "those", "would", "can", "must", "therefore", "thus", "hence", "while", "where", "how", "what", "there",
    "or", "equals", "give", "gives", "giving", "get", "gets", "yield", "yields", "leave", "leaves", "leaving", "make",
    "makes", "become", "becomes", "result", "results", "lead", "leads", "mean", "means", "implies", "equation",
})  # fmt: skip
_COMPOUND = frozenset({
    "hour", "minute", "day", "week", "month", "year", "foot", "yard", "dollar", "lb", "mile", "m", "kg", "gallon",
    "quart", "cup",
})  # fmt: skip
_SHORT_UNITS = frozenset({
    "cm", "mm", "km", "kg", "mg", "ml", "hr", "hrs", "min", "sec", "mph", "oz", "lb", "lbs", "ft", "in", "yd", "gb",
    "mb", "kb", "am", "pm",
})  # fmt: skip
_MAX_UNIT_WORDS = 4
_LETTERS = GREEK | {"pi"}

FREE_BEFORE = frozenset({
    "so", "is", "are", "was", "were", "has", "have", "had", "since", "that", "means", "because", "then", "thus",
    "therefore", "hence", "get", "gets", "if", "equals", "where", "costs", "makes", "gives", "now", "only", "about",
    "approximately",
})  # fmt: skip
"""Only after these, or at the start of a clause, is a lone number before a sign a value and no number of something."""

_FREE_BEFORE_VERB = frozenset({
    "so", "since", "that", "because", "then", "thus", "therefore", "hence", "now",
})  # fmt: skip

_NEW_LABEL = re.compile(r"(?<=[a-z)]) (?=[A-Z][a-z])")


def new_label(text: str) -> re.Match[str] | None:
    """The blank after which a word with a capital follows others: text without its line breaks goes on with another
    label there."""
    return None if text.islower() else _NEW_LABEL.search(text)


def is_name(word: str) -> bool:
    """Whether a word is the name of a quantity: one letter, with digits or a subscript or without, or a Greek one."""
    return len(word) == 1 or word[1:2] == "_" or word in _LETTERS or word[1:].isdigit()


def is_operand_name(word: str) -> bool:
    """The same where an operand is expected, where a few capitals are a name too: `AB`."""
    return is_name(word) or (len(word) <= 3 and word.isupper())


def is_unit(text: str) -> bool:
    """Whether words after a number can be its unit: few, none that begins another clause, none with a capital."""
    words = text.split(" ")
    if len(words) > _MAX_UNIT_WORDS or (len(words) > 1 and len(words[-1]) == 1):
        # `5 gives x - 8`: a letter after words is a name.
        return False
    if not _NOT_IN_UNITS.isdisjoint(words):
        return False
    return text.islower() or not any(word[0].isupper() and word[1:].islower() for word in words)


def is_odd_suffix(word: str) -> bool:
    """Whether letters glued to a number are neither a unit nor a name that can be told: `3xh`."""
    return len(word) <= 3 and word.lower() not in _SHORT_UNITS


def is_ordinal(text: str) -> bool:
    """Whether words glued to a number make it an ordinal: `2nd floor`."""
    return text[:2].lower() in ("st", "nd", "rd", "th") and text[2:3] in ("", " ")


def spoken_operator(text: str, after_share: bool) -> str | None:
    """The operator that words between two operands say, a unit before it or none; `of` only after a share."""
    operator = _SPOKEN_OPERATORS.get(text)
    if operator is not None:
        return operator if after_share or not text.startswith("of") else None
    if not text.endswith(_OPERATOR_ENDS):
        return None
    match = _UNIT_AND_OPERATOR.fullmatch(text)
    return _SPOKEN_OPERATORS[match["operator"]] if match is not None and is_unit(match["unit"]) else None


def is_verb(text: str) -> bool:
    """Whether words between two operands equate them: `3 times 4 is 12`, `2 plus 3 apples makes 5`."""
    if not text.endswith(_VERB_ENDS):
        return False
    match = _UNIT_AND_VERB.fullmatch(text)
    return match is not None and (match["unit"] is None or is_unit(match["unit"]))


def leaves_verb_free(words: str) -> bool:
    """Whether a computation after these words stands for itself in `... is 12`, and is no part of what they say."""
    return not words or words.rpartition(" ")[2].lower() in _FREE_BEFORE_VERB


def leaves_number_free(words: str) -> bool:
    """Whether a lone number after these words and before a sign is a value: not in `Day 1 = ...`."""
    return words.rpartition(" ")[2].lower() in FREE_BEFORE or names_factors(words)


def names_factors(words: str) -> bool:
    """`the prime factorization of`, after which a number `is` a product."""
    return words.lower().endswith(("factorization of", "factorisation of"))


def part_of(text: str) -> tuple[int, str] | None:
    """Where `half of` or the like begins at the end of `text`, and the denominator of the part; `None` without it."""
    if not text.endswith((" of", " of the", "of")):
        return None
    match = _PART_OF.fullmatch(text)
    if match is None:
        return None
    group = 1 if match[1] else 2
    return match.start(group), _PARTS[match[group].lower()]


def is_bound(words: str) -> bool:
    """Whether a number after these words is no operand of its own: `twice 5`, `log_2 8`, `Day 1`, `weeks 1-2`."""
    word = words.rpartition(" ")[2].lower().partition("_")[0]
    return word in _BOUND_BEFORE or (word[-1:] == "s" and singular(word) in _BOUND_BEFORE)


def groups(words: str) -> bool:
    """Whether these words between two numbers make them one quantity: `8 packs of 5 bags`."""
    last = words.rpartition(" ")[2].lower()
    if last not in _GROUPING and last not in _DETERMINERS:
        return False
    pair = [word for word in words.lower().split(" ") if word not in _DETERMINERS][-2:]
    return bool(pair) and pair[-1] in _GROUPING and " ".join(pair) not in _SUMS


def qualifies(words: str) -> bool:
    """Whether words between a sign and a number leave the number what it is: `= about 5`."""
    return _QUALIFIERS.issuperset(words.lower().split(" "))


def goes_on(text: str, before_number: bool) -> bool:
    """Whether words after a value are more of it: `3 remainder 1`, `2 million`, `5 or 6`, `2 and a half`."""
    first = text.partition(" ")[0]
    return (
        first in _BOUND_AFTER
        or (before_number and text in _BETWEEN_NUMBERS)
        or (first == "and" and text.startswith(("and a half", "and a quarter", "and a third", "and one half")))
    )


def joins(text: str) -> bool:
    """Whether a unit and words before another number make one quantity of both: `2 hours and 30 minutes`."""
    unit, _, rest = text.partition(" ")
    return rest in ("", "and") and singular(unit) in _COMPOUND
