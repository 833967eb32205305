"""The tables of kinds in `docs/verifier.md`, which `tools/docs_tables.py` writes."""

from trl_weighted_dpo.verifier import KINDS


def kinds_table(dimension: str) -> list[str]:
    """The kinds of findings of a dimension, as the lines of a table in Markdown."""
    kinds = [kind for (of, _, _), kind in KINDS.items() if of == dimension]
    has_severity = any(kind.severity is not None for kind in kinds)
    head = ["kind", "channel", *(["severity"] if has_severity else []), "meaning"]
    rows = [
        [f"`{kind.name}`", kind.channel, *([f"{kind.severity:g}"] if kind.severity is not None else []), kind.sentence]
        for kind in kinds
    ]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
