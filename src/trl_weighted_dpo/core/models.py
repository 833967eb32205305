"""Loads a model and its tokenizer, with errors that say what to do."""

import importlib
from pathlib import Path
from typing import Any

DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_model(
    path: str,
    dtype: str = "auto",
    adapter: str | None = None,
    load_in_4bit: bool = False,
    double_quant: bool = False,
    device: Any = "cpu",
) -> Any:
    """Load a causal language model onto one device.

    Args:
        path (`str`):
            Folder, or name on the hub, of a whole model.
        dtype (`str`, *optional*, defaults to `"auto"`):
            Of the weights, or with 4 bits of the computation: one of `DTYPES`; `"auto"` is what the model's files have.
        adapter (`str`, *optional*):
            Folder or name of a PEFT adapter, such as LoRA; it stays apart from the weights, as in training.
        load_in_4bit (`bool`, *optional*, defaults to `False`), double_quant (`bool`, *optional*, defaults to `False`):
            Whether to quantise to NF4 with bitsandbytes, and whether the quantisation constants too (QLoRA,
            arXiv 2305.14314, section 3).
        device (`torch.device`, *optional*, defaults to `"cpu"`):
            Where it runs.

    Returns:
        `PreTrainedModel` or `PeftModel`.

    Raises:
        `ValueError`: If the model or the adapter cannot be loaded, the model is an adapter, or a setting is unknown.
        `ImportError`: If bitsandbytes is needed and missing.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

    _check_dtype(dtype)
    # transformers would load the base and put the adapter into its layers, where nothing tells the two apart.
    if (Path(path) / "adapter_config.json").is_file():
        raise ValueError(f"{path}: this is an adapter. Give its base as model (--model) and it as adapter (--adapter).")
    if double_quant and not load_in_4bit:
        raise ValueError("double_quant (--double-quant) goes with load_in_4bit (--load-in-4bit).")
    settings: dict[str, Any] = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    if load_in_4bit:
        _check_bitsandbytes()
        if dtype == "auto":
            settings["dtype"] = _loaded("model", path, AutoConfig.from_pretrained).dtype or torch.float32
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=settings["dtype"],
            bnb_4bit_use_double_quant=double_quant,
        )
    model = _loaded("model", path, AutoModelForCausalLM.from_pretrained, device_map={"": device}, **settings)
    if adapter is None:
        return model
    from peft import PeftModel

    return _loaded("adapter", adapter, lambda name: PeftModel.from_pretrained(model, name))


def load_tokenizer(path: str, **settings: Any) -> Any:
    """Load a tokenizer from a folder or the hub; `settings` are those of `AutoTokenizer.from_pretrained`.

    Raises:
        `ValueError`: If there is none.
    """
    from transformers import AutoTokenizer

    return _loaded("tokenizer", path, AutoTokenizer.from_pretrained, **settings)


def import_vllm() -> Any:
    """The package vLLM.

    Raises:
        `ImportError`: If it is not installed; says how to.
    """
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise ImportError(
            "--backend vllm needs vLLM and a GPU: pip install 'trl-weighted-dpo[vllm]', in an environment apart from "
            "the other extras, since it pins a torch of its own."
        ) from error


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise ValueError(f"Unknown dtype {dtype!r}. Choose one of {', '.join(DTYPES)}.")


def _check_bitsandbytes() -> None:
    import importlib.util

    if importlib.util.find_spec("bitsandbytes") is None:
        raise ImportError("4 bits need bitsandbytes: pip install 'trl-weighted-dpo[quantization]'.")


def _loaded(what: str, name: str, load: Any, **settings: Any) -> Any:
    try:
        return load(name, **settings)
    # Without a network, the hub's client fails with a RuntimeError.
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{name}: no {what} could be loaded from there ({type(error).__name__}: {reason}). Give a folder that "
            f"save_pretrained wrote, or a name on the hub."
        ) from error
