"""What log-probs were computed with (model, precision, tokens), as text that rows carry.

A log-prob that is kept beside a completion is of use only where the same model would read the same tokens. The tokens
are told by a digest for each completion; the model, once for all rows, by a [`Fingerprint`].
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from trl_weighted_dpo.core import seam
from trl_weighted_dpo.core.identity import CONTENTS, canonical, digest

_ADAPTER_SETTINGS = (
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "num_virtual_tokens",
)
"""Settings of an adapter that change what its tensors do."""


def token_digest(
    prompt_ids: Sequence[int], completion_ids: Sequence[int], max_length: int | None, truncation_mode: str
) -> str:
    """Identity of the tokens that a completion is scored on, as TRL's collator leaves them.

    Args:
        prompt_ids, completion_ids (`Sequence[int]`):
            Token ids of the prompt, and of the completion with its end.
        max_length (`int` or `None`):
            Tokens of prompt and completion together that are kept; `None` keeps all.
        truncation_mode (`str`):
            `"keep_start"` or `"keep_end"`.

    Returns:
        `str`: 16 hexadecimal digits of a SHA-256 over the ids that are left and over how many of them are the prompt's.

    Raises:
        `ValueError`: If there is no such truncation mode.
    """
    if truncation_mode not in ("keep_start", "keep_end"):
        raise ValueError(f"truncation_mode is {truncation_mode!r}. Give 'keep_start' or 'keep_end'.")
    ids = np.concatenate([np.asarray(prompt_ids, dtype="<i8"), np.asarray(completion_ids, dtype="<i8")])
    prompt = len(prompt_ids)
    if max_length is not None and len(ids) > max_length:
        start = 0 if truncation_mode == "keep_start" else len(ids) - max_length
        ids = ids[start : start + max_length]
        prompt = min(max(prompt - start, 0), len(ids))
    return hashlib.sha256(f"{prompt}:".encode() + ids.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Fingerprint:
    """What log-probs were computed with. Parts that are `None` are not there, or not known.

    Args:
        model (`str` or `None`):
            Identity of the weights: the commit on the hub, or a hash of the local files; `None` for a model that was
            made in memory.
        adapter (`str` or `None`):
            Hash of the adapter at work; `None` where there is none or, as of a new LoRA, one that changes nothing.
        quantization (`str` or `None`):
            Such as `"bnb-nf4"`.
        dtype (`str`):
            Precision of the computation, such as `"bfloat16"`, with that of the weights if it is another.
        tokenizer, template (`str` or `None`):
            Hashes of how text becomes tokens, and of the chat template.
        max_length (`int` or `None`), truncation_mode (`str`):
            How sequences are cut.
    """

    model: str | None
    adapter: str | None
    quantization: str | None
    dtype: str
    tokenizer: str
    template: str | None
    max_length: int | None
    truncation_mode: str

    def to_json(self) -> str:
        """The fingerprint as JSON text, the same for equal fingerprints."""
        return canonical(self)

    @classmethod
    def from_json(cls, text: str) -> "Fingerprint":
        """Read what [`to_json`] wrote.

        Raises:
            `ValueError`: If the text is not a fingerprint.
        """
        names = {field.name for field in fields(cls)}
        try:
            content = json.loads(text)
        except (TypeError, ValueError):
            content = None
        if not isinstance(content, dict) or content.keys() != names:
            raise ValueError(f"got {text!r:.80}. A fingerprint is a JSON object with {', '.join(sorted(names))}.")
        return cls(**content)

    def differences(self, other: "Fingerprint", parts: Collection[str] | None = None) -> list[str]:
        """What differs, in words: `"dtype: 'bfloat16' here, 'float32' there"`; here is this one, there the other.

        Args:
            other ([`Fingerprint`]):
                The one to compare with.
            parts (`Collection[str]`, *optional*):
                Names of the parts that are compared; all by default.
        """
        names = [field.name for field in fields(self) if parts is None or field.name in parts]
        return [
            f"{name}: {getattr(self, name)!r} here, {getattr(other, name)!r} there"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


def fingerprint(
    model: Any,
    tokenizer: Any,
    max_length: int | None,
    truncation_mode: str,
    dtype: str,
    adapters: Sequence[str] | None = None,
) -> Fingerprint:
    """Fingerprint of a loaded model and of how it is given its tokens.

    The model's files are read whole, once for each process as long as they stay as they are. Where several processes
    run, all of them call this together, and the first one reads.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            Unwrapped model, quantised or not.
        tokenizer (`PreTrainedTokenizerBase`):
            Its tokenizer.
        max_length (`int` or `None`), truncation_mode (`str`):
            How sequences are cut.
        dtype (`str`):
            Precision of the computation, from [`compute_dtype`].
        adapters (`Sequence[str]`, *optional*):
            Names of the adapters at work; by default those that are active. `()` is the model without any.
    """
    config = model.config
    return Fingerprint(
        model=_model_identity(config),
        adapter=_adapter_identity(model, adapters),
        quantization=_quantization(config),
        dtype=dtype,
        tokenizer=_tokenizer_identity(tokenizer),
        template=_template_identity(tokenizer),
        max_length=max_length,
        truncation_mode=truncation_mode,
    )


def compute_dtype(model: Any, bf16: bool = False, fp16: bool = False) -> str:
    """Name of the precision that a model computes in: autocast's if it is on, else that of the weights.

    Autocast from weights that are mostly of another precision is named `"bfloat16 (weights float32)"`: log-probs differ
    from those of rounded weights. The norms and embeddings that training may keep in more bits do not count, nor does
    anything in quantised models.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            The model; of one with an adapter the base's weights count.
        bf16, fp16 (`bool`, *optional*, default to `False`):
            Whether autocast to bfloat16 or float16 is on.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not bf16 and not fp16:
        return _name(base.dtype)
    autocast = "bfloat16" if bf16 else "float16"
    weights = _name(_most_frequent_dtype(base))
    return autocast if weights == autocast or _quantization(base.config) else f"{autocast} (weights {weights})"


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _most_frequent_dtype(model: Any) -> Any:
    counts: Counter[Any] = Counter()
    for parameter in model.parameters():
        # DeepSpeed ZeRO-3 leaves an empty tensor in place of a parameter.
        counts[parameter.dtype] += getattr(parameter, "ds_numel", parameter.numel())
    return counts.most_common(1)[0][0]


