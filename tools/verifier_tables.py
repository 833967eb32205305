"""Writes the tables of kinds into `docs/verifier.md`, between `<!-- table: NAME -->` and `<!-- end -->`.

python -m tools.verifier_tables            # writes them
python -m tools.verifier_tables --check    # exits with 1 if they are not up to date
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from trl_weighted_dpo.verifier import DIMENSIONS, KINDS

PAGE = Path(__file__).parents[1] / "docs" / "verifier.md"
_TABLE = re.compile(r"(?P<begin><!-- table: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def kinds_table(dimension: str) -> str:
    """The kinds of findings of a dimension, as a table in Markdown."""
    kinds = [kind for (of, _, _), kind in KINDS.items() if of == dimension]
    has_severity = any(kind.severity is not None for kind in kinds)
    head = ["kind", "channel", *(["severity"] if has_severity else []), "meaning"]
    rows = [
        [f"`{kind.name}`", kind.channel, *([f"{kind.severity:g}"] if kind.severity is not None else []), kind.sentence]
        for kind in kinds
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


TABLES: dict[str, Callable[[], str]] = {f"kinds-{name}": partial(kinds_table, name) for name in DIMENSIONS}
"""The tables by the names that the page has for them."""


def rendered(page: str) -> str:
    """A page with its tables of `TABLES` up to date; other tables stay as they are."""

    def table(match: re.Match[str]) -> str:
        make = TABLES.get(match["name"])
        return match[0] if make is None else f"{match['begin']}{make()}{match['end']}"

    return _TABLE.sub(table, page)


def main(arguments: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    new = rendered(page)
    if "--check" in arguments:
        if new != page:
            print(f"{PAGE} is not up to date: run python -m tools.verifier_tables.", file=sys.stderr)
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
