"""`weighted-dpo problems`: problems of any source → problem rows, or what SFT learns from them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import PROBLEMS
from trl_weighted_dpo.settings import RenderingConfig, SourceConfig, settings_of


@with_settings()
def problems(
    source: Annotated[str, typer.Argument(help=PROBLEMS)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the rows go: *.jsonl or *.parquet.")],
    loading: Callable[..., SourceConfig],
    rendering: Callable[..., RenderingConfig],
    completions_for: Annotated[
        str | None,
        typer.Option(help="Write prompts and reference solutions for SFT of this model: folder, or name on the hub."),
    ] = None,
) -> None:
    """Load problems, check them, and write them with the column names of this package.

    With --completions-for they become `prompt` and `completion`, the reference solution, rendered as in sampling and in
    training.
    """
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.cli.rendering import tell_what_is_not_used
    from trl_weighted_dpo.cli.sampling import problem_source
    from trl_weighted_dpo.core.files import check_suffix, write_rows
    from trl_weighted_dpo.problems import load_problems

    try:
        check_suffix(output)
        rendered = rendering()
        for setting in settings_of(RenderingConfig):
            if completions_for is None and getattr(rendered, setting.name) != setting.default:
                raise ValueError(f"{setting.flag} goes with --completions-for: problems are written as they are.")
        check_paths([Path(source)] if Path(source).is_file() else [], output)
        rows = load_problems(source, **problem_source(loading()))
        if completions_for is not None:
            from trl_weighted_dpo.core.models import load_tokenizer

            tokenizer = load_tokenizer(completions_for)
            tell_what_is_not_used(bool(tokenizer.chat_template), rendered)
            loaded = len(rows)
            rows = completion_rows(rows, source, tokenizer, rendered)
            if len(rows) < loaded:
                typer.echo(f"{loaded - len(rows)} problems without a reference solution are left out.", err=True)
        write_rows(output, rows)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(rows)} rows written to {output}")


def completion_rows(
    rows: Sequence[Mapping[str, Any]],
    source: str,
    tokenizer: Any,
    rendering: RenderingConfig,
) -> list[dict[str, Any]]:
    """What SFT learns: of each problem with a reference solution, the rendered `prompt` and `completion`.

    GSM8K's calculator annotations, `<<...>>`, are left out of completions, as mining leaves them out of chosen ones.

    Raises:
        `ValueError`: If no problem has a reference solution, or it cannot be rendered.
    """
    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.core.rendering import render_completions
    from trl_weighted_dpo.scoring.reference_solution import without_calculator

    found = []
    for row in rows:
        solution = row.get(schema.REFERENCE_SOLUTION)
        if solution and solution.strip():
            texts = [without_calculator(solution).strip()]
            prompt, (completion,) = render_completions(
                row[schema.PROBLEM],
                texts,
                tokenizer,
                rendering.prompt_template,
                rendering.system_prompt,
                rendering.chat_template_kwargs,
            )
            found.append({schema.ID: row[schema.ID], schema.PROMPT: prompt, schema.COMPLETION: completion})
    if not found:
        raise ValueError(
            f"{source}: no problem has a {schema.REFERENCE_SOLUTION!r}, so there is nothing for SFT to learn. Name the "
            "column that has it: --column reference_solution=NAME."
        )
    return found
