"""`weighted-dpo score`: pool → pool with confidence, perplexity and reference log-probs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trl_weighted_dpo.core.files import RowFile


def score(
    pool: Annotated[Path, typer.Argument(help="Pool, as JSONL or Parquet: problem, candidates; verified or not.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the scored rows go: *.jsonl or *.parquet.")],
    model: Annotated[str, typer.Option(help="The model to score with: folder, or name on the hub.")],
    adapter: Annotated[str | None, typer.Option(help="LoRA adapter on it: folder, or name on the hub.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Folder of the tokenizer; the model's if left out.")] = None,
    dtype: Annotated[str, typer.Option(help="auto (as the model's files), float32, bfloat16 or float16.")] = "auto",
    autocast: Annotated[
        str | None, typer.Option(help="bfloat16 or float16: compute in it with weights of --dtype, as training may.")
    ] = None,
    load_in_4bit: Annotated[bool, typer.Option("--load-in-4bit", help="NF4 with bitsandbytes.")] = False,
    double_quant: Annotated[
        bool, typer.Option("--double-quant", help="Quantise the constants of --load-in-4bit too, as Axolotl does.")
    ] = False,
    max_length: Annotated[
        int, typer.Option(min=0, help="Tokens of prompt and completion, as in training; TRL's default; 0 is no limit.")
    ] = 1024,
    truncation_mode: Annotated[str, typer.Option(help="What is kept of longer ones: keep_start or keep_end.")] = (
        "keep_start"
    ),
    prompt_template: Annotated[
        str | None, typer.Option(help="Prompt with {problem}, where the tokenizer has no chat template.")
    ] = None,
    system_prompt: Annotated[str | None, typer.Option(help="System message, with a chat template.")] = None,
    chat_template_kwargs: Annotated[
        str | None, typer.Option(help='JSON with variables of the chat template: {"enable_thinking": false}.')
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a forward pass, with padding; 4096, on a CPU 512.")
    ] = None,
    backend: Annotated[str, typer.Option(help="transformers, or vllm on a GPU.")] = "transformers",
) -> None:
    """Score the candidates of a pool under the model that is to be trained.

    Can be stopped and run again: what was scored lies in OUTPUT.journal until all is done. In several processes:
    accelerate launch -m trl_weighted_dpo.cli score ...
    """
    import time

    from accelerate.utils import gather_object
    from rich.console import Console

    from trl_weighted_dpo.cli.paths import check_paths
    from trl_weighted_dpo.cli.processes import start_processes
    from trl_weighted_dpo.cli.rendering import tell_what_is_not_used
    from trl_weighted_dpo.core.files import RowFile, check_rows, check_suffix, write_rows
    from trl_weighted_dpo.core.models import load_model, load_tokenizer
    from trl_weighted_dpo.core.rendering import DEFAULT_PROMPT_TEMPLATE, read_chat_template_kwargs
    from trl_weighted_dpo.report.scoring import scoring_table
    from trl_weighted_dpo.scoring.files import ScoredRows, journal_paths, remove_journals, score_into
    from trl_weighted_dpo.scoring.scoring import Scorer, ScoringConfig
    from trl_weighted_dpo.scoring.vllm_scorer import VLLMModel

    try:
        check_suffix(output)
        check_paths([pool], output)
        config = ScoringConfig(
            max_length or None,
            truncation_mode,
            prompt_template or DEFAULT_PROMPT_TEMPLATE,
            system_prompt,
            batch_tokens,
            autocast,
            read_chat_template_kwargs(chat_template_kwargs),
        )
        rows = RowFile(pool)
        total = _checked(rows)
        check_rows(output, rows)
        state = start_processes()
        loaded_tokenizer = load_tokenizer(tokenizer or model)
        if state.is_main_process:
            has_template = bool(loaded_tokenizer.chat_template)
            tell_what_is_not_used(has_template, prompt_template, system_prompt, chat_template_kwargs)
        loaded: Any
        if backend == "transformers":
            loaded = load_model(model, dtype, adapter, load_in_4bit, double_quant, state.device)
        else:
            _check_backend(backend, adapter or autocast, load_in_4bit, state.num_processes)
            loaded = VLLMModel(model, dtype, config.max_length)
        scorer = Scorer(loaded, loaded_tokenizer, config)
        journals = journal_paths(output, state.num_processes)
        process, started = state.process_index, time.perf_counter()
        score_into(journals[process], rows, scorer, str(pool), process, state.num_processes, total)
        tokens_read = sum(gather_object([scorer.tokens_read]))
        seconds = time.perf_counter() - started
        if state.is_main_process:
            scored = ScoredRows(rows, journals, scorer.fingerprint)
            table = scoring_table(scored.report(), tokens_read, seconds)
            write_rows(output, scored)
            remove_journals(output)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    if state.is_main_process:
        Console().print(table)
        typer.echo(f"{total} scored rows written to {output}")
    state.destroy_process_group()


def _checked(rows: "RowFile") -> int:
    """How many rows there are: a bad one is told before a model is loaded."""
    from trl_weighted_dpo.core import schema
    from trl_weighted_dpo.scoring.scoring import check_row

    total = candidates = 0
    for row in rows:
        check_row(row, total, str(rows))
        total += 1
        candidates += len(row[schema.CANDIDATES])
    if not candidates:
        what = f"{schema.CANDIDATES!r} is empty in all {total} rows" if total else "the file is empty"
        raise ValueError(f"{rows}: {what}, so there is nothing to score and nothing was written.")
    return total


def _check_backend(backend: str, needs_torch: str | None, load_in_4bit: bool, processes: int) -> None:
    if backend != "vllm":
        raise ValueError(f"Unknown backend {backend!r}. Choose transformers or vllm.")
    if needs_torch is not None or load_in_4bit or processes > 1:
        raise ValueError(
            "--backend vllm scores with one process and a whole model: leave out --adapter (merge it into the model), "
            "--autocast, --load-in-4bit and the launcher, or use --backend transformers."
        )
