"""Word problems like GSM8K's, with exact solutions, and the misconceptions that can be planted into them.

A problem is a list of events, each told by one sentence: buying, losing, packs of several, comparing and pooling,
splitting, and sentences with a number that has nothing to do with the question. A solution has one equation on each
line and ends with `#### N`. Everything follows from the seed.
"""

import itertools
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMES = (
    *(("Tom", "He", "him"), ("Sam", "He", "him"), ("Ben", "He", "him"), ("Leo", "He", "him"), ("Max", "He", "him")),
    *(
        ("Ann", "She", "her"),
        ("Mia", "She", "her"),
        ("Eva", "She", "her"),
        ("Zoe", "She", "her"),
        ("Ida", "She", "her"),
    ),
)
THINGS = ("apples", "books", "coins", "cards", "pens", "shells", "stamps", "eggs", "beads", "nuts")

MISCONCEPTIONS = ("loses_as_gain", "counts_distractor", "forgets_to_sum", "fewer_as_more")
"""Read "loses" as plus; add a number that is told beside; compare without putting together; read "fewer" as "more".
Each gives equations that are right and an answer that is not."""
TEMPTING = {
    "loses_as_gain": {"lose"},
    "counts_distractor": {"distractor"},
    "forgets_to_sum": {"more", "fewer", "times"},
    "fewer_as_more": {"fewer"},
}
"""Kinds of events that a misconception can be held at."""
Misconceptions = Collection[str] | Mapping[int, Collection[str]]
"""Held throughout, or those held at single events, by their place."""

# {x} and {y} are an event's numbers, {name}, {He} and {him} the person, {friend} another, {thing} what is counted.
SENTENCES = {
    "gain": ("{He} buys {x} more.", "{He} finds {x} more.", "{friend} gives {him} {x} more.", "{He} wins {x} {thing}."),
    "give": ("{He} gives {x} to {friend}.", "{He} sells {x}.", "{friend} takes {x} of them."),
    "lose": ("{He} loses {x}.", "Then {name} loses {x} {thing}."),
    "grow": ("Then the number grows to {x} times as many.", "{He} works until there are {x} times as many."),
    "split": (
        "{He} splits them into {x} equal boxes and keeps one box.",
        "{He} shares them equally among {x} bags and takes one bag.",
    ),
    "packs_in": ("{He} buys {x} packs of {y} {thing} each.", "{friend} brings {x} boxes with {y} {thing} in each."),
    "packs_out": ("{He} sells {x} bags of {y} {thing} each.", "{He} gives away {x} packs of {y}."),
    "more": (
        "{friend} has {x} more than {name} and they put all together.",
        "{friend} has {x} more {thing} than that, and they count both.",
    ),
    "fewer": (
        "{friend} has {x} fewer than {name} and they put all together.",
        "{friend} has {x} fewer {thing} than that, and they count both.",
    ),
    "times": ("{friend} has {x} times as many as {name} and they put all together.",),
    "distractor": ("{friend} is {x} years old.", "The trip takes {x} minutes.", "{friend} has {x} toys too."),
}  # fmt: skip
QUESTIONS = ("How many {thing} does {name} have now?", "How many {thing} are there now?")


@dataclass(frozen=True)
class Event:
    """What one sentence tells: its kind, a key of `SENTENCES`, its numbers and which sentence of the kind it is."""

    kind: str
    x: int
    y: int = 0
    wording: int = 0


@dataclass(frozen=True)
class Difficulty:
    """Bounds of a problem.

    Attributes:
        steps (`tuple[int, ...]`): How many equations its solution has; drawn from these.
        largest (`int`): No number of the solution is above it.
        largest_told (`int`): No number of a sentence is above it.
    """

    steps: tuple[int, ...]
    largest: int
    largest_told: int


BASIC = Difficulty(steps=(2, 2, 3, 3, 4), largest=199, largest_told=60)
"""What the base model is trained on. Pools and test problems are of this kind."""
LARGER = Difficulty(steps=(2, 2, 3, 3, 4), largest=249, largest_told=75)
"""What SFT trains on: the model does not quite keep up, and makes slips."""
HARDER = Difficulty(steps=(4, 5), largest=299, largest_told=90)
"""Longer chains and larger numbers than any that are trained on."""


