"""`python -m trl_weighted_dpo.pipeline.reuse POOL --earlier POOL`: candidates of an earlier round join a pool."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.files import RowFile, check_suffix, write_rows


def joined_rows(
    pool: Iterable[Mapping[str, Any]], earlier: Iterable[Mapping[str, Any]], share: float, seed: int
) -> Iterator[dict[str, Any]]:
    """A pool in which the candidates of earlier rounds stand behind those of a share of its problems.

    Args:
        pool, earlier (`Iterable[Mapping[str, Any]]`):
            Pool rows; those of a problem are told by `id`, without one by the problem's text. What the earlier ones'
            candidates have, such as a profile, comes along; a text that the new ones have is left out.
        share (`float`):
            Share of problems, in [0, 1].
        seed (`int`):
            Decides with a problem's id alone whether it is among them.

    Yields:
        The rows of `pool`, in their order.
    """
    before = {_name(row): row for row in earlier if _is_chosen(_name(row), share, seed)}
    for row in pool:
        candidates = list(row[schema.CANDIDATES])
        texts = {candidate[schema.SOLUTION] for candidate in candidates}
        for candidate in before.get(_name(row), {}).get(schema.CANDIDATES, ()):
            if candidate[schema.SOLUTION] not in texts:
                texts.add(candidate[schema.SOLUTION])
                candidates.append(candidate)
        yield {**row, schema.CANDIDATES: candidates}


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get(schema.ID) or row[schema.PROBLEM])


def _is_chosen(name: str, share: float, seed: int) -> bool:
    digest = hashlib.sha256(f"{seed}:{name}".encode(errors="backslashreplace")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def reuse(
    pool: Annotated[Path, typer.Argument(help="The pool of this round.")],
    earlier: Annotated[Path, typer.Option(help="The pool of the round before.")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of problems.")],
    output: Annotated[Path, typer.Option(help="Where the pool goes: *.jsonl or *.parquet.")],
    seed: Annotated[int, typer.Option(help="Decides which problems.")] = 0,
) -> None:
    """Let the candidates of an earlier round join those of a share of problems."""
    try:
        check_suffix(output)
        rows = list(joined_rows(RowFile(pool), RowFile(earlier), share, seed))
        write_rows(output, rows)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        f"{len(rows)} rows with {sum(len(row[schema.CANDIDATES]) for row in rows)} candidates written to {output}"
    )


if __name__ == "__main__":
    typer.run(reuse)
