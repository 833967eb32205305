"""Whether what a solution has derived leads to the reference answer.

Other routes than the reference's are allowed: a value counts as on the way if a value of the reference, or the
reference answer, is derived from it, or is one step away from the values that the solution ends with.
"""

from collections.abc import Sequence, Set
from enum import Enum
from fractions import Fraction
from functools import lru_cache

from trl_weighted_dpo.verifier.routes.known import Route, approximate, key, shape_of
from trl_weighted_dpo.verifier.routes.tracing import MAX_COMPARED, Derived, Trace

MAX_VALUES = 16
"""Values of each kind from which one more step is tried."""


class End(Enum):
    """How the reference answer follows from where a solution ends."""

    HERE = "the reference's last step can be done, and nothing else is open"
    LATER = "by the reference's last step, which takes several operations"
    NEAR = "by one operation on what is open and a number of the problem that was not used yet"
    ROUND_ABOUT = "by one operation on what is open and a number that was used already"
    FAR = "by one operation on the last value, which leaves other values unused"
    NOWHERE = "by no single operation on the last value"


def on_the_way(derived: Sequence[Derived], route: Route) -> tuple[bool, ...]:
    """For each derived value, whether it is a computed value of the reference, or a later one that is comes from it."""
    found = [False] * len(derived)
    origins: dict[Fraction | int, int] = {}
    for index, item in enumerate(derived):
        origins[key(_magnitude(item.exact))] = origins[key(_magnitude(item.value))] = index
    for index in range(len(derived) - 1, -1, -1):
        item = derived[index]
        # A computation that comes to a value of the reference clears what it was computed from, even if it was then
        # carried out wrongly.
        if matches(item.exact, route.computed, item.places):
            found[index] = True
            for operand in item.operands:
                source = origins.get(key(operand))
                if source is not None and source < index:
                    found[source] = True
    return tuple(found)


def _magnitude(value: Fraction) -> Fraction:
    return value if value.numerator >= 0 else -value


def source_of(index: int, trace: Trace, route: Route) -> int:
    """Where a wrong value comes from: `index`, or the earlier computation of a number that it has in another's place.

    A computation that differs from one of the reference's in a single number, which stands for a result that the
    solution never reaches, was rightly set up; what is wrong is how its number was come by. That is looked for in
    turn, up to a computation that is none of the reference's.
    """
    derived = trace.derived[:MAX_COMPARED]
    if index >= len(derived):
        return index
    for _ in range(MAX_VALUES):
        numbers, names = shape_of(derived[index].node)
        earlier = None
        for _, (others, other_names) in route.shapes:
            if names == other_names and (pair := _only_difference(numbers, others)) is not None:
                mine, right = pair
                if right in route.results and not any(right in (item.value, item.exact) for item in derived[:index]):
                    earlier = _origin(mine, index, derived, route)
                    if earlier is not None:
                        break
        if earlier is None:
            return index
        index = earlier
    return index


def reached_at(target: Fraction, trace: Trace, route: Route | None) -> int | None:
    """The index of the computation that comes to the reference answer, where that is no value on the way to it too."""
    times = 1 if route is None else max(1, sum(result == target for result, _ in route.shapes))
    step = -1
    for index, item in enumerate(trace.derived):
        if item.step != step and target in (item.value, item.exact):
            step = item.step
            times -= 1
            if not times:
                return index
    return None


def _origin(value: Fraction, index: int, derived: Sequence[Derived], route: Route) -> int | None:
    """The last computation before `index` that comes to `value` and is none of the reference's, or that does one of
    them once more."""
    left = [shape for result, shape in route.shapes if result == value]
    repeated, step = None, -1
    for position, item in enumerate(derived[:index]):
        if value in (item.value, item.exact) and item.step != step:
            step = item.step
            shape = shape_of(item.node)
            if shape in left:
                left.remove(shape)
            else:
                repeated = position
    return repeated


