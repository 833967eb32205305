"""`weighted-dpo evaluate`: models or their pools → accuracy with intervals, and paired comparisons."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trl_weighted_dpo.evaluation.files import ModelFiles
    from trl_weighted_dpo.evaluation.sampled import SampledModel
    from trl_weighted_dpo.sampling import SamplingConfig


_OF_SAMPLING = (
    "completions", "temperature", "top_p", "top_k", "max_new_tokens", "stop", "backend", "base_url", "tokenizer",
    "dtype", "load_in_4bit", "option", "prompt_template", "system_prompt", "chat_template_kwargs", "few_shot",
    "batch_tokens", "preset", "column", "split", "limit",
)  # fmt: skip
"""Parameters that mean nothing where no model is sampled."""


def evaluate(
    context: typer.Context,
    problems: Annotated[
        str | None,
        typer.Argument(help="For --model: file (JSONL, JSONL.GZ, Parquet, CSV), folder, or name on the hub."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the report and what it is made of.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model to sample: folder, or name on the hub or of a server.", metavar="[NAME=]PATH"),
    ] = None,
    pool: Annotated[
        list[str] | None, typer.Option(help="Samples of a model: a pool, verified or not.", metavar="NAME=FILE")
    ] = None,
    greedy: Annotated[
        list[str] | None,
        typer.Option(help="Greedy candidates of a model: a pool with one for each problem.", metavar="NAME=FILE"),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The model that others are compared with; the first one if left out.")
    ] = None,
    difficulty: Annotated[
        str | None,
        typer.Option(help="Split by this column, by steps (of the reference solution) or accuracy (of the baseline)."),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = 10_000,
    workers: Annotated[int, typer.Option(min=1, help="Processes to verify in.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of tables.")] = False,
    completions: Annotated[
        int, typer.Option("--completions", "-k", min=0, help="Samples of each problem, beside a greedy candidate.")
    ] = 8,
    temperature: Annotated[float, typer.Option(help="Of the samples; above 0.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Of the samples; 1: all tokens.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Of the samples; 0: all tokens.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="A candidate that has not ended by then is cut.")] = 512,
    seed: Annotated[int, typer.Option(help="Of the samples and the bootstrap.")] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="Text that ends a candidate, and is cut from it.")] = None,
    backend: Annotated[str, typer.Option(help="transformers, vllm, server, or one of a plugin.")] = "transformers",
    base_url: Annotated[str | None, typer.Option(help="Of --backend server, such as http://localhost:8000/v1.")] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(help="LoRA adapter on one of the models.", metavar="NAME=PATH")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Of all models: folder; each model's own if left out.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="auto (as the model's files; the default), float32, bfloat16 or float16.")
    ] = None,
    load_in_4bit: Annotated[bool, typer.Option("--load-in-4bit", help="NF4 with bitsandbytes.")] = False,
    option: Annotated[
        list[str] | None, typer.Option(help="Another option of the backend.", metavar="KEY=VALUE")
    ] = None,
    prompt_template: Annotated[
        str | None, typer.Option(help="Prompt with {problem}, where the tokenizer has no chat template.")
    ] = None,
    system_prompt: Annotated[str | None, typer.Option(help="System message, with a chat template.")] = None,
    chat_template_kwargs: Annotated[
        str | None, typer.Option(help='JSON with variables of the chat template: {"enable_thinking": false}.')
    ] = None,
    few_shot: Annotated[Path | None, typer.Option(help="JSONL: problem, solution; shown before each problem.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of a batch, as for `sample`.")] = None,
    preset: Annotated[str | None, typer.Option(help="What the problems' columns mean, as for `sample`.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Such as problem=question.", metavar="OURS=THEIRS")] = None,
    split: Annotated[str | None, typer.Option(help="Which split of the problems, where there are several.")] = None,
    limit: Annotated[int | None, typer.Option(help="How many problems at most.")] = None,
) -> None:
    """Evaluate models on the same problems, and compare each with the first one.

    Models are sampled and verified (PROBLEMS --model NAME=PATH ...), or their pools read (--pool, --greedy). Can be
    stopped and run again: what was done lies in the output folder. In several processes:
    accelerate launch -m trl_weighted_dpo.cli evaluate ...
    """
    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.cli.sampling import backend_options, problem_source, sampling_config
    from trl_weighted_dpo.evaluation.evaluating import EvaluationConfig
    from trl_weighted_dpo.evaluation.files import evaluate_files
    from trl_weighted_dpo.report.evaluation import evaluation_tables

    try:
        if output is None:
            raise ValueError("say where the report goes: -o FOLDER.")
        if output.exists() and not output.is_dir():
            raise ValueError(f"{output}: this is a file. Name a folder as output.")
        config = EvaluationConfig(difficulty, confidence, resamples, seed)
        models = _pools(pool or (), greedy or ())
        check_paths([path for own in models for path in (own.greedy, own.samples) if path is not None])
        given = backend_options(option, load_in_4bit, base_url=base_url, tokenizer=tokenizer, dtype=dtype)
        sampled = _sampled(model or (), adapter or (), given, backend, [own.name for own in models])
        _check_names([*(own.name for own in models), *(own.name for own in sampled)], baseline)
        if sampled and problems is None:
            raise ValueError("--model needs problems to sample: weighted-dpo evaluate PROBLEMS --model NAME=PATH.")
        if not sampled and problems is not None:
            raise ValueError(f"{problems}: pools hold their problems. Leave it out, or name a --model to sample.")
        if not sampled:
            _refuse_options_of_sampling(context)
        _check_inputs(output, models, [own.name for own in sampled], problems, few_shot)
        is_main_process = True
        if sampled and problems is not None:
            if completions and temperature == 0:
                raise ValueError("--temperature 0 is what the greedy candidate is made with: -k 0 leaves it alone.")
            samples = sampling_config(
                completions or 1, stop, prompt_template, few_shot, chat_template_kwargs, temperature=temperature,
                top_p=top_p, top_k=top_k, max_new_tokens=max_new_tokens, seed=seed, system_prompt=system_prompt,
                batch_tokens=batch_tokens,
            )  # fmt: skip
            configs = {"greedy": replace(samples, completions=1, temperature=0.0, top_p=1.0, top_k=0, seed=0)}
            configs |= {"samples": samples} if completions else {}
            source = problem_source(preset, column, split, limit)
            told = (prompt_template, system_prompt, chat_template_kwargs)
            made, is_main_process = _sample(output, problems, source, sampled, configs, backend, told)
            models += made
        if not is_main_process:
            return
        first = baseline or models[0].name
        report = evaluate_files(output, sorted(models, key=lambda own: own.name != first), config, workers)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    console = Console()
    for table in evaluation_tables(report):
        console.print(table)
    typer.echo(f"Report written to {output / 'evaluation.json'}")


def _sample(
    folder: Path,
    problems: str,
    source: dict[str, Any],
    models: "Sequence[SampledModel]",
    configs: "dict[str, SamplingConfig]",
    backend: str,
    told: tuple[str | None, str | None, str | None],
) -> "tuple[list[ModelFiles], bool]":
    """The pools of models, and whether this process is the first one, which goes on alone."""
    from trl_weighted_dpo import plugins
    from trl_weighted_dpo.cli.processes import start_processes
    from trl_weighted_dpo.cli.rendering import tell_what_is_not_used
    from trl_weighted_dpo.evaluation.pools import check_references
    from trl_weighted_dpo.evaluation.sampled import sample_model
    from trl_weighted_dpo.problems import load_problems

    make = plugins.find("samplers", backend)
    rows = load_problems(problems, **source)
    check_references(rows, problems)
    state = start_processes()

    def tell(sampler: Any) -> None:
        if state.is_main_process:
            tell_what_is_not_used(bool(getattr(sampler.tokenizer, "chat_template", None)), *told)

    files = [sample_model(folder, model, rows, configs, make, problems, tell) for model in models]
    is_main_process = state.is_main_process
    state.destroy_process_group()
    return files, is_main_process


def _pools(pools: Iterable[str], greedy: Iterable[str]) -> "list[ModelFiles]":
    """The models whose pools are there, in the order of --pool, then --greedy."""
    from trl_weighted_dpo.evaluation.files import ModelFiles

    found: dict[str, dict[str, Path]] = {}
    for option, kind, values in (("--pool", "samples", pools), ("--greedy", "greedy", greedy)):
        for value in values:
            name, sign, path = value.partition("=")
            if not sign or not path:
                raise ValueError(f"{option} {value}: give NAME=FILE, with a name for the model.")
            files = found.setdefault(name, {})
            if kind in files:
                raise ValueError(f"{option} {value}: {name} has the pool {files[kind]} already. Give one to each name.")
            files[kind] = Path(path)
    return [ModelFiles(name, **files) for name, files in found.items()]


def _sampled(
    models: Iterable[str], adapters: Sequence[str], options: dict[str, Any], backend: str, taken: list[str]
) -> "list[SampledModel]":
    """The models that are to be sampled: `NAME=PATH`, or a path whose last part is the name."""
    from trl_weighted_dpo.cli.rendering import named

    of_name = named(adapters, "--adapter", "NAME=PATH")
    found = []
    for value in models:
        # Loads torch, which pools alone do not need.
        from trl_weighted_dpo.evaluation.sampled import SampledModel

        name, sign, path = value.partition("=")
        if not sign or not name or "/" in name:
            name, path = Path(value).name, value
        if name in taken:
            raise ValueError(
                f"--model {value}: {name} has a pool already. Give the model a name of its own: NAME=PATH."
            )
        own = {"adapter": of_name.pop(name)} if name in of_name else {}
        found.append(SampledModel(name, path, {**options, **own}, backend))
    for name in of_name:
        raise ValueError(f"--adapter {name}=...: no --model is called {name!r}.")
    return found


def _check_names(names: list[str], baseline: str | None) -> None:
    if not names:
        raise ValueError("there is nothing to evaluate: give --model NAME=PATH with problems, or --pool NAME=FILE.")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two models are called {name!r}. Give each a name of its own: NAME=PATH.")
    if baseline is not None and baseline not in names:
        raise ValueError(f"--baseline {baseline}: there is no such model; there are: {', '.join(names)}.")


def _refuse_options_of_sampling(context: typer.Context) -> None:
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in _OF_SAMPLING and source is not None and source.name == "COMMANDLINE":
            raise ValueError(
                f"{parameter.opts[0]} is for models that are sampled, but there is no --model: pools are taken as they "
                "are."
            )


def _check_inputs(
    folder: Path, pools: "Sequence[ModelFiles]", sampled: Iterable[str], problems: str | None, few_shot: Path | None
) -> None:
    """Check that what is written into the folder replaces nothing that is read."""
    from trl_weighted_dpo.evaluation.files import PROBLEMS, REPORT

    made = [f"{name}.{kind}.jsonl" for name in sampled for kind in ("greedy", "samples")]
    read = [path for own in pools for path in (own.greedy, own.samples) if path is not None]
    read += [Path(problems)] if problems is not None else []
    read += [few_shot] if few_shot is not None else []
    for path in read:
        for written in (folder / name for name in (REPORT, PROBLEMS, *made)):
            if path.is_file() and written.is_file() and written.samefile(path):
                raise ValueError(f"{folder}: {path} would be replaced there. Name another folder as output.")
