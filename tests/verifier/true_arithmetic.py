"""Solutions whose arithmetic is true, written the many ways in which people and models write it.

Everything is drawn from a `random.Random`, so that hypothesis can drive and shrink it and a fuzz run can do without.
"""

import math
import random
from collections.abc import Callable
from fractions import Fraction

from tests.verifier.sums import any_sum, decimal, latex_mixed, mixed, money, proper_fraction

THINGS = ("apples", "books", "coins", "cards", "pens")
CONVERSIONS = (
    ("hours", "minutes", 60), ("minutes", "seconds", 60), ("weeks", "days", 7), ("days", "hours", 24),
    ("years", "months", 12), ("feet", "inches", 12), ("yards", "feet", 3), ("meters", "centimeters", 100),
    ("kilograms", "grams", 1000), ("dollars", "cents", 100),
)  # fmt: skip


def _plain(rng: random.Random) -> str:
    fact = any_sum(rng)
    return rng.choice(
        (
            f"{fact.over(rng)} = {fact.result}",
            f"{fact.over(rng)}={fact.result}.",
            f"{fact.result} = {fact.over(rng)}",
            f"So that is {fact.over(rng)} = {fact.result} {rng.choice(THINGS)}.",
            f"({fact.over(rng)}) = {fact.result}",
            f"**{fact.over(rng)} = {fact.result}**",
            f"{rng.choice(('- ', '* ', '1. ', '2) ', 'Step 3: '))}{fact.over(rng)} = {fact.result}",
        )
    )


def _calculator(rng: random.Random) -> str:
    fact = any_sum(rng)
    tight = f"{fact.left}{fact.sign}{fact.right}"
    return rng.choice(
        (
            f"There are {fact.over(rng)} = <<{tight}={fact.result}>>{fact.result} {rng.choice(THINGS)}.",
            f"{tight}=<<{tight}={fact.result}>>{fact.result}",
            f"That makes <<{tight}={fact.result}>>{fact.result}.",
        )
    )


