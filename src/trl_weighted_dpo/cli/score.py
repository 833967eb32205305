"""`weighted-dpo score`: pool → pool with confidence, perplexity and reference log-probs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trl_weighted_dpo.cli.options import with_settings
from trl_weighted_dpo.cli.sources import POOL, pool_file
from trl_weighted_dpo.settings import BackendConfig, PoolRowsConfig, ScoringConfig, ScoringModelConfig, setting_of

if TYPE_CHECKING:
    from trl_weighted_dpo.core.pools import PoolFile


@with_settings()
def score(
    pool: Annotated[Path, typer.Argument(help=f"{POOL} Verified or not.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the scored rows go: *.jsonl or *.parquet.")],
    model: Annotated[str, typer.Option(help="The model to score with: folder, or name on the hub.")],
    loading: Callable[..., ScoringModelConfig],
    scoring: Callable[..., ScoringConfig],
    reading: Callable[..., PoolRowsConfig],
    adapter: Annotated[str | None, typer.Option(help=setting_of(BackendConfig, "adapter").help)] = None,
    tokenizer: Annotated[str | None, typer.Option(help=setting_of(BackendConfig, "tokenizer").help)] = None,
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
    from trl_weighted_dpo.core.files import check_rows, check_suffix, write_rows
    from trl_weighted_dpo.core.models import load_model, load_tokenizer
    from trl_weighted_dpo.report.scoring import scoring_table
    from trl_weighted_dpo.scoring.files import ScoredRows, journal_paths, remove_journals, score_into
    from trl_weighted_dpo.scoring.scoring import Scorer
    from trl_weighted_dpo.scoring.vllm_scorer import VLLMModel

    try:
        check_suffix(output)
        check_paths([], output, [pool])
        config, source = scoring(), loading()
        rows = pool_file(pool, reading())
        total = _checked(rows)
        check_rows(output, rows)
        state = start_processes()
        loaded_tokenizer = load_tokenizer(tokenizer or model)
        if state.is_main_process:
            tell_what_is_not_used(bool(loaded_tokenizer.chat_template), config)
        loaded: Any
        if source.backend == "transformers":
            loaded = load_model(model, source.dtype, adapter, source.load_in_4bit, source.double_quant, state.device)
        else:
            _check_vllm(adapter or config.autocast, source.load_in_4bit, state.num_processes)
            loaded = VLLMModel(model, source.dtype, config.max_length)
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


def _checked(rows: "PoolFile") -> int:
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


def _check_vllm(needs_torch: str | None, load_in_4bit: bool, processes: int) -> None:
    if needs_torch is not None or load_in_4bit or processes > 1:
        raise ValueError(
            "--backend vllm scores with one process and a whole model: leave out --adapter (merge it into the model), "
            "--autocast, --load-in-4bit and the launcher, or use --backend transformers."
        )
