"""Errors for models, data and settings that the trainer does not support, with what to do instead."""

import json
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import is_peft_model
from datasets import IterableDataset
from transformers import ProcessorMixin
from trl import extract_prompt, is_conversational

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pair_row, row_error
from trl_weighted_dpo.core.pairs import PAIR_LAYOUTS, checked_pair
from trl_weighted_dpo.core.rendering import check_conversation
from trl_weighted_dpo.core.seam import model_source
from trl_weighted_dpo.training.collator import WeightedPreferenceCollator
from trl_weighted_dpo.training.config import WeightedTrainingConfig
from trl_weighted_dpo.training.objective import Objective
from trl_weighted_dpo.weighting import check_loss_columns, check_signals, check_weights

logger = get_logger(__name__)

_BOS_SAMPLE = 100


def check_config_class(args: Any) -> None:
    """Refuse a config without the fields of weighted DPO.

    Raises:
        `ValueError`: Names the fields and the class to use.
    """
    missing = [name for name in WeightedTrainingConfig.__dataclass_fields__ if not hasattr(args, name)]
    if missing:
        raise ValueError(
            f"`args` is a {type(args).__name__}, which lacks {', '.join(missing)}. Use WeightedDPOConfig, which takes "
            "every argument of TRL's DPOConfig."
        )


def check_arguments(
    args: Any, model: Any, ref_model: Any, data_collator: Any, processing_class: Any, peft_config: Any
) -> None:
    """Refuse what the trainer cannot do.

    Raises:
        `ValueError`: With the option, the reason and what to do instead.
    """
    check_text_only(processing_class)
    if isinstance(ref_model, str):
        raise ValueError(
            f"`ref_model` is the text {ref_model!r}; TRL takes a model there. Leave it out if the reference is `model` "
            f"as it is on disk, or pass `AutoModelForCausalLM.from_pretrained({ref_model!r})`."
        )
    if data_collator is not None and not isinstance(data_collator, WeightedPreferenceCollator):
        raise ValueError(
            f"`data_collator` is a {type(data_collator).__name__}, which would drop the pairs' weights. Leave it out, "
            "or derive yours from WeightedPreferenceCollator."
        )
    if args.use_liger_kernel:
        raise ValueError(
            "`use_liger_kernel=True` is not supported: Liger replaces the model's forward, and its fused DPO loss "
            "returns one number for a batch, which no pair weight can act on. Set `use_liger_kernel=False`."
        )
    if args.padding_free:
        raise ValueError(
            "`padding_free=True` is not supported: TRL itself has switched it off, and the batch stacks chosen over "
            "rejected sequences. Set `padding_free=False`."
        )
    if args.health_early_stop and not args.health_check:
        raise ValueError(
            "`health_early_stop=True` does nothing with `health_check=False`, which switches off what would stop "
            "training. Set `health_check=True`."
        )
    parallelism = getattr(args, "parallelism_config", None)
    if parallelism is not None and any(getattr(parallelism, name, 1) > 1 for name in ("cp_size", "sp_size")):
        raise ValueError(
            "Context and sequence parallelism are not supported: they split a completion over processes, while a "
            "pair's loss needs its whole log-prob. Use data parallelism (DDP, DeepSpeed ZeRO or FSDP)."
        )
    needs_disk = ref_model is None and peft_config is None and not args.precompute_ref_log_probs
    if needs_disk and not isinstance(model, str) and not is_peft_model(model) and not model_source(model.config):
        raise ValueError(
            "The model was made in memory and has no name to load its reference from. Pass "
            "`ref_model=copy.deepcopy(model)`, or set `precompute_ref_log_probs=True`."
        )


def keep_batches_whole(args: Any) -> None:
    """Let each process make its own batches of a stream: a batch that stacks chosen over rejected sequences cannot be
    cut along its first dimension, as accelerate would to hand out the main process's."""
    if args.accelerator_config.dispatch_batches:
        logger.warning("`dispatch_batches=True` would tear pairs apart, and is set to False.")
    args.accelerator_config.dispatch_batches = False


def check_sharing(share: str, has_auxiliary_loss: bool) -> None:
    """Refuse `share_prompt=True` where the loss needs the model's own forward.

    Raises:
        `ValueError`: Says what to do instead.
    """
    if share == "true" and has_auxiliary_loss:
        raise ValueError(
            "`share_prompt` is true, but prompts cannot be shared: the auxiliary loss of a mixture of experts comes "
            "from the model's own forward. Set it to 'auto'."
        )


def check_text_only(processing_class: Any) -> None:
    """Refuse a vision-language model's processor, given or loaded by TRL.

    Raises:
        `ValueError`: Says what to do instead.
    """
    if isinstance(processing_class, ProcessorMixin):
        raise ValueError(
            "Vision-language models are not supported: the verifier and the weights are about text. Pass the "
            "processor's tokenizer as `processing_class` to train the language part on text, or use TRL's DPOTrainer."
        )


def column_names(dataset: Any) -> list[str]:
    """Columns of a dataset; a stream that does not know them is asked for its first row."""
    return list(dataset.column_names or next(iter(dataset), {}))


def check_columns(dataset: Any) -> None:
    """Refuse data with images.

    Raises:
        `ValueError`: Says what to do instead.
    """
    names = set() if dataset is None else set(column_names(dataset))
    if names & {"image", "images"}:
        raise ValueError("The dataset has images, and vision is not supported. Use TRL's DPOTrainer for it.")


