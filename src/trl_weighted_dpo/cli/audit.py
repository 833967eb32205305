"""`weighted-dpo audit`: what is wrong with pairs."""

import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import PAIRS, row_file
from trl_weighted_dpo.settings import (
    AuditConfig,
    RenderingConfig,
    RowsConfig,
    WeightingConfig,
    WorkersConfig,
    settings_of,
)

if TYPE_CHECKING:
    from trl_weighted_dpo.audit import AuditReport
    from trl_weighted_dpo.audit.report import Severity
    from trl_weighted_dpo.core.files import RowFile

FOUND, UNUSABLE = 1, 2
"""Exit codes: the pairs have findings; the audit could not be made."""


class FailOn(StrEnum):
    """From which severity on findings make the command fail."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


@with_settings("weighting", "tolerated")
def audit(
    pairs: Annotated[Path, typer.Argument(help=PAIRS)],
    audited: Callable[..., AuditConfig],
    processes: Callable[..., WorkersConfig],
    reading: Callable[..., RowsConfig],
    reference: Annotated[
        Path | None, typer.Option(help="Pool or problems with reference answers, to verify the labels again.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option("--eval", help="Evaluation problems that must not be trained on; repeatable.")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder with the model's tokenizer.")] = None,
    scheme: Annotated[str, typer.Option(help="Weighting scheme whose weights are looked at.")] = WeightingConfig.scheme,
    tolerate: Annotated[
        list[str] | None, typer.Option(metavar="CHECK=SHARE", help="Share of rows a check may find; repeatable.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Keeps verdicts, so that a stopped audit goes on; with --reference.")
    ] = None,
    fail_on: Annotated[FailOn, typer.Option(help="From which severity on the exit code is 1.")] = FailOn.ERROR,
    drop_to: Annotated[
        Path | None, typer.Option(help="Where the pairs go without the rows that were found, from that severity on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all rows, instead of tables.")] = False,
) -> None:
    """Find mislabelled, unusable, contaminated and otherwise bad pairs.

    Exit code: 0 if nothing was found, 1 if something was, 2 if the audit could not be made.
    """
    from trl_weighted_dpo.audit.report import Severity
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core.files import check_suffix

    sources = [path for path in (pairs, reference, *(evaluation or ())) if path is not None]
    severity = Severity.WARNING if fail_on is FailOn.WARNING else Severity.ERROR
    try:
        if drop_to is not None:
            check_suffix(drop_to)
        check_paths([], drop_to, sources)
        check_paths([], journal, sources)
        config = audited(weighting=WeightingConfig(scheme=scheme), tolerated=dict(map(_tolerated, tolerate or ())))
        if not config.render and any(getattr(config, own.name) != own.default for own in settings_of(RenderingConfig)):
            raise ValueError("--prompt-template, --system-prompt and --chat-template-kwargs need --render.")
        rows = row_file(pairs, reading())
        report = _audited(rows, reference, evaluation or [], config, tokenizer, processes().workers, journal)
        _show(report, as_json)
        if drop_to is not None:
            kept = _drop(rows, report, severity, drop_to)
            typer.echo(f"{kept} of {report.pairs} pairs written to {drop_to}", err=as_json)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from error
    if fail_on is not FailOn.NEVER and report.found(severity):
        raise typer.Exit(FOUND)


def _tolerated(option: str) -> tuple[str, float]:
    name, _, share = option.partition("=")
    try:
        return name, float(share)
    except ValueError as error:
        raise ValueError(f"--tolerate {option}: give a check and a share in [0, 1], such as prefix=0.01.") from error


def _audited(
    pairs: "RowFile",
    reference: Path | None,
    evaluation: list[Path],
    config: AuditConfig,
    tokenizer: Path | None,
    workers: int,
    journal: Path | None,
) -> "AuditReport":
    from trl_weighted_dpo.audit import audit_pairs
    from trl_weighted_dpo.core.files import RowFile
    from trl_weighted_dpo.core.pools import PoolFile
    from trl_weighted_dpo.verifier import MathVerifier

    loaded: Any = None
    if tokenizer is not None:
        from transformers import AutoTokenizer

        if not tokenizer.is_dir():
            raise ValueError(f"{tokenizer}: there is no such folder. Give the one that the model's tokenizer lies in.")
        loaded = AutoTokenizer.from_pretrained(tokenizer)
    elif config.max_length is not None or config.render:
        raise ValueError("--max-length and --render need --tokenizer, since training counts tokens: give its folder.")
    with MathVerifier() as verifier:
        return audit_pairs(
            pairs,
            config,
            reference=None if reference is None else PoolFile(reference),
            evaluation={str(path): RowFile(path) for path in evaluation},
            tokenizer=loaded,
            verifier=verifier,
            workers=workers,
            journal=journal,
            source=str(pairs),
        )


def _show(report: "AuditReport", as_json: bool) -> None:
    from rich.console import Console

    from trl_weighted_dpo.report.audit import audit_examples, audit_notes, audit_table

    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
        return
    console = Console()
    console.print(audit_table(report))
    for line in audit_notes(report):
        console.print(line)
    for line in audit_examples(report):
        console.print(line)


def _drop(pairs: Any, report: "AuditReport", severity: "Severity", output: Path) -> int:
    from trl_weighted_dpo.core.files import write_rows

    bad = report.bad_rows(severity)
    kept = report.pairs - len(bad)
    if not kept:
        raise ValueError(f"every pair of {pairs} was found, so nothing was written to {output}.")

    class Kept:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return (row for index, row in enumerate(pairs) if index not in bad)

    write_rows(output, Kept())
    return kept
