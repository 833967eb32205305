"""`weighted-dpo sample`: problems → pool."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    problems: Annotated[
        str, typer.Argument(help="File (JSONL, JSONL.GZ, Parquet, CSV), folder, or name on the hub (NAME:CONFIG).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the pool goes: *.jsonl or *.parquet.")],
    model: Annotated[str, typer.Option(help="The model to sample from: folder, name on the hub, or a server's name.")],
    completions: Annotated[
        int | None, typer.Option("--completions", "-k", help="Samples of each problem; 8, with --temperature 0 one.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 takes the most likely token each time.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Smallest set of likely tokens with this probability; 1: all.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="This many of the most likely tokens; 0: all.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="A sample that has not ended by then is cut.")] = 512,
    seed: Annotated[int, typer.Option(help="Another one gives other samples.")] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="Text that ends a sample, and is cut from it.")] = None,
    backend: Annotated[str, typer.Option(help="transformers, vllm, server, or one of a plugin.")] = "transformers",
    base_url: Annotated[str | None, typer.Option(help="Of --backend server, such as http://localhost:8000/v1.")] = None,
    adapter: Annotated[str | None, typer.Option(help="LoRA adapter on the model: folder, or name on the hub.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Folder of the tokenizer; the model's if left out.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="auto (as the model's files; the default), float32, bfloat16 or float16.")
    ] = None,
    load_in_4bit: Annotated[bool, typer.Option("--load-in-4bit", help="NF4 with bitsandbytes.")] = False,
    option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE: another option of the backend, such as concurrency=32.")
    ] = None,
    prompt_template: Annotated[
        str | None, typer.Option(help="Prompt with {problem}, where the tokenizer has no chat template.")
    ] = None,
    system_prompt: Annotated[str | None, typer.Option(help="System message, with a chat template.")] = None,
    chat_template_kwargs: Annotated[
        str | None, typer.Option(help='JSON with variables of the chat template: {"enable_thinking": false}.')
    ] = None,
    few_shot: Annotated[Path | None, typer.Option(help="JSONL: problem, solution; shown before each problem.")] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a batch, the new ones counted; 65536, on a CPU 32768.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="What the columns mean: gsm8k, math, metamathqa, numina_math, orca_math, ...")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="OURS=THEIRS, such as problem=question.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split, where there are several.")] = None,
    limit: Annotated[int | None, typer.Option(help="How many problems at most.")] = None,
    generator: Annotated[str | None, typer.Option(help="Left on each candidate as `generator`.")] = None,
) -> None:
    """Sample solutions of problems from a model.

    Can be stopped and run again: what was sampled lies in OUTPUT.journal until all is done. In several processes:
    accelerate launch -m trl_weighted_dpo.cli sample ...
    """
    from rich.console import Console

    from trl_weighted_dpo import plugins
    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.cli.processes import start_processes
    from trl_weighted_dpo.cli.rendering import tell_what_is_not_used
    from trl_weighted_dpo.cli.sampling import backend_options, problem_source, sampling_config
    from trl_weighted_dpo.core.files import check_suffix
    from trl_weighted_dpo.problems import load_problems
    from trl_weighted_dpo.report.sampling import sampling_table
    from trl_weighted_dpo.sampling.files import check_problems, sample_file

    try:
        check_suffix(output)
        files = [Path(problems)] if Path(problems).is_file() else []
        check_paths([*files, *([few_shot] if few_shot else [])], output)
        config = sampling_config(
            completions if completions is not None else 8 if temperature else 1, stop, prompt_template, few_shot,
            chat_template_kwargs, temperature=temperature, top_p=top_p, top_k=top_k, max_new_tokens=max_new_tokens,
            seed=seed, system_prompt=system_prompt, batch_tokens=batch_tokens,
        )  # fmt: skip
        given = backend_options(
            option, load_in_4bit, base_url=base_url, adapter=adapter, tokenizer=tokenizer, dtype=dtype
        )
        make = plugins.find("samplers", backend)
        rows = load_problems(problems, **problem_source(preset, column, split, limit))
        check_problems(rows, output, problems)
        state = start_processes()
        sampler = make(model, given)
        if state.is_main_process:
            has_template = bool(getattr(sampler.tokenizer, "chat_template", None))
            tell_what_is_not_used(has_template, prompt_template, system_prompt, chat_template_kwargs)
        report = sample_file(rows, output, sampler, config, generator=generator, source=problems)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if state.is_main_process:
        Console().print(sampling_table(report))
        typer.echo(f"{report.problems} pool rows written to {output}")
    state.destroy_process_group()
