"""One process of the SFT stage with TRL: `accelerate launch -m trl_weighted_dpo.pipeline.sft --config sft.yaml`.

TRL's own `SFTTrainer`, by the flags and keys of `trl sft`. That of trl 1.9 does not resume from a checkpoint, takes no
file as `dataset_name`, and passes over keys that it does not know; this is all that is different here.
"""

import difflib
import os
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset
from trl import (
    DatasetMixtureConfig,
    ModelConfig,
    ScriptArguments,
    SFTConfig,
    SFTTrainer,
    TrlParser,
    get_dataset,
    get_peft_config,
    get_quantization_config,
)

from trl_weighted_dpo.core.files import SUFFIXES, RowFile


def parse(arguments: list[str]) -> tuple[Any, ...]:
    """The dataclasses `ScriptArguments`, `SFTConfig`, `ModelConfig` and `DatasetMixtureConfig` of a command line.

    Raises:
        `ValueError`: If a flag or key is unknown, or a value is wrong.
    """
    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig), prog="sft")

    def refuse(message: str) -> None:
        raise ValueError(message)

    parser.error = refuse
    *parsed, unknown = parser.parse_args_and_config(arguments, return_remaining_strings=True)
    flags = [word.partition("=")[0] for word in unknown if word.startswith("--")]
    if flags:
        near = difflib.get_close_matches(flags[0], parser._option_string_actions, n=1)
        hint = f" Did you mean {near[0].removeprefix('--')}?" if near else ""
        raise ValueError(
            f"there is no key {flags[0].removeprefix('--')} in trl's SFTConfig, ModelConfig and others.{hint}"
        )
    return tuple(parsed)


def main(arguments: list[str]) -> None:
    """Train by TRL's `SFTTrainer`, and save.

    Raises:
        `SystemExit`: With 1, after a line on stderr, if the input is bad.
    """
    try:
        script, args, model, mixture = parse(arguments)
        train, held_out = _load(script, mixture, args.eval_strategy != "no")
    except (ValueError, OSError) as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    args.model_init_kwargs = {
        "revision": model.model_revision,
        "trust_remote_code": args.trust_remote_code,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(args.model_init_kwargs or {}),
    }
    trainer = SFTTrainer(
        model=model.model_name_or_path,
        args=args,
        train_dataset=train,
        eval_dataset=held_out,
        quantization_config=get_quantization_config(model),
        peft_config=get_peft_config(model),
    )
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model(args.output_dir)
    # A process that leaves while another still works may abort as it ends.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


def _load(script: Any, mixture: Any, evaluate: bool) -> tuple[Any, Any]:
    if mixture.datasets:
        splits = get_dataset(mixture)
    elif script.dataset_name and Path(script.dataset_name).suffix in SUFFIXES:
        rows = list(RowFile(script.dataset_name))
        splits = {"train": Dataset.from_list(rows)}
    else:
        splits = load_dataset(script.dataset_name, name=script.dataset_config, streaming=script.dataset_streaming)
    if evaluate and script.dataset_test_split not in splits:
        raise ValueError(
            f"eval_strategy is set, but the data have no split {script.dataset_test_split!r}. Name data by "
            "`datasets:`, with test_split_size."
        )
    return splits[script.dataset_train_split], splits[script.dataset_test_split] if evaluate else None


if __name__ == "__main__":
    main(sys.argv[1:])
