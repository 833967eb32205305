"""`weighted-dpo evaluate`: models or their pools → accuracy with intervals, and paired comparisons."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import PROBLEMS, pool_file
from trl_weighted_dpo.settings import (
    BackendConfig,
    EvaluationConfig,
    ModelsConfig,
    PoolRowsConfig,
    SamplingConfig,
    SourceConfig,
    WorkersConfig,
    setting_of,
    settings_of,
)

if TYPE_CHECKING:
    from trl_weighted_dpo.evaluation.files import ModelFiles
    from trl_weighted_dpo.evaluation.sampled import SampledModel


_OF_SAMPLING = {
    setting.name
    for config in (SamplingConfig, BackendConfig, SourceConfig)
    for setting in settings_of(config)
    if setting.name not in ("seed", "adapter", "column", "split")
}
"""Parameters that mean nothing where no model is sampled."""


@with_settings()
def evaluate(
    *,
    context: typer.Context,
    problems: Annotated[
        str | None,
        typer.Argument(help=f"For --model: {PROBLEMS}"),
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
    comparison: Callable[..., ModelsConfig],
    evaluation: Callable[..., EvaluationConfig],
    processes: Callable[..., WorkersConfig],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of tables.")] = False,
    completions: Annotated[
        int,
        typer.Option("--completions", "-k", min=0, help=setting_of(ModelsConfig, "completions").help),
    ] = ModelsConfig.completions,
    seed: Annotated[int, typer.Option(min=0, help=setting_of(ModelsConfig, "seed").help)] = ModelsConfig.seed,
    adapter: Annotated[
        list[str] | None, typer.Option(help="LoRA adapter on one of the models.", metavar="NAME=PATH")
    ] = None,
    sampling: Callable[..., SamplingConfig],
    few_shot: Annotated[Path | None, typer.Option(help=setting_of(SamplingConfig, "few_shot").help)] = None,
    backend: Callable[..., BackendConfig],
    loading: Callable[..., SourceConfig],
    reading: Callable[..., PoolRowsConfig],
) -> None:
    """Evaluate models on the same problems, and compare each with the first one.

    Models are sampled and verified (PROBLEMS --model NAME=PATH ...), or their pools read (--pool, --greedy). Can be
    stopped and run again: what was done lies in the output folder. In several processes:
    accelerate launch -m trl_weighted_dpo.cli evaluate ...
    """
    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.cli.sampling import backend_options, problem_source
    from trl_weighted_dpo.evaluation.files import evaluate_files
    from trl_weighted_dpo.report.evaluation import evaluation_tables
    from trl_weighted_dpo.sampling.few_shot import read_few_shot

    try:
        if output is None:
            raise ValueError("say where the report goes: -o FOLDER.")
        if output.exists() and not output.is_dir():
            raise ValueError(f"{output}: this is a file. Name a folder as output.")
        compared = comparison(completions=completions, seed=seed)
        config = evaluation(seed=compared.seed)
        models = _pools(pool or (), greedy or ())
        check_paths([], None, [path for own in models for path in (own.greedy, own.samples) if path is not None])
        read = {path: pool_file(path, reading()) for own in models for path in (own.greedy, own.samples) if path}
        loaded = backend(adapter=None)
        given = backend_options(loaded)
        sampled = _sampled(model or (), adapter or (), given, loaded.backend, [own.name for own in models])
        _check_names([*(own.name for own in models), *(own.name for own in sampled)], compared.baseline)
        if sampled and problems is None:
            raise ValueError("--model needs problems to sample: weighted-dpo evaluate PROBLEMS --model NAME=PATH.")
        if not sampled and problems is not None:
            raise ValueError(f"{problems}: pools hold their problems. Leave it out, or name a --model to sample.")
        if not sampled:
            _refuse_options_of_sampling(context)
        _check_inputs(output, models, [own.name for own in sampled], problems, few_shot)
        is_main_process = True
        if sampled and problems is not None:
            samples = sampling(completions=1, seed=seed, few_shot=read_few_shot(few_shot) if few_shot else ())
            if completions and samples.temperature == 0:
                raise ValueError("--temperature 0 is what the greedy candidate is made with: -k 0 leaves it alone.")
            samples = replace(samples, completions=completions or 1)
            configs = {"greedy": replace(samples, completions=1, temperature=0.0, top_p=1.0, top_k=0, seed=0)}
            configs |= {"samples": samples} if completions else {}
            source = problem_source(loading())
            made, is_main_process = _sample(output, problems, source, sampled, configs, loaded.backend)
            models += made
        if not is_main_process:
            return
        first = compared.baseline or models[0].name
        models.sort(key=lambda own: own.name != first)
        report = evaluate_files(output, models, config, processes().workers, read)
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
    configs: dict[str, SamplingConfig],
    backend: str,
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
            tell_what_is_not_used(bool(getattr(sampler.tokenizer, "chat_template", None)), configs["greedy"])

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
