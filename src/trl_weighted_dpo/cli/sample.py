"""`weighted-dpo sample`: problems → pool."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import PROBLEMS
from trl_weighted_dpo.settings import BackendConfig, PoolConfig, SamplingConfig, SourceConfig, setting_of


@with_settings()
def sample(
    problems: Annotated[str, typer.Argument(help=PROBLEMS)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the pool goes: *.jsonl or *.parquet.")],
    model: Annotated[str, typer.Option(help="The model to sample from: folder, name on the hub, or a server's name.")],
    *,
    completions: Annotated[
        int | None, typer.Option("--completions", "-k", help="Samples of each problem; 8, with --temperature 0 one.")
    ] = None,
    sampling: Callable[..., SamplingConfig],
    few_shot: Annotated[Path | None, typer.Option(help=setting_of(SamplingConfig, "few_shot").help)] = None,
    backend: Callable[..., BackendConfig],
    source: Callable[..., SourceConfig],
    pool: Callable[..., PoolConfig],
) -> None:
    """Sample solutions of problems from a model.

    Can be stopped and run again: what was sampled lies in OUTPUT.journal until all is done. In several processes:
    accelerate launch -m trl_weighted_dpo.cli sample ...
    """
    from dataclasses import replace

    from rich.console import Console

    from trl_weighted_dpo import plugins
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.cli.processes import start_processes
    from trl_weighted_dpo.cli.rendering import tell_what_is_not_used
    from trl_weighted_dpo.cli.sampling import backend_options, problem_source
    from trl_weighted_dpo.core.files import check_suffix
    from trl_weighted_dpo.problems import load_problems
    from trl_weighted_dpo.report.sampling import sampling_table
    from trl_weighted_dpo.sampling.few_shot import read_few_shot
    from trl_weighted_dpo.sampling.files import check_problems, sample_file

    try:
        check_suffix(output)
        files = [Path(problems)] if Path(problems).is_file() else []
        check_paths([*files, *([few_shot] if few_shot else [])], output)
        shots = read_few_shot(few_shot) if few_shot else ()
        config = sampling(completions=1 if completions is None else completions, few_shot=shots)
        if completions is None and config.temperature:
            config = replace(config, completions=SamplingConfig.completions)
        loading = backend()
        make = plugins.find("samplers", loading.backend)
        rows = load_problems(problems, **problem_source(source()))
        check_problems(rows, output, problems)
        state = start_processes()
        sampler = make(model, backend_options(loading))
        if state.is_main_process:
            has_template = bool(getattr(sampler.tokenizer, "chat_template", None))
            tell_what_is_not_used(has_template, config)
        report = sample_file(rows, output, sampler, config, generator=pool().generator, source=problems)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if state.is_main_process:
        Console().print(sampling_table(report))
        typer.echo(f"{report.problems} pool rows written to {output}")
    state.destroy_process_group()
