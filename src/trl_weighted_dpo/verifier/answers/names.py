"""Expressions that differ in what may be chosen freely: the name of a constant or of a variable, the base of `log`."""

from collections.abc import Mapping
from itertools import permutations

from trl_weighted_dpo.verifier.answers.scalars import Decide, Decision, correct, names, undecided
from trl_weighted_dpo.verifier.profile import Verdict
from trl_weighted_dpo.verifier.reading.grammar import Name, Node, Operation
from trl_weighted_dpo.verifier.reading.structure import Quantity

_CONSTANTS = frozenset({"C", "c", "K", "k", "D", "d", "C_1", "c_1", "C_0", "c_0", "const", "constant"})
_LETTERS_OF_CONSTANTS = frozenset("ABCDKck")
_FIXED = frozenset({"pi", "e", "i", "infinity", "emptyset"})
_MAX_RENAMED = 3


def other_names(reference: Quantity, found: Quantity, decide: Decide) -> Decision | None:
    """Decides two quantities that differ as they are written: equal up to the name of an added constant, or undecided
    if other names, or the natural logarithm for `log`, make them equal. `None` if none does."""
    if reference.percent != found.percent or reference.scale != found.scale:
        return None
    first, second = reference.node, found.node
    constant, other = _added_constant(first), _added_constant(second)
    if constant and other and constant != other and _equal(first, renamed(second, {other: constant}), decide):
        return correct("same up to the constant's name")
    if (_has_log(first) or _has_log(second)) and _equal(_natural(first), _natural(second), decide):
        return undecided("base of the logarithm")
    only_first = sorted(set(names(first)) - set(names(second)) - _FIXED)
    only_second = sorted(set(names(second)) - set(names(first)) - _FIXED)
    if not 0 < len(only_first) == len(only_second) <= _MAX_RENAMED:
        return None
    if not all(map(_is_constant, (*only_first, *only_second))) or _is_word(first) or _is_word(second):
        return None
    for others in permutations(only_first):
        if _equal(first, renamed(second, dict(zip(only_second, others, strict=True))), decide):
            return undecided("names differ")
    return None


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """Returns a tree with other names."""
    if isinstance(node, Name):
        return Name(names.get(node.text, node.text))
    if isinstance(node, Operation):
        return Operation(node.name, tuple(renamed(operand, names) for operand in node.operands))
    return node


def _equal(first: Node, second: Node, decide: Decide) -> bool:
    return decide(first, second).verdict is Verdict.CORRECT


def _added_constant(node: Node) -> str | None:
    """The name that is added to the rest of a sum and occurs nowhere else in it, if it is one of a constant."""
    if not isinstance(node, Operation) or node.name != "+":
        return None
    added = [operand.text for operand in node.operands if isinstance(operand, Name) and operand.text in _CONSTANTS]
    return added[0] if len(added) == 1 and list(names(node)).count(added[0]) == 1 else None


def _is_constant(name: str) -> bool:
    return name.partition("_")[0] in _LETTERS_OF_CONSTANTS or name in _CONSTANTS


def _is_word(node: Node) -> bool:
    """Whether a tree is nothing but letters side by side, such as the name of a segment."""
    return isinstance(node, Name) or (
        isinstance(node, Operation) and node.name == "*" and all(isinstance(part, Name) for part in node.operands)
    )


def _has_log(node: Node) -> bool:
    if not isinstance(node, Operation):
        return False
    return (node.name == "log" and len(node.operands) == 1) or any(map(_has_log, node.operands))


def _natural(node: Node) -> Node:
    """The tree with the natural logarithm for each `log` without a base."""
    if not isinstance(node, Operation):
        return node
    operands = tuple(map(_natural, node.operands))
    return Operation("ln" if node.name == "log" and len(operands) == 1 else node.name, operands)