def _model_identity(config: Any) -> str | None:
    """What the first process finds, which holds for all: the others need not read the files, too."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return _files_identity(config)
    found = [_files_identity(config) if torch.distributed.get_rank() == 0 else None]
    torch.distributed.broadcast_object_list(found, src=0)
    return found[0]


def _files_identity(config: Any) -> str | None:
    """The commit, or the content of the files; `None` if there are none."""
    commit = seam.commit_hash(config)
    if commit:
        return f"commit:{commit}"
    source = seam.model_source(config)
    found = CONTENTS.weights(Path(source)) if source else None
    # Every scored row carries it: 128 bits are enough.
    return found and found[: len("weights:") + 32]


def _adapter_identity(model: Any, adapters: Sequence[str] | None) -> str | None:
    active = seam.active_adapters(model)
    if active is None:
        return None
    from peft import get_peft_model_state_dict

    content = hashlib.sha256()
    at_work = False
    for name in active if adapters is None else adapters:
        config = model.peft_config[name]
        settings = {key: getattr(config, key, None) for key in _ADAPTER_SETTINGS}
        content.update(canonical(settings).encode())
        # Under DeepSpeed ZeRO-3 each process holds a part of the tensors.
        with seam.gathered(parameter for key, parameter in model.named_parameters() if f".{name}" in key):
            state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
            tensors = {
                key.removeprefix("base_model.model."): state[key].detach().float().cpu().contiguous().numpy()
                for key in sorted(state)
            }
        # A LoRA whose B matrices are still zero is the model without it.
        at_work = at_work or any(tensor.any() for key, tensor in tensors.items() if "lora_A" not in key)
        for key, tensor in tensors.items():
            content.update(f"{key}:{tensor.shape}:".encode())
            content.update(tensor.tobytes())
    return content.hexdigest()[:32] if at_work else None


def _quantization(config: Any) -> str | None:
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return None
    values = settings if isinstance(settings, dict) else settings.to_dict()
    if values.get("load_in_4bit"):
        double = "-double" if values.get("bnb_4bit_use_double_quant") else ""
        return f"bnb-{values.get('bnb_4bit_quant_type')}{double}"
    if values.get("load_in_8bit"):
        return "bnb-int8"
    bits = values.get("bits")
    return str(values.get("quant_method")) + (f"-{bits}bit" if bits else "")


def _tokenizer_identity(tokenizer: Any) -> str:
    """Hash of what makes tokens of text. The padding token is left out: TRL sets one where there is none."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content: Any
    if backend is None:
        content = [sorted(tokenizer.get_vocab().items()), type(tokenizer).__name__]
    else:
        content = json.loads(backend.to_str())
        # Set anew with each call.
        content.pop("padding", None)
        content.pop("truncation", None)
    ends = [tokenizer.bos_token, tokenizer.eos_token]
    return digest([content, ends])[:32]


def _template_identity(tokenizer: Any) -> str | None:
    template = getattr(tokenizer, "chat_template", None)
    return None if template is None else digest(template)[:32]
