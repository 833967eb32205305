"""One process of `weighted-dpo train`: `accelerate launch -m trl_weighted_dpo.training.run FLAGS`, or torchrun."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from rich.console import Console
from trl import get_peft_config, get_quantization_config

from trl_weighted_dpo.core.models import load_tokenizer
from trl_weighted_dpo.report.weighting import weights_table
from trl_weighted_dpo.training.arguments import TrainParser, check
from trl_weighted_dpo.training.card import CARD_FILE
from trl_weighted_dpo.training.pairs import check_rows, load_pairs
from trl_weighted_dpo.training.record import RECORD_FILE
from trl_weighted_dpo.training.trainer import WeightedDPOTrainer


def main(arguments: list[str]) -> None:
    """Train, save, and say where things are.

    Args:
        arguments (`list[str]`): Flags of `weighted-dpo train`, but for those of accelerate.

    Raises:
        `SystemExit`: With 1, after a line on stderr, if the input is bad.
    """
    try:
        *parsed, _, unknown = TrainParser().parse(arguments)
        if unknown:
            raise ValueError(f"Unknown flags: {' '.join(unknown)}. See weighted-dpo train --help.")
        check(*parsed)
        trainer = _make_trainer(*parsed)
    except (ValueError, OSError, ImportError) as error:
        # Every process finds the same: one of each machine says so.
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    pairs, args = parsed[0], trainer.args
    if pairs.ignore_bias_buffers:
        trainer.model._ddp_params_and_buffers_to_ignore = [
            name for name, buffer in trainer.model.named_buffers() if buffer.dtype == torch.bool
        ]
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model(args.output_dir)
    # A card names data that others can find.
    public = None if Path(pairs.dataset_name or ".").exists() else pairs.dataset_name
    trainer.create_model_card(model_name=Path(args.output_dir).name, dataset_name=public)
    if args.push_to_hub:
        trainer.push_to_hub(dataset_name=public)
    if trainer.is_world_process_zero():
        _report(trainer)
    # A process that leaves while another still works may abort as it ends.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


def _make_trainer(pairs: Any, args: Any, model: Any, mixture: Any) -> WeightedDPOTrainer:
    given = args.model_init_kwargs or {}
    args.model_init_kwargs = {
        "revision": model.model_revision,
        "trust_remote_code": args.trust_remote_code,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **given,
    }
    tokenizer = load_tokenizer(
        model.model_name_or_path, revision=model.model_revision, trust_remote_code=args.trust_remote_code
    )
    train, held_out = _load(pairs, mixture, tokenizer, args.eval_strategy != "no", args.seed)
    return WeightedDPOTrainer(
        model.model_name_or_path,
        args=args,
        train_dataset=train,
        eval_dataset=held_out,
        quantization_config=get_quantization_config(model),
        peft_config=get_peft_config(model),
    )


def _load(pairs: Any, mixture: Any, *settings: Any) -> tuple[Any, Any]:
    """Let the main process check and prepare the pairs; the others then find them in the cache, or hear its error."""
    state, loaded = PartialState(), None
    failure: list[str | None] = [None]
    if state.is_main_process:
        try:
            check_rows(pairs, mixture)
            loaded = load_pairs(pairs, mixture, *settings)
        except (ValueError, OSError) as error:
            failure = [str(error)]
    broadcast_object_list(failure)
    if failure[0] is not None:
        raise ValueError(failure[0])
    return loaded or load_pairs(pairs, mixture, *settings)


def _report(trainer: WeightedDPOTrainer) -> None:
    console, folder = Console(soft_wrap=True), Path(trainer.args.output_dir)
    weighting = trainer.run_record["weighting"]
    console.print(weights_table(weighting))
    for note in weighting["summary"]["notes"] if weighting["summary"] else ():
        console.print(note, markup=False, highlight=False)
    for what, name in (("Model", ""), ("What it was trained with", RECORD_FILE), ("Model card", CARD_FILE)):
        console.print(f"{what}: {folder / name}", markup=False, highlight=False)


if __name__ == "__main__":
    main(sys.argv[1:])
