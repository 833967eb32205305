"""`weighted-dpo mine`: pool → pairs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trl_weighted_dpo.mining.hardness import HardnessConfig


def mine(
    pool: Annotated[Path, typer.Argument(help="Pool, JSONL or Parquet: plain, verified, scored, or both.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the pairs go: *.jsonl or *.parquet.")],
    pairs_per_problem: Annotated[int, typer.Option(min=0, help="Pairs made of one problem, at most.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="Which negatives: hard, random, easiest or hard+random.", metavar="NAME")
    ] = "hard",
    random_share: Annotated[float, typer.Option(help="Share of random negatives of hard+random.")] = 0.5,
    chosen: Annotated[
        str,
        typer.Option(
            help="Which correct one is chosen: cleanest, nearest, most_confident, reference_solution or random.",
            metavar="NAME",
        ),
    ] = "cleanest",
    chosen_fallback: Annotated[
        str, typer.Option(help="Chosen where no candidate is correct: none or reference_solution.", metavar="NAME")
    ] = "none",
    flawed_per_problem: Annotated[
        int, typer.Option(min=0, help="Besides, pairs that reject a right answer reached by flawed reasoning.")
    ] = 0,
    min_quantile: Annotated[float, typer.Option(help="Least hardness, as a quantile of the pool's negatives.")] = 0.0,
    max_quantile: Annotated[float, typer.Option(help="Greatest hardness, likewise.")] = 1.0,
    match_lengths: Annotated[
        bool, typer.Option("--match-lengths", help="Drop pairs until length does not tell the chosen one.")
    ] = False,
    max_candidates: Annotated[int, typer.Option(min=2, help="Candidates of a problem looked at.")] = 64,
    allow_weak_answers: Annotated[
        bool, typer.Option("--allow-weak-answers", help="Reject also by answers that were guessed.")
    ] = False,
    hardness: Annotated[
        list[str] | None,
        typer.Option(help="A setting of hardness, as NAME=VALUE: steps=0.5, function=NAME.", metavar="NAME=VALUE"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is random or equally good.")] = 42,
    workers: Annotated[int, typer.Option(min=1, help="Processes to work in.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON instead of a table.")] = False,
) -> None:
    """Verify the candidates of a pool, unless they are verified, and pair correct with hard incorrect ones.

    Can be stopped and run again: what was verified lies in OUTPUT.journal until all is done.
    """
    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.core.files import RowFile, check_suffix, write_rows
    from trl_weighted_dpo.mining.config import PairingConfig
    from trl_weighted_dpo.mining.journal import MinedPairs, mine_into
    from trl_weighted_dpo.report.mining import mining_table

    try:
        config = PairingConfig(
            pairs_per_problem=pairs_per_problem,
            chosen_fallback=chosen_fallback,
            seed=seed,
            allow_weak_answers=allow_weak_answers,
            strategy=strategy,
            random_share=random_share,
            chosen=chosen,
            flawed_per_problem=flawed_per_problem,
            min_quantile=min_quantile,
            max_quantile=max_quantile,
            match_lengths=match_lengths,
            max_candidates=max_candidates,
            hardness=_hardness(hardness or []),
        )
        check_suffix(output)
        check_paths([pool], output)
        journal, mined = (output.with_name(output.name + end) for end in (".journal", ".mined"))
        report = mine_into(journal, mined, RowFile(pool), config=config, source=str(pool), workers=workers)
        if as_json:
            typer.echo(json.dumps(report.to_dict(), indent=2))
        else:
            Console().print(mining_table(report.to_dict()))
        if not report.problems:
            journal.unlink()
        if not report.is_scored and report.pairs and config.hardness.function == "product":
            typer.echo("The pool is not scored, so hardness is proximity × flaw, without confidence.", err=as_json)
        if report.pairs:
            write_rows(output, MinedPairs(mined))
            journal.unlink()
        mined.unlink()
        if not report.pairs:
            raise ValueError("no pair could be made, so nothing was written. See the counts above.")
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{report.pairs} pairs written to {output}", err=as_json)


def _hardness(settings: list[str]) -> "HardnessConfig":
    from trl_weighted_dpo.mining.hardness import HardnessConfig

    names = HardnessConfig.__dataclass_fields__
    values: dict[str, str | float] = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if name not in names or not sign:
            raise ValueError(f"--hardness {setting}: give NAME=VALUE, with a name among {', '.join(names)}.")
        try:
            values[name] = value if name == "function" else float(value)
        except ValueError as error:
            raise ValueError(f"--hardness {setting}: {value!r} is no number.") from error
    return HardnessConfig(**values)  # type: ignore[arg-type]