def check_pairs(dataset: Any, source: str) -> None:
    """Check every row of a map-style dataset, and say how many pairs have two equal completions.

    Raises:
        [`~core.checks.SchemaError`]: Names the row, the column and the value.
    """
    columns = [name for name in (schema.PROMPT, schema.CHOSEN, schema.REJECTED) if name in dataset.column_names]
    if {schema.CHOSEN, schema.REJECTED}.issubset(columns):
        dataset = dataset.select_columns(columns)
    layout = PAIR_LAYOUTS["own" if schema.PROMPT in columns else "implicit"]
    equal = 0
    for index, row in enumerate(dataset):
        check_pair_row(row, index, source)
        if layout.prompt is None:
            checked_pair(row, layout, index, source)
        equal += row[schema.CHOSEN] == row[schema.REJECTED]
    if equal:
        logger.warning("%d pairs of %s have two equal completions and teach nothing: drop them.", equal, source)


def check_conversations(dataset: Any, tokenizer: Any, source: str) -> Any:
    """Check that the chat template renders conversations without loss: their completions after the prompt, and all of
    their text. TRL would cut letters off, or train on completions without their thinking.

    Args:
        dataset (`Dataset` or `IterableDataset`): Pairs; those that are text are not looked at.
        tokenizer (`PreTrainedTokenizerBase`): The model's.
        source (`str`): Name of the dataset, for messages.

    Returns:
        The dataset; a stream's rows are checked as they come.

    Raises:
        [`~core.checks.SchemaError`]: Names the row and what is lost.
    """
    if not is_conversational(next(iter(dataset), {})):
        return dataset

    def check(row: dict[str, Any], index: int) -> dict[str, Any]:
        pair = row if schema.PROMPT in row else extract_prompt(row)
        tools = row.get("tools")
        variables = {"tools": json.loads(tools) if isinstance(tools, str) else tools}
        variables |= row.get(schema.CHAT_TEMPLATE_KWARGS) or {}
        for column in (schema.CHOSEN, schema.REJECTED):
            try:
                check_conversation(pair[schema.PROMPT], [pair[column]], tokenizer, variables)
            except ValueError as error:
                raise row_error(source, index, column, pair[column], str(error)) from error
        return {}

    if isinstance(dataset, IterableDataset):
        return dataset.map(check, with_indices=True)
    for index, row in enumerate(dataset):
        check(row, index)
    return dataset


def check_weights_and_signals(dataset: Any, scheme: str, source: str) -> None:
    """Check the columns that the weights of a map-style dataset come from.

    Raises:
        [`~core.checks.SchemaError`]: Names the row, the column and the value.
    """
    if scheme == "column" and schema.WEIGHT in dataset.column_names:
        check_weights(dataset[schema.WEIGHT][:], source)
    if scheme not in ("column", "uniform"):
        signals = (*schema.SIGNALS, schema.REWARD_MARGIN)
        check_signals({name: dataset[name][:] for name in signals if name in dataset.column_names}, source)


def check_columns_of_the_loss(dataset: Any, objective: Objective, known: list[str] | None, source: str) -> list[str]:
    """Check the pairs' own `dpo_margin` and `dpo_beta`; a stream's values are checked as they come.

    Args:
        dataset (`Dataset` or `IterableDataset`): Pairs.
        objective ([`~training.objective.Objective`]): What a `dpo_margin` has to go with.
        known (`list[str]`, *optional*): Those of the two that the training set has; `None` for the training set.
        source (`str`): Name of the dataset, for messages.

    Returns:
        Those of the two that this dataset has.

    Raises:
        [`~core.checks.SchemaError`]: Names the row, the column and the value.
        `ValueError`: If `dpo_margin` does not go with the losses.
    """
    names = column_names(dataset)
    there = [name for name in schema.LOSS_COLUMNS if name in names]
    if schema.DPO_MARGIN in there:
        objective.check_offsets(source)
    if not isinstance(dataset, IterableDataset):
        check_loss_columns({name: dataset[name][:] for name in there}, source)
    missing = [name for name in known or () if name not in there]
    if missing:
        logger.warning(
            "The training set has %s, and %s has not: its pairs take the configured beta, and no offset, so that its "
            "loss and rewards are on another scale.",
            " and ".join(map(repr, missing)),
            source,
        )
    return there


def warn_if_reference_differs(model: Any, reference: Any) -> None:
    """Warn if the reference that TRL loaded from disk is not the model that was given, as after changes in memory."""
    ours, theirs = dict(model.named_parameters()), dict(reference.named_parameters())
    names = sorted(ours.keys() & theirs.keys())
    for name in {names[0], names[len(names) // 2], names[-1]} if names else ():
        policy, frozen = (parameter.detach().float().cpu() for parameter in (ours[name], theirs[name]))
        # A shape that differs is a shard of DeepSpeed or FSDP, which tells nothing.
        if policy.shape == frozen.shape and not torch.allclose(policy, frozen, rtol=1e-2, atol=1e-3):
            logger.warning(
                "The reference model was loaded from disk, by the model's name, and differs from the model given (in "
                "%s): training starts away from its reference. If the model was changed in memory, pass "
                "`ref_model=copy.deepcopy(model)`.",
                name,
            )
            return


def warn_about_doubled_bos(dataset: Any, tokenizer: Any) -> None:
    """Warn if prompts begin with two BOS tokens: a template wrote one into the text and the tokenizer added another."""
    bos = getattr(tokenizer, "bos_token_id", None)
    if bos is None or isinstance(dataset, IterableDataset):
        return
    for row, prompt in enumerate(dataset.select(range(min(_BOS_SAMPLE, len(dataset))))["prompt_ids"]):
        if prompt[:2] == [bos, bos]:
            logger.warning(
                "The train dataset: row %d, column 'prompt': its tokens begin with two BOS tokens (%r). The prompt's "
                "text holds one and the tokenizer adds another; remove it from the text.",
                row,
                tokenizer.bos_token,
            )
            return