def _latex(rng: random.Random) -> str:
    fact = any_sum(rng)
    formula = rng.choice((f"{fact.latex()} = {fact.result}", f"\\text{{Total}} = {fact.latex()} = {fact.result}"))
    if fact.sign == "/" and rng.random() < 0.5:
        formula = f"\\frac{{{fact.left}}}{{{fact.right}}} = {fact.result}"
    opening, closing = rng.choice((("$", "$"), ("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("\\[\n", "\n\\]")))
    return f"We get {opening}{formula}{closing}" + rng.choice(("", "."))


def _aligned(rng: random.Random) -> str:
    first = any_sum(rng)
    second = any_sum(rng, left=first.result)
    return (
        "\\begin{align*}\n"
        f"{first.latex()} &= {first.result} \\\\\n{second.latex()} &= {second.result}\n"
        "\\end{align*}"
    )


def _chained(rng: random.Random) -> str:
    first, factor = any_sum(rng), rng.randint(2, 9)
    whole = f"{factor} * ({first.left} {first.sign} {first.right})"
    half, end = f"{factor} * {first.result}", str(factor * first.result)
    joint = rng.choice((" = ", "=", "\n= "))
    return joint.join((whole, half, end))


def _two_in_a_line(rng: random.Random) -> str:
    first = any_sum(rng)
    second = any_sum(rng, left=first.result)
    joint = rng.choice((", and ", ", so ", ". ", "; ", " and "))
    return f"{first.over(rng)} = {first.result}{joint}{second.over(rng)} = {second.result}"


def _several(rng: random.Random) -> str:
    terms = [rng.randint(1, 60) for _ in range(rng.randint(3, 6))]
    factors = [rng.randint(1, 9) for _ in range(3)]
    a, b, c = (rng.randint(1, 20) for _ in range(3))
    return rng.choice(
        (
            f"{' + '.join(map(str, terms))} = {sum(terms)}",
            f"{' x '.join(map(str, factors))} = {factors[0] * factors[1] * factors[2]}",
            f"{a} + {b} * {c} = {a + b * c}",
            f"({a} + {b}) * {c} = {(a + b) * c}",
            f"[({a} + {b}) * {c}] + 1 = {(a + b) * c + 1}",
            f"{a * b * c} / {b} / {c} = {a}",
            f"{a + b + c} - {a} - {b} = {c}",
            f"{a}({b} + {c}) = {a * (b + c)}",
            f"({a})({b}) = {a * b}",
        )
    )


def _units(rng: random.Random) -> str:
    thing = rng.choice(THINGS)
    a, b = rng.randint(2, 40), rng.randint(2, 40)
    return rng.choice(
        (
            f"{a} {thing} + {b} {thing} = {a + b} {thing}",
            f"{a} boxes * {b} {thing}/box = {a * b} {thing}",
            f"{a} boxes x {b} {thing} per box = {a * b} {thing}",
            f"{a * b} {thing} / {a} people = {b} {thing} per person",
            f"{a * b} miles / {a} hours = {b} miles per hour",
            f"{a} mph * {b} hours = {a * b} miles",
            f"{a} people x ${b}/person = ${a * b}",
            f"{a} feet * {b} feet = {a * b} square feet",
            f"Total {thing} = {a} + {b} = {a + b} {thing}",
            f"Cost of {thing}: {a} * {b} = {a * b}",
            f"${a} each * {b} = ${a * b}",
        )
    )


def _conversion(rng: random.Random) -> str:
    large, small, factor = rng.choice(CONVERSIONS)
    count = rng.randint(2, 20)
    return rng.choice(
        (
            f"{count} {large} = {count * factor} {small}",
            f"{count} {large} * {factor} {small}/{large[:-1]} = {count * factor} {small}",
            f"{count} {large} is {count * factor} {small}.",
            f"{count} * {factor} = {count * factor} {small}",
            f"{count * factor} {small} / {factor} = {count} {large}",
            f"{count} dozen = {count * 12}",
        )
    )


def _money(rng: random.Random) -> str:
    a, b, count = rng.randint(25, 200_000), rng.randint(25, 5_000), rng.randint(2, 30)
    more, less = max(a, b), min(a, b)
    line = rng.choice(
        (
            f"{money(a)} + {money(b)} = {money(a + b)}",
            f"{money(more)} - {money(less)} = {money(more - less)}",
            f"{count} * {money(b)} = {money(count * b)}",
            f"{count} x {money(b)} = {money(count * b)}.",
            f"{money(count * b)} / {count} = {money(b)}",
            f"{money(b)} = {b} cents",
            f"{count} * {b} = {count * b} cents = {money(count * b)}",
            f"It costs {count} * {money(b)} = {money(count * b)} in all.",
        )
    )
    return line.replace("$", "\\$") if rng.random() < 0.2 else line


def _percent(rng: random.Random) -> str:
    share, part = rng.randint(1, 19) * 5, rng.randint(1, 40)
    whole, taken = part * 20, part * share // 5
    rest = 100 - share
    return rng.choice(
        (
            f"{share}% of {whole} = {taken}",
            f"{share}% of {whole} is {taken}.",
            f"{share}% * {whole} = {taken}",
            f"{whole} * {share}% = {taken}",
            f"{share}/100 * {whole} = {taken}",
            f"{decimal(Fraction(share, 100), 2)} * {whole} = {taken}",
            f"{taken} / {whole} = {share}%",
            f"{taken}/{whole} * 100 = {share}%",
            f"({taken} / {whole}) * 100% = {share}%",
            f"{taken} / {whole} = {decimal(Fraction(share, 100), 2)} = {share}%",
            f"100% - {share}% = {rest}%",
            f"{share}% = {decimal(Fraction(share, 100), 2)}",
            f"${share}\\% \\times {whole} = {taken}$",
            f"{share} percent of {whole} is {taken}",
            f"A {share}% discount on ${whole} is ${whole} * {decimal(Fraction(share, 100), 2)} = ${taken}.",
        )
    )


def _fractions(rng: random.Random) -> str:
    first, second = proper_fraction(rng), proper_fraction(rng)
    whole = first.denominator * rng.randint(1, 12)
    latex = f"\\frac{{{first.numerator}}}{{{first.denominator}}}"
    return rng.choice(
        (
            f"{first} * {whole} = {first * whole}",
            f"{whole} * {first} = {first * whole}",
            f"{first} of {whole} = {first * whole}",
            f"{first} of {whole} is {first * whole}.",
            f"{first} + {second} = {first + second}",
            f"{whole} / ({first}) = {whole / first}",
            f"$\\frac{{{first.numerator}}}{{{first.denominator}}} \\cdot {whole} = {first * whole}$",
            f"\\[ {latex} \\times {whole} = {first * whole} \\]",
            f"1 - {first} = {1 - first}",
            f"{first.numerator * 3}/{first.denominator * 3} = {first}",
        )
    )


def _mixed_numbers(rng: random.Random) -> str:
    first, second = rng.randint(1, 9) + proper_fraction(rng), rng.randint(1, 9) + proper_fraction(rng)
    count = rng.randint(2, 9)
    return rng.choice(
        (
            f"{mixed(first)} + {mixed(second)} = {mixed(first + second)}",
            f"{mixed(first)} * {count} = {mixed(first * count)}",
            f"{first} = {mixed(first)}",
            f"${latex_mixed(first)} + {latex_mixed(second)} = {latex_mixed(first + second)}$",
            f"{count} * {mixed(first)} hours = {mixed(first * count)} hours",
        )
    )


def _rounded(rng: random.Random) -> str:
    divisor = rng.choice((3, 6, 7, 9, 11))
    dividend = rng.choice([number for number in range(divisor, 40 * divisor) if number % divisor])
    quotient = Fraction(dividend, divisor)
    places = rng.randint(1, 4)
    shown = decimal(quotient, places)
    whole, rest = divmod(dividend, divisor)
    return rng.choice(
        (
            f"{dividend} / {divisor} = {shown}",
            f"{dividend} / {divisor} \u2248 {shown}",
            f"{dividend}/{divisor} is about {shown}.",
            f"$\\frac{{{dividend}}}{{{divisor}}} \\approx {shown}$",
            f"${dividend} / {divisor} = ${decimal(quotient, 2)}",
            f"{dividend} / {divisor} = {whole} remainder {rest}",
            f"{dividend} / {divisor} = {decimal(quotient, 0)} (rounded)",
            f"{dividend} / {divisor} = {decimal(quotient, 3)}...",
        )
    )


def _floating(rng: random.Random) -> str:
    a, b = rng.randint(1, 9999) / 100, rng.randint(1, 999) / 10
    product, total = a * b, a + b
    return rng.choice(
        (
            f"{a} * {b} = {product!r}",
            f"{a} + {b} = {total!r}",
            f"He pays {a}*{b} = <<{a}*{b}={product!r}>>{product!r}.",
        )
    )


def _decimals(rng: random.Random) -> str:
    a, b = Fraction(rng.randint(1, 99_999), 100), Fraction(rng.randint(1, 9_999), 100)
    return rng.choice(
        (
            f"{decimal(a, 2)} + {decimal(b, 2)} = {decimal(a + b, 2)}",
            f"{decimal(a + b, 2)} - {decimal(b, 2)} = {decimal(a, 2)}",
            f"{decimal(a, 2)} * 10 = {decimal(a * 10, 1)}",
            f".5 * {2 * a.numerator} = {a.numerator}",
            f"{decimal(a, 2)} * {decimal(b, 2)} = {decimal(a * b, 4)}",
        )
    )


def _thousands(rng: random.Random) -> str:
    a, b = rng.randint(1_000, 900_000), rng.randint(1_000, 900_000)
    count = rng.randint(2, 9)
    return rng.choice(
        (
            f"{a:,} + {b:,} = {a + b:,}",
            f"{count} * {a:,} = {count * a:,}",
            f"{a} + {b} = {a + b:,}",
            f"${a:,} * {count} = ${a * count:,}".replace("$", rng.choice(("$", "\\$", ""))),
            "$" + f"{a:,} \\times {count} = {a * count:,}".replace(",", "{,}") + "$",
        )
    )


def _negative(rng: random.Random) -> str:
    a, b = rng.randint(1, 50), rng.randint(1, 50)
    return rng.choice(
        (
            f"{a} - {a + b} = -{b}",
            f"-{a} + {a + b} = {b}",
            f"-{a} * -{b} = {a * b}",
            f"{a} - (-{b}) = {a + b}",
            f"$-{a} \\times {b} = -{a * b}$",
            f"The change is {a} - {a + b} = \u2212{b}.",
        )
    )


def _powers(rng: random.Random) -> str:
    base, exponent = rng.randint(2, 9), rng.randint(2, 5)
    value = base**exponent
    return rng.choice(
        (
            f"{base}^{exponent} = {value}",
            f"{base}**{exponent} = {value}",
            f"${base}^{{{exponent}}} = {value}$",
            f"$\\sqrt{{{base * base}}} = {base}$",
            f"{base}^2 * {exponent} = {base * base * exponent}",
            f"{base}\u00b2 = {base * base}",
            f"{base}! = {math.factorial(base)}",
        )
    )


def _named(rng: random.Random) -> str:
    fact = any_sum(rng)
    name = rng.choice(("x", "n", "Total", "Total cost", "Amount left", "Number of books", "y_1", "Tom's share"))
    return f"{name} = {fact.over(rng)} = {fact.result}"


def _in_words(rng: random.Random) -> str:
    a, b = rng.randint(2, 60), rng.randint(2, 60)
    return rng.choice(
        (
            f"{a} times {b} is {a * b}.",
            f"{a} plus {b} equals {a + b}",
            f"{a + b} minus {b} is {a}",
            f"{a * b} divided by {b} is {a}.",
            f"The sum of {a} and {b} is {a + b}.",
            f"Half of {2 * a} is {a}.",
            f"Twice {a} is {2 * a}.",
            f"A third of {3 * a} is {a}.",
            f"{a * b} is {b} times {a}.",
        )
    )


def _compared(rng: random.Random) -> str:
    a, b = sorted(rng.sample(range(1, 200), 2))
    return rng.choice(
        (f"{a} < {b}", f"{b} > {a}", f"${a} \\leq {b}$", f"{a} + 1 <= {b} < {b + 3}", f"{a} \u2260 {b}", f"{a} != {b}")
    )


def _algebra(rng: random.Random) -> str:
    a, b, x = rng.randint(2, 9), rng.randint(1, 30), rng.randint(1, 30)
    return rng.choice(
        (
            f"{a}x + {b} = {a * x + b}, so {a}x = {a * x} and x = {x}.",
            f"{a}(x + {b}) = {a}x + {a * b}",
            f"(x + {a})^2 = x^2 + {2 * a}x + {a * a}",
            f"$x + {a}x = {a + 1}x$",
            f"{a}x = {a * x}\nx = {a * x} / {a}\nx = {x}",
            f"Let x be the number of pens: x + {a}x = {(a + 1) * x}, x = {x}",
            f"x - {b} = {x} => x = {x + b}",
        )
    )


def _time_and_ratio(rng: random.Random) -> str:
    hour, hours = rng.randint(1, 6), rng.randint(1, 5)
    a, b, factor = rng.randint(1, 9), rng.randint(1, 9), rng.randint(2, 9)
    year, age = rng.randint(1950, 2000), rng.randint(1, 60)
    return rng.choice(
        (
            f"{hour}:00 + {hours} hours = {hour + hours}:00",
            f"From {hour}:30 to {hour + hours}:30 is {hours} hours.",
            f"{hour + hours} pm - {hour} pm = {hours} hours",
            f"The ratio is {a}:{b} = {a * factor}:{b * factor}",
            f"{year + age} - {year} = {age} years",
        )
    )


_FAMILIES = (
    _plain, _calculator, _latex, _aligned, _chained, _two_in_a_line,
    _several, _units, _conversion, _money, _percent, _fractions,
    _mixed_numbers, _rounded, _floating, _decimals, _thousands, _negative,
    _powers, _named, _in_words, _compared, _algebra, _time_and_ratio,
)  # fmt: skip
NOTATIONS: dict[str, Callable[[random.Random], str]] = {family.__name__.strip("_"): family for family in _FAMILIES}
"""Each draws one true line (or a few that belong together) in one family of notations."""
