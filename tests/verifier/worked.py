"""Word problems with sound solutions, drawn from a `random.Random`."""

import random
from dataclasses import dataclass

from tests.verifier.sums import Sum, any_sum
from tests.verifier.true_arithmetic import THINGS

NAMES = ("Ann", "Tom", "Mia", "Ben")


@dataclass(frozen=True)
class Worked:
    """A word problem with a sound solution, whose every step uses what is given or was derived."""

    problem: str
    steps: tuple[str, ...]
    answer: str

    @property
    def solution(self) -> str:
        return "\n".join((*self.steps, f"A: {self.answer}"))

    @property
    def reference(self) -> str:
        return "\n".join((*self.steps, f"#### {self.answer}"))


_EVENTS = {
    "+": ("Then {name} buys {b} more {thing}.", "With {b} more {name} has {sum} {thing}."),
    "-": ("Then {name} gives away {b} of the {thing}.", "After giving away {b} there are {sum} {thing} left."),
    "*": (
        "Then the number of {thing} grows to {b} times as many.",
        "Growing to {b} times as many makes {sum} {thing}.",
    ),
    "/": ("Then {name} shares the {thing} among {b} bags equally.", "Each of the {b} bags gets {sum} {thing}."),
}


def any_worked(rng: random.Random) -> Worked:
    """A story of one to five events with a solution in one notation."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    have = rng.randint(6, 60)
    facts: list[Sum] = []
    for _ in range(rng.randint(1, 5)):
        fact = any_sum(rng, left=facts[-1].result if facts else have, most=90)
        if fact.result > 5_000 or fact.result < 2 or fact.right < 2:
            break
        facts.append(fact)
        if fact.sign == "/":
            break
    facts = facts or [Sum(have, "+", 2, have + 2)]
    story = " ".join(_EVENTS[fact.sign][0].format(name=name, thing=thing, b=fact.right) for fact in facts)
    ends_in_bags = facts[-1].sign == "/"
    question = f"How many {thing} are in each bag?" if ends_in_bags else f"How many {thing} are there in the end?"
    written = rng.choice(
        (
            lambda fact: f"{fact.left} {fact.sign} {fact.right} = {fact.result}",
            lambda fact: (
                f"{fact.left} {fact.sign} {fact.right} = "
                f"<<{fact.left}{fact.sign}{fact.right}={fact.result}>>{fact.result}"
            ),
            lambda fact: f"${fact.latex()} = {fact.result}$",
        )
    )
    steps = [_EVENTS[fact.sign][1].format(name=name, thing=thing, b=fact.right, sum=written(fact)) for fact in facts]
    return Worked(f"{name} has {have} {thing}. {story} {question}", tuple(steps), str(facts[-1].result))