@dataclass(frozen=True)
class Problem:
    """A word problem: who, what is counted, how many at first, and what happens."""

    person: int
    friend: int
    thing: str
    start: int
    events: tuple[Event, ...]
    question: int

    @property
    def text(self) -> str:
        name, he, him = NAMES[self.person]
        words = {"name": name, "He": he, "him": him, "friend": NAMES[self.friend][0], "thing": self.thing}
        told = [f"{name} has {self.start} {self.thing}."]
        for event in self.events:
            told.append(SENTENCES[event.kind][event.wording].format(x=event.x, y=event.y, **words))
        return " ".join([*told, QUESTIONS[self.question].format(**words)])

    def equations(self, misconceptions: Misconceptions = ()) -> list[tuple[int, str, int, int]]:
        """The solution's equations, with misconceptions throughout or at some events; all are right as equations.

        Raises:
            `ValueError`: If a misconception makes a result below 1, or a fraction.
        """
        current, done = self.start, []

        def calculate(left: int, operator: str, right: int) -> int:
            result = {"+": left + right, "-": left - right, "*": left * right}.get(operator)
            if result is None:
                result, rest = divmod(left, right)
                if rest:
                    raise ValueError(f"{left} is no multiple of {right}")
            if result < 1:
                raise ValueError(f"{left}{operator}{right} is {result}")
            done.append((left, operator, right, result))
            return result

        for place, event in enumerate(self.events):
            held = misconceptions.get(place, ()) if isinstance(misconceptions, Mapping) else misconceptions
            match event.kind:
                case "gain":
                    current = calculate(current, "+", event.x)
                case "give":
                    current = calculate(current, "-", event.x)
                case "lose":
                    current = calculate(current, "+" if "loses_as_gain" in held else "-", event.x)
                case "grow":
                    current = calculate(current, "*", event.x)
                case "split":
                    current = calculate(current, "/", event.x)
                case "packs_in" | "packs_out":
                    packed = calculate(event.x, "*", event.y)
                    current = calculate(current, "+" if event.kind == "packs_in" else "-", packed)
                case "more" | "fewer" | "times":
                    is_less = event.kind == "fewer" and "fewer_as_more" not in held
                    operator = "*" if event.kind == "times" else "-" if is_less else "+"
                    other = calculate(current, operator, event.x)
                    current = other if "forgets_to_sum" in held else calculate(current, "+", other)
                case "distractor":
                    if "counts_distractor" in held:
                        current = calculate(current, "+", event.x)
        return done

    @property
    def answer(self) -> int:
        return self.equations()[-1][3]

    def solution(self, misconceptions: Misconceptions = ()) -> str:
        """The solution as text; `ValueError` as for [`equations`]."""
        equations = self.equations(misconceptions)
        lines = [f"{left}{operator}{right}={result}" for left, operator, right, result in equations]
        return "\n".join([*lines, f"#### {equations[-1][3]}"])

    @property
    def temptations(self) -> list[str]:
        """The misconceptions that would change this problem's solution."""
        kinds = {event.kind for event in self.events}
        return [name for name in MISCONCEPTIONS if kinds & TEMPTING[name]]

    def misreadings(self) -> Iterator[str]:
        """Every solution with misconceptions at some of the events, as a model that holds them now and then writes."""
        choices = []
        for event in self.events:
            tempting = [name for name in MISCONCEPTIONS if event.kind in TEMPTING[name]]
            sizes = range(len(tempting) + 1)
            choices.append([held for size in sizes for held in itertools.combinations(tempting, size)])
        for held in itertools.product(*choices):
            if any(held):
                try:
                    yield self.solution(dict(enumerate(held)))
                except ValueError:
                    continue

    def row(self, identity: str) -> dict[str, Any]:
        """A problem row, with how many equations its solution has as `level`."""
        return {
            "id": identity,
            "problem": self.text,
            "reference_answer": str(self.answer),
            "reference_solution": self.solution(),
            "level": len(self.equations()),
        }


def problems(seed: int, difficulty: Difficulty = BASIC, without: Collection[str] = ()) -> Iterator[Problem]:
    """Endless different problems, none of whose texts is in `without`."""
    rng = random.Random(seed)
    seen = set(without)
    while True:
        problem = _draw(rng, difficulty)
        if problem.text not in seen:
            seen.add(problem.text)
            yield problem


def problem_sets(wanted: Mapping[str, tuple[int, int, Difficulty]]) -> dict[str, list[Problem]]:
    """Sets of problems, by name, without a text in common; each by how many, from which seed and of which kind."""
    taken: set[str] = set()
    sets = {}
    for name, (count, seed, difficulty) in wanted.items():
        sets[name] = list(itertools.islice(problems(seed, difficulty, taken), count))
        taken |= {problem.text for problem in sets[name]}
    return sets


def _draw(rng: random.Random, difficulty: Difficulty) -> Problem:
    person, friend = rng.sample(range(len(NAMES)), 2)
    start = current = rng.randint(4, difficulty.largest_told)
    wanted, equations = rng.choice(difficulty.steps), 0
    events: list[Event] = []
    while equations < wanted:
        kinds = ["gain", "give", "lose", "grow", "split"]
        if wanted - equations >= 2:
            kinds += ["packs_in", "packs_out", "more", "fewer", "times"]
        event = _event(rng, rng.choice(kinds), current, difficulty)
        trial = Problem(person, friend, "", current, (event,), 0) if event else None
        try:
            done = trial.equations() if trial else []
        except ValueError:
            continue
        if not done or max(result for *_, result in done) > difficulty.largest:
            continue
        assert event is not None
        events.append(event)
        equations, current = equations + len(done), done[-1][3]
    if rng.random() < 0.25:
        wording = rng.randrange(len(SENTENCES["distractor"]))
        events.insert(rng.randint(0, len(events)), Event("distractor", rng.randint(5, 60), wording=wording))
    return Problem(person, friend, rng.choice(THINGS), start, tuple(events), rng.random() < 0.25)


def _event(rng: random.Random, kind: str, current: int, difficulty: Difficulty) -> Event | None:
    """An event of the kind with numbers drawn for it, or None if there are none after `current`."""
    wording = rng.randrange(len(SENTENCES[kind]))
    match kind:
        case "gain":
            return Event(kind, rng.randint(3, difficulty.largest_told), wording=wording)
        case "give" | "lose" | "fewer":
            most = min(current - 2, difficulty.largest_told)
            return Event(kind, rng.randint(3, most), wording=wording) if most >= 3 else None
        case "grow" | "times":
            return Event(kind, rng.randint(2, 5 if kind == "grow" else 4), wording=wording)
        case "split":
            divisors = [divisor for divisor in (2, 3, 4, 5) if current % divisor == 0 and current // divisor >= 2]
            return Event(kind, rng.choice(divisors), wording=wording) if divisors else None
        case "more":
            return Event(kind, rng.randint(3, 40), wording=wording)
        case _:
            return Event(kind, rng.randint(2, 9), rng.randint(2, 9), wording)
