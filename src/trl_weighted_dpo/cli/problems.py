"""`weighted-dpo problems`: problems of any source → problem rows, or what SFT learns from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


def problems(
    source: Annotated[
        str, typer.Argument(help="File (JSONL, JSONL.GZ, Parquet, CSV), folder, or name on the hub (NAME:CONFIG).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the rows go: *.jsonl or *.parquet.")],
    preset: Annotated[
        str | None, typer.Option(help="What the columns mean: gsm8k, math, metamathqa, numina_math, orca_math, ...")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="OURS=THEIRS, such as problem=question.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split, where there are several.")] = None,
    limit: Annotated[int | None, typer.Option(help="How many problems at most.")] = None,
    completions_for: Annotated[
        str | None,
        typer.Option(help="Write prompts and reference solutions for SFT of this model: folder, or name on the hub."),
    ] = None,
    prompt_template: Annotated[
        str | None, typer.Option(help="Prompt with {problem}, where the tokenizer has no chat template.")
    ] = None,
    system_prompt: Annotated[str | None, typer.Option(help="System message, with a chat template.")] = None,
    chat_template_kwargs: Annotated[
        str | None, typer.Option(help='JSON with variables of the chat template: {"enable_thinking": false}.')
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
    from trl_weighted_dpo.core.rendering import DEFAULT_PROMPT_TEMPLATE, read_chat_template_kwargs
    from trl_weighted_dpo.problems import load_problems

    try:
        check_suffix(output)
        rendering = {
            "--prompt-template": prompt_template,
            "--system-prompt": system_prompt,
            "--chat-template-kwargs": chat_template_kwargs,
        }
        for option, value in rendering.items():
            if completions_for is None and value is not None:
                raise ValueError(f"{option} goes with --completions-for: problems are written as they are.")
        check_paths([Path(source)] if Path(source).is_file() else [], output)
        rows = load_problems(source, **problem_source(preset, column, split, limit))
        if completions_for is not None:
            from trl_weighted_dpo.core.models import load_tokenizer

            tokenizer = load_tokenizer(completions_for)
            has_template = bool(tokenizer.chat_template)
            tell_what_is_not_used(has_template, prompt_template, system_prompt, chat_template_kwargs)
            loaded, variables = len(rows), read_chat_template_kwargs(chat_template_kwargs)
            template = prompt_template or DEFAULT_PROMPT_TEMPLATE
            rows = completion_rows(rows, source, tokenizer, template, system_prompt, variables)
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
    prompt_template: str,
    system_prompt: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
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
                row[schema.PROBLEM], texts, tokenizer, prompt_template, system_prompt, chat_template_kwargs
            )
            found.append({schema.ID: row[schema.ID], schema.PROMPT: prompt, schema.COMPLETION: completion})
    if not found:
        raise ValueError(
            f"{source}: no problem has a {schema.REFERENCE_SOLUTION!r}, so there is nothing for SFT to learn. Name the "
            "column that has it: --column reference_solution=NAME."
        )
    return found