def _only_difference(numbers: Sequence[Fraction], others: Sequence[Fraction]) -> tuple[Fraction, Fraction] | None:
    """The one number of the first that is another one in the second, and that other one."""
    if len(numbers) != len(others) or len(numbers) > MAX_VALUES:
        return None
    left, mine = list(others), []
    for number in numbers:
        if number in left:
            left.remove(number)
        else:
            mine.append(number)
    return (mine[0], left[0]) if len(mine) == 1 else None


def matches(value: Fraction, values: Set[Fraction | int], places: int) -> bool:
    """Whether `value`, or it as a percentage or share up to 200 %, is one of `values`, to the decimals it shows."""
    exact = key(value)
    if exact in values or -exact in values:
        return True
    size = _magnitude(value)
    if (size <= 2 and key(100 * value) in values) or (size <= 200 and key(value / 100) in values):
        return True
    if value.denominator == 1 or len(values) > MAX_COMPARED:
        return False
    near = approximate(value)
    tolerance = max(0.51 * 10.0**-places if places else 0.0, 1e-6 * abs(near))
    return any(abs(approximate(other) - near) <= tolerance for other in values)


def end_of(
    target: Fraction, trace: Trace, route: Route, given: Sequence[Fraction], constant: frozenset[Fraction]
) -> End:
    """How far from where a solution ends the reference answer is.

    What the solution has derived and not used yet is open: one value, or several, which are added, subtracted from one
    of them or, if two, multiplied or divided. Where nothing is open, the numbers of the problem take its place.

    Args:
        target (`Fraction`): The reference answer.
        trace (`Trace`): The solution.
        route (`Route`): The reference solution.
        given (`Sequence[Fraction]`): The numbers of the problem.
        constant (`frozenset[Fraction]`): The constants that its words bring.
    """
    goal = approximate(target)
    derived = [approximate(item.value) for item in trace.derived[-MAX_VALUES:]]
    claims = [approximate(claim.mention.value) for claim in trace.claims[-4:]]
    unused = {_rounded(approximate(value)) for value in given[:MAX_VALUES] if key(value) not in trace.used}
    others = {_rounded(approximate(value)) for value in given[:MAX_VALUES]}
    others.update(map(_rounded, (*derived, *claims)))
    constants = {_rounded(approximate(value)) for value in constant}
    last = derived[-1:] or claims[-1:] or sorted(others)
    is_one_step = any(_one_step(value, others | constants, goal) for value in last)
    if route.ending <= trace.used and {key(_magnitude(value)) for value in trace.opened} <= route.last_operands:
        return End.HERE if is_one_step else End.LATER
    if not is_one_step:
        return End.NOWHERE
    starts = _merged([approximate(value) for value in trace.opened[-MAX_VALUES:]])
    fresh = unused | ({_rounded(sum(unused))} if len(unused) > 1 else set())
    if any(_rounded(value) == _rounded(goal) for value in starts):
        return End.NEAR
    if any(_one_step(value, fresh, goal) for value in starts or sorted(unused)):
        return End.NEAR
    if any(_one_step(value, others, goal) for value in starts or sorted(others)):
        return End.ROUND_ABOUT
    return End.FAR


def _merged(opened: list[float]) -> list[float]:
    if len(opened) < 2:
        return opened
    total = sum(opened)
    merged = [total, *(abs(2 * value - total) for value in opened)]
    if len(opened) == 2:
        low, high = sorted(opened)
        merged.append(low * high)
        if low and high:
            merged += [high / low, low / high]
    return merged


def _one_step(value: float, others: set[float], goal: float) -> bool:
    wanted = [goal - value, value - goal, goal + value]
    if value:
        wanted.append(goal / value)
        wanted.append(goal * value)
    if goal:
        wanted.append(value / goal)
    return any(_rounded(other) in others for other in wanted)


@lru_cache(maxsize=4096)
def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
