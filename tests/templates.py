"""Chat templates of TRL and Axolotl, and of our own, with byte-level tokenizers that know their special tokens."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import GenerationMixin, PreTrainedModel, PreTrainedTokenizerFast, Qwen2Config
from transformers.modeling_outputs import CausalLMOutput

R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% else %}<｜Assistant｜>{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
"""Opens the thought in the generation prompt, and leaves thoughts out of answers, as DeepSeek-R1's does."""

FORGETFUL = R1.replace("<think>\n", "")
"""Leaves thoughts out of answers, and opens none, as DeepSeek-V3's and EXAONE 4's do."""

QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% set parts = m.content.split('</think>') %}"
    "<think>\n{{ parts[0].split('<think>')[-1].strip('\n') if parts|length > 1 else '' }}\n</think>\n\n"
    "{{ parts[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""Writes an empty thought in front of answers without one; `enable_thinking=False` opens the answer with it, as Qwen3's
does."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_FOLDERS = {"trl": ("trl", "chat_templates"), "axolotl": ("axolotl", "utils", "chat_templates", "templates")}
_MARKS = re.compile(
    r"</?\|[^|<>'{}\n]{1,40}\|>|<｜[^｜]{1,40}｜>|\[\|[a-z]{1,20}\|\]|</?[a-z]{1,8}(?:_[a-z]{1,8})*\|?>|<\|[a-z]+>"
)
_BEGINNINGS = ("<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<|startoftext|>", "<BOS_TOKEN>", "<bos>", "<s>")
_COMMON = (
    *_BEGINNINGS, "</s>", "<|endoftext|>", "<think>", "</think>", "[INST]", "[/INST]", "<|system|>", "<|user|>",
    "<|assistant|>", "<|end|>", "<|return|>",
)  # fmt: skip


def shipped_templates() -> dict[str, str]:
    """The templates that the installed TRL and Axolotl bring, by library and name."""
    found = {}
    for library, (package, *path) in _FOLDERS.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent.joinpath(*path)
            found |= {f"{library}/{file.stem}": file.read_text() for file in sorted(folder.glob("*.jinja"))}
    return found


def byte_tokenizer(template: str, eos: str | None = None, adds_bos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes and of the template's marks.

    Args:
        template (`str`): Its chat template.
        eos (`str`, *optional*): Its EOS token; `"<|endoftext|>"` by default.
        adds_bos (`bool`): Whether it begins each text with its BOS token, which it has in any case.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({byte: index for index, byte in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    bos = next((mark for mark in _BEGINNINGS if mark in template), "<bos>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=bos, eos_token=eos or "<|endoftext|>", pad_token="<|pad|>"
    )
    marks = {*_COMMON, *_MARKS.findall(template)} - {bos, tokenizer.eos_token}
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(marks)})
    tokenizer.chat_template = template
    if adds_bos:
        backend = tokenizer.backend_tokenizer
        beginning = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)])
        backend.post_processor = beginning
    return tokenizer


class Scripted(PreTrainedModel, GenerationMixin):
    """A language model that says what its script has after a prompt, whatever the sampler's noise.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): Its tokens.
        script (`Mapping[Sequence[int], Sequence[int]]`): Tokens that follow a prompt's, then the pad token.
    """

    config_class = Qwen2Config

    def __init__(self, tokenizer: Any, script: Mapping[Sequence[int], Sequence[int]]) -> None:
        super().__init__(Qwen2Config(vocab_size=len(tokenizer), eos_token_id=None, max_position_embeddings=8192))
        self.embeddings = torch.nn.Embedding(len(tokenizer), 1)
        self.script, self.pad = {tuple(prompt): list(said) for prompt, said in script.items()}, tokenizer.pad_token_id

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.embeddings

    def prepare_inputs_for_generation(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> dict[str, Any]:
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def forward(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> CausalLMOutput:
        logits = torch.zeros(*input_ids.shape, self.embeddings.num_embeddings)
        # Newer versions of transformers give none where no row is padded.
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        for row, (ids, attended) in enumerate(zip(input_ids, mask, strict=True)):
            read = ids[attended.bool()].tolist()
            (prompt,) = (prompt for prompt in self.script if read[: len(prompt)] == list(prompt))
            said = len(read) - len(prompt)
            token = self.script[prompt][said] if said < len(self.script[prompt]) else self.pad
            logits[row, -1, token] = 1000.0
        return CausalLMOutput(logits=logits)
