"""Merge a QLoRA adapter into the 4-bit weights that it was trained on, in higher precision.

    python recipes/qwen2.5-1.5b/merge.py BASE ADAPTER OUTPUT

BASE is the model that the adapter was trained over (folder or hub id). An adapter over 4-bit weights has learned to
work with these, rounded as they are; docs/scaling.md says what merging into others costs. `axolotl merge-lora` rounds
without the double quantisation that Axolotl trains with.
"""

import argparse

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig


def merge(base: str, adapter: str, output: str, dtype: torch.dtype = torch.bfloat16) -> None:
    """Save the merged model, in `dtype`, with the base's tokenizer. `dtype` is that of the training's computation."""
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    device = {"": 0 if torch.cuda.is_available() else "cpu"}
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype, quantization_config=quantization, device_map=device
    ).dequantize()
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(output)
    AutoTokenizer.from_pretrained(base).save_pretrained(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "adapter", "output"):
        parser.add_argument(name)
    arguments = parser.parse_args()
    merge(arguments.base, arguments.adapter, arguments.output)
