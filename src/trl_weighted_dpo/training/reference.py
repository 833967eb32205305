"""Reference log-probs that pairs bring as columns: whether they are those of this run's reference.

Three things are asked, from cheap to dear: was the same model scored with (its fingerprint), were the same tokens
(a digest for each pair), and does the reference give the same numbers for eight of the pairs.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from accelerate.logging import get_logger
from accelerate.utils import broadcast_object_list, is_peft_model
from datasets import Dataset, IterableDataset
from tqdm import tqdm

from trl_weighted_dpo.core import schema, seam
from trl_weighted_dpo.core.fingerprint import Fingerprint, compute_dtype, fingerprint, token_digest
from trl_weighted_dpo.training import record, support

logger = get_logger(__name__)

MODES = ("auto", "columns", "model")
LOGP_COLUMNS = (schema.REF_CHOSEN_LOGPS, schema.REF_REJECTED_LOGPS)
PROVENANCE_COLUMNS = (schema.REF_FINGERPRINT, schema.REF_DIGEST)
COLUMNS = (*LOGP_COLUMNS, *PROVENANCE_COLUMNS)
_MODEL_PARTS = ("model", "adapter", "quantization", "dtype")
"""Parts of the fingerprint that must agree. The others say how tokens are made, which the digests check exactly: a
longer `max_length` that cuts nothing more changes no token."""

SPOT_CHECKS = 8
EXACT_TOLERANCE = 4e-4
ROUNDED_TOLERANCE = 0.06
"""Nats by which a column may differ from the model's log-prob, times the square root of the completion's tokens, whose
rounding errors are independent: in float32, and in half precision, TF32 or with quantised weights. Ours: between
batches, log-probs of tiny models move by up to 1e-6 times the root in float32 and 0.0115 in bfloat16; noise of 1e-3 on
the weights moves the median by 0.03 times the root and the largest of some hundred by 0.2."""
_SHORTEST = 16
"""Tokens that a completion counts at least: rounding does not average out over fewer."""

_ROWS_AT_ONCE = 1000

_ROWS = "(Rows are counted from 0, without pairs whose prompt fills `max_length`.)"
_WAY_OUT = (
    "Score the pairs again with this model and these settings, or set `ref_logps` to 'auto', which computes what does "
    "not fit, or to 'model'."
)


def uses_columns(args: Any, train_dataset: Any, eval_dataset: Any) -> bool:
    """Whether the reference log-probs are to be taken from columns, as far as they fit.

    The training set decides. A warning says so where `"auto"` finds columns that cannot be used at all.

    Args:
        args ([`~training.config.WeightedDPOConfig`]):
            Configuration.
        train_dataset, eval_dataset (`Dataset`, `IterableDataset` or, of the latter, a dictionary of them):
            Pairs as given.

    Raises:
        `ValueError`: If `ref_logps` is none of the three, or is `"columns"` and they cannot be used.
    """
    if args.ref_logps not in MODES:
        raise ValueError(f"`ref_logps` is {args.ref_logps!r}. Give one of {', '.join(map(repr, MODES))}.")
    if args.ref_logps == "model" or train_dataset is None:
        return False
    there = [column for column in LOGP_COLUMNS if _is_there(train_dataset, column)]
    reason = _why_not_columns(args, train_dataset, eval_dataset, there)
    if reason is None:
        return True
    if args.ref_logps == "columns":
        raise ValueError(f"`ref_logps='columns'` cannot be: {reason}. Set `ref_logps` to 'auto' or 'model'.")
    if there:
        logger.warning("The columns of reference log-probs are not used: %s.", reason)
    return False


def _why_not_columns(args: Any, dataset: Any, eval_dataset: Any, there: list[str]) -> str | None:
    missing = [column for column in LOGP_COLUMNS if column not in there]
    if missing:
        return f"the train dataset has no values in {' and '.join(map(repr, missing))}"
    if isinstance(dataset, IterableDataset):
        return "the train dataset is a stream, whose rows cannot be checked before training"
    held_out = eval_dataset.values() if isinstance(eval_dataset, dict) else [eval_dataset]
    if any(isinstance(stream, IterableDataset) for stream in held_out):
        return "an evaluation dataset is a stream, whose pairs need the reference model"
    if args.sync_ref_model:
        return "`sync_ref_model=True` changes the reference during training"
    if args.ld_alpha is not None:
        return "`ld_alpha` needs the reference's log-prob of every token, and the columns hold sums"
    if args.fsdp or seam.is_launched_with_fsdp():
        return "with FSDP the model is in place only when training starts, too late to check them against it"
    return None


def _is_there(dataset: Any, column: str) -> bool:
    """Whether a column holds a value; one that is null throughout counts as absent."""
    if isinstance(dataset, IterableDataset):
        first: dict[str, Any] = next(iter(dataset), {})
        return first.get(column) is not None
    return column in dataset.column_names and any(value is not None for value in dataset[column])


@contextmanager
def precomputing(args: Any, active: bool) -> Iterator[None]:
    """A context in which TRL makes a trainer that takes reference log-probs from its datasets and so loads no reference
    model; what the user set is restored afterwards."""
    given = args.precompute_ref_log_probs
    args.precompute_ref_log_probs = given or active
    try:
        yield
    finally:
        args.precompute_ref_log_probs = given


def without_columns(dataset: Any) -> Any:
    """The dataset without reference log-probs and what belongs to them."""
    names = support.column_names(dataset)
    return dataset.remove_columns([column for column in COLUMNS if column in names])


def check_reference_is_left(trainer: Any) -> None:
    """Refuse pairs whose reference log-probs would have to be computed after the only reference has been trained.

    Raises:
        `ValueError`: Says what to do instead.
    """
    without_reference = trainer.ref_model is None and not is_peft_model(trainer.model)
    if trainer.reference_is_precomputed and without_reference and trainer.state.global_step > 0:
        raise ValueError(
            "The reference log-probs of the training pairs are given or precomputed, so no reference model is left for "
            "pairs that come to `evaluate()` after training has begun. Pass them as `eval_dataset` when the trainer is "
            "made, pass a `ref_model`, or set `ref_logps='model'` and `precompute_ref_log_probs=False`."
        )


def with_reference(
    trainer: Any, dataset: Dataset, name: str, batch_size: int, compute: Callable[[Any], Any]
) -> tuple[Dataset, str]:
    """Give a prepared dataset reference log-probs: those that it brings if they fit, else computed ones.

    Args:
        trainer, dataset, name, batch_size:
            As for [`checked_columns`].
        compute (`Callable`):
            TRL's pass over the reference: dataset → dataset with two more columns, cached under its fingerprint.

    Returns:
        The dataset, and where its reference log-probs come from, as [`checked_columns`] says it.

    Raises:
        `ValueError`: If the columns do not fit and `ref_logps` is `"columns"`.
    """
    dataset, source = checked_columns(trainer, dataset, name, batch_size)
    if source == "columns":
        return dataset, source
    # TRL keeps reference log-probs under a fingerprint into which every training argument enters, so that another λ
    # would compute them again. What they depend on, besides the model, is this.
    plain, args = dataset.remove_columns(schema.PAIR_WEIGHT), trainer.args
    settings = (args.max_length, args.truncation_mode, args.ld_alpha, args.bf16, args.fp16)
    ones = plain.add_column(schema.PAIR_WEIGHT, [1.0] * len(plain))
    tokens = plain.select_columns(list(record.TOKEN_COLUMNS))
    seam.set_fingerprint(ones, (record.fingerprint(tokens), settings))
    scored = compute(ones).remove_columns(schema.PAIR_WEIGHT)
    return scored.add_column(schema.PAIR_WEIGHT, dataset[schema.PAIR_WEIGHT][:]), source


def checked_columns(trainer: Any, dataset: Dataset, name: str, batch_size: int) -> tuple[Dataset, str]:
    """Keep a prepared dataset's reference log-probs if they fit, or drop them to be computed.

    Args:
        trainer ([`~training.trainer.WeightedDPOTrainer`]):
            With its model, its reference and its tokenizer. Every process calls this with the same dataset.
        dataset (`Dataset`):
            Tokenised pairs.
        name (`str`):
            Name of the dataset, for messages.
        batch_size (`int`):
            Pairs that fit into a batch.

    Returns:
        The dataset, with the columns or without, and where its reference log-probs come from: `"columns"`,
        `"computed"`, or `"computed: "` and why the columns were not used.

    Raises:
        `ValueError`: If the columns do not fit and `ref_logps` is `"columns"`.
    """
    if not all(_is_there(dataset, column) for column in LOGP_COLUMNS):
        return without_columns(dataset), "computed"
    misfit = _misfit(trainer, dataset, name, batch_size)
    if misfit is None:
        logger.info("The %s dataset's columns of reference log-probs are used.", name)
        return dataset, "columns"
    message = f"The {name} dataset's columns of reference log-probs do not fit: {misfit}. {_ROWS}"
    if trainer.args.ref_logps == "columns":
        raise ValueError(f"{message} {_WAY_OUT}")
    logger.warning("%s They are computed again.", message)
    return without_columns(dataset), f"computed: {misfit}"


def _misfit(trainer: Any, dataset: Dataset, name: str, batch_size: int) -> str | None:
    """Why the columns do not fit, or `None`. What the main process finds holds for all."""
    ours = _fingerprint(trainer)
    kinds = {column: getattr(dataset.features[column], "dtype", "list") for column in LOGP_COLUMNS}
    not_numbers = [column for column, kind in kinds.items() if not kind.startswith(("float", "int"))]
    if not_numbers:
        return f"column {not_numbers[0]!r} holds no numbers but {kinds[not_numbers[0]]} values"
    columns = [np.array(dataset[column][:], dtype=np.float64) for column in LOGP_COLUMNS]
    misfit = _bad_value(columns)
    if misfit is None and all(_is_there(dataset, column) for column in PROVENANCE_COLUMNS):
        misfit = _other_model(dataset, ours) or _other_tokens(dataset, trainer.args, name)
    elif misfit is None:
        absent = " and ".join(repr(column) for column in PROVENANCE_COLUMNS if not _is_there(dataset, column))
        if trainer.args.ref_logps == "auto":
            misfit = f"without {absent} nothing tells what model and tokens they belong to"
        else:
            logger.warning(
                "The %s dataset has no %s, so that its reference log-probs are checked for %d pairs only.",
                name,
                absent,
                SPOT_CHECKS,
            )
    misfit = _agreed(misfit)
    if misfit is None:
        misfit = _agreed(_other_numbers(trainer, dataset, columns, ours, batch_size))
    return misfit


def _agreed(finding: str | None) -> str | None:
    findings = [finding]
    broadcast_object_list(findings, from_process=0)
    return findings[0]


def _bad_value(columns: list[np.ndarray]) -> str | None:
    for column, values in zip(LOGP_COLUMNS, columns, strict=True):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            value = "null or NaN" if math.isnan(values[bad[0]]) else str(values[bad[0]])
            return f"{len(bad)} values in column {column!r} are not finite numbers, the first in row {bad[0]}: {value}"
    return None


def _fingerprint(trainer: Any) -> Fingerprint:
    """Fingerprint of what acts as the reference, as TRL has it: the reference model, the adapter kept as `ref`, the
    model without its adapter, or the model at its start."""
    model, adapters = trainer.accelerator.unwrap_model(trainer.ref_model or trainer.model), None
    if trainer.ref_model is None and is_peft_model(model):
        adapters = ("ref",) if "ref" in model.peft_config else ()
    precision = trainer.accelerator.mixed_precision
    dtype = compute_dtype(model, bf16=precision == "bf16", fp16=precision == "fp16")
    settings = trainer.args.max_length, trainer.args.truncation_mode
    return fingerprint(model, trainer.processing_class, *settings, dtype, adapters)


def _other_model(dataset: Dataset, ours: Fingerprint) -> str | None:
    texts = dataset[schema.REF_FINGERPRINT][:]
    for text in dict.fromkeys(texts):
        row = texts.index(text)
        try:
            theirs = Fingerprint.from_json(text)
        except ValueError as error:
            return f"row {row}, column {schema.REF_FINGERPRINT!r}: {error}".rstrip(".")
        differences = ours.differences(theirs, _MODEL_PARTS)
        if differences:
            several = f" (row {row}; the rows have {len(set(texts))} fingerprints)" if len(set(texts)) > 1 else ""
            return f"{'; '.join(differences)} (here: this run; there: the columns){several}"
    return None


def _other_tokens(dataset: Dataset, args: Any, name: str) -> str | None:
    names = ("prompt_ids", "chosen_ids", "rejected_ids", schema.REF_DIGEST)
    other = []
    batches = dataset.select_columns(list(names)).with_format("numpy").iter(batch_size=_ROWS_AT_ONCE)
    total = math.ceil(len(dataset) / _ROWS_AT_ONCE)
    description = f"Checking the tokens of the {name} dataset's reference log probs"
    for batch in tqdm(batches, description, total, disable=not args.should_log):
        for prompt, chosen, rejected, kept in zip(*(batch[column] for column in names), strict=True):
            ours = "".join(
                token_digest(prompt, completion, args.max_length, args.truncation_mode)
                for completion in (chosen, rejected)
            )
            other.append(ours != kept)
    if not any(other):
        return None
    unrendered = "; were they rendered with `render_pair`?" if all(other) else ""
    return (
        f"{sum(other)} of {len(other)} pairs have other tokens than were scored, the first is row {other.index(True)} "
        f"(its text, the tokenizer, the chat template, `max_length` or `truncation_mode` changed{unrendered})"
    )


def _other_numbers(
    trainer: Any, dataset: Dataset, columns: list[np.ndarray], ours: Fingerprint, batch_size: int
) -> str | None:
    """Compare pairs that are spread evenly over the dataset with what the reference says of them."""
    rows = sorted({round(row) for row in np.linspace(0, len(dataset) - 1, SPOT_CHECKS)})
    is_exact = ours.dtype in ("float32", "float64") and ours.quantization is None and not trainer.args.tf32
    tolerance = EXACT_TOLERANCE if is_exact else ROUNDED_TOLERANCE
    differing: list[str] = []
    count = 0
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        logps, tokens = _reference_logps(trainer, [dataset[row] for row in part])
        kept = np.array([values[part] for values in columns])
        apart = np.abs(logps - kept)
        # Not `>`, which a log-prob that is no number would pass.
        sides, positions = np.nonzero(~(apart <= tolerance * np.sqrt(np.maximum(tokens, _SHORTEST))))
        count += len(set(positions))
        differing += [
            f"row {part[position]}, {('chosen', 'rejected')[side]}: {kept[side, position]:.6g} in the column, "
            f"{logps[side, position]:.6g} by the reference ({tokens[side, position]} tokens)"
            for side, position in zip(sides, positions, strict=True)
        ]
    if not differing:
        return None
    return (
        f"{count} of {len(rows)} pairs that were checked differ by more than {tolerance:g} nats times the root of "
        f"their tokens from what the reference says of them: {'; '.join(differing)}"
    )


def _reference_logps(trainer: Any, examples: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Log-probs by the reference and counts of completion tokens, both (2, pairs): of the chosen and the rejected."""
    batch = {key: value.to(trainer.accelerator.device) for key, value in trainer.data_collator(examples).items()}
    found = trainer.compute_ref_log_probs(trainer.placed_reference(), batch)
    logps = [side.double().cpu().numpy() for side in found]
    tokens = batch["completion_mask"][:, 1:].sum(dim=1).cpu().numpy().reshape(2, -1)
    return np.array(logps), tokens
