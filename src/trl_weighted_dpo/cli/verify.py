"""`weighted-dpo verify`: solutions → error profiles."""

import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import POOL, pool_file
from trl_weighted_dpo.settings import PoolRowsConfig, VerificationConfig, WorkersConfig

if TYPE_CHECKING:
    from trl_weighted_dpo.core.pools import PoolFile
    from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier
    from trl_weighted_dpo.verifier.many import VerificationReport
    from trl_weighted_dpo.verifier.view import DimensionCheck

_Explained = tuple[dict[str, int], dict[str, Any], "ErrorProfile"]
"""Where a solution stands in its file, its solution row and its profile."""


@with_settings()
def verify(
    verification: Callable[..., VerificationConfig],
    reading: Callable[..., PoolRowsConfig],
    file: Annotated[
        Path | None,
        typer.Argument(help=f"{POOL} Or solutions, one in each row."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the rows with profiles go: *.jsonl or *.parquet.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes to verify in; 1 if left out.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Verify the first rows only.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what was found in one row's solutions.")] = False,
    row: Annotated[int | None, typer.Option(min=0, help="The row to explain, counted from 0; 0 if left out.")] = None,
    candidate: Annotated[
        int | None, typer.Option(min=0, help="The candidate to explain, counted from 0; all if left out.")
    ] = None,
    problem: Annotated[str | None, typer.Option(help="Explain one solution of this problem, without a file.")] = None,
    solution: Annotated[str | None, typer.Option(help="That solution; - reads it from standard input.")] = None,
    reference_answer: Annotated[str | None, typer.Option(help="Its right final answer.")] = None,
    reference_solution: Annotated[str | None, typer.Option(help="A worked solution.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Verify the solutions of a file, or explain what is wrong with one.

    Can be stopped and run again: what was verified lies in OUTPUT.journal until all is done.
    """
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.verifier import MathVerifier

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character must not end the run.
        sys.stdout.reconfigure(errors="backslashreplace")
    is_single = problem is not None or solution is not None
    references = {"--reference-answer": reference_answer, "--reference-solution": reference_solution}
    try:
        _check_mode(file, output, problem, solution, explain)
        _refuse(references, not is_single, "--problem and --solution; the rows of a file have columns for it")
        _refuse({"--row": row, "--candidate": candidate}, is_single or not explain, "a file and --explain")
        _refuse({"--workers": workers, "--limit": limit}, output is None, "a file and -o OUT.jsonl")
        config = verification()
        calibration = config.calibration
        check_paths([calibration] if calibration else [], output, [file] if file else [])
        checks = _checks(config.dimension)
        with (
            MathVerifier.from_calibration(calibration, checks=checks) if calibration else MathVerifier(checks=checks)
        ) as verifier:
            if problem is not None and solution is not None:
                text = sys.stdin.read() if solution == "-" else solution
                single = {
                    schema.PROBLEM: problem,
                    schema.SOLUTION: text,
                    schema.REFERENCE_ANSWER: reference_answer,
                    schema.REFERENCE_SOLUTION: reference_solution,
                }
                _show(None, 0.0, [_explained({}, single, verifier)], as_json)
                return
            assert file is not None
            rows = pool_file(file, reading(), limit, is_grouped=False)
            started = time.perf_counter()
            report = (
                _verify_file(rows, output, verifier, workers or WorkersConfig.workers) if output is not None else None
            )
            seconds = time.perf_counter() - started
            explained = list(_explain_row(rows, row or 0, candidate, verifier)) if explain else []
            _show(report, seconds, explained, as_json)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if output is not None and report is not None:
        typer.echo(f"{report.solutions} profiles written to {output}", err=as_json)


def _check_mode(
    file: Path | None, output: Path | None, problem: str | None, solution: str | None, explain: bool
) -> None:
    if problem is not None or solution is not None:
        if problem is None or solution is None or file is not None or output is not None:
            raise ValueError("--problem and --solution belong together and stand for a file and its output.")
        if not problem.strip():
            raise ValueError("--problem is blank. Give the text of the problem.")
    elif file is None:
        raise ValueError("there is nothing to verify: give a file, or --problem and --solution.")
    elif output is None and not explain:
        raise ValueError("say what is to be done: -o OUT.jsonl writes profiles, --explain shows one.")


def _checks(names: Sequence[str]) -> "dict[str, DimensionCheck] | None":
    """The checks of dimensions that plugins bring."""
    if not names:
        return None
    from trl_weighted_dpo import plugins
    from trl_weighted_dpo.verifier import DIMENSIONS

    for name in names:
        if name in DIMENSIONS:
            raise ValueError(f"--dimension {name}: this is one of the six, which are always checked. Leave it out.")
    return {name: plugins.find("dimensions", name) for name in names}


def _refuse(options: dict[str, Any], when: bool, needs: str) -> None:
    for name, value in options.items():
        if when and value is not None:
            raise ValueError(f"{name} needs {needs}.")


def _verify_file(rows: "PoolFile", output: Path, verifier: "MathVerifier", workers: int) -> "VerificationReport":
    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.core.files import check_rows, write_rows
    from trl_weighted_dpo.verifier.files import RowsWithProfiles, verify_into

    check_rows(output, rows)
    total = len(rows)
    journal = output.with_name(output.name + ".journal")
    report = verify_into(journal, rows, verifier, workers, str(rows), total)
    if not report.solutions:
        journal.unlink()
        what = f"{schema.CANDIDATES!r} is empty in all {total} rows" if total else "the file is empty"
        raise ValueError(f"{rows}: {what}, so there are no solutions and nothing was written.")
    write_rows(output, RowsWithProfiles(rows, journal))
    journal.unlink()
    return report


def _explain_row(rows: "PoolFile", index: int, candidate: int | None, verifier: "MathVerifier") -> Iterator[_Explained]:
    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.core.checks import check_pool_row, check_solution_row, solution_rows

    file, row = str(rows), next(itertools.islice(rows, index, None), None)
    if row is None:
        raise ValueError(f"{file}: there is no row {index}; rows are counted from 0.")
    is_pool = schema.CANDIDATES in row
    check = check_pool_row if is_pool else check_solution_row
    check(row, index, file)
    solutions = solution_rows(row)
    if candidate is not None and (not is_pool or candidate >= len(solutions)):
        there = f"{len(solutions)} candidates, counted from 0" if is_pool else "no candidates but one solution"
        raise ValueError(f"{file}: row {index} has {there}; got --candidate {candidate}.")
    if not solutions:
        raise ValueError(
            f"{file}: row {index} has no solutions: its {schema.CANDIDATES!r} is empty. Try another --row."
        )
    for position, solution in enumerate(solutions):
        if candidate is None or position == candidate:
            yield _explained({"row": index} | ({"candidate": position} if is_pool else {}), solution, verifier)


def _explained(place: dict[str, int], row: dict[str, Any], verifier: "MathVerifier") -> _Explained:
    # As for a file: what the verifier or a plugin fails on is undecided.
    return place, row, next(verifier.verify_many([row], source="solution"))


def _show(report: "VerificationReport | None", seconds: float, explained: list[_Explained], as_json: bool) -> None:
    from rich.console import Console

    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.report.explain import explanation
    from trl_weighted_dpo.report.tables import verification_table
    from trl_weighted_dpo.verifier.many import verify_arguments

    if as_json:
        shown: dict[str, Any] = {}
        if report is not None:
            shown["report"] = report.to_dict() | {"seconds": round(seconds, 3)}
        if explained:
            shown["explained"] = [place | {schema.PROFILE: profile.to_dict()} for place, _, profile in explained]
        typer.echo(json.dumps(shown, indent=2))
        return
    console = Console()
    for place, row, profile in explained:
        title = ", ".join(f"{name} {index}" for name, index in place.items()) or "solution"
        problem, solution, reference_answer, _ = verify_arguments(row)
        has_no_styles = console.color_system is None
        console.print(explanation(title, problem, solution, reference_answer, profile, has_no_styles))
    if report is not None:
        console.print(verification_table(report.to_dict(), seconds))
