"""A completion's tokens, exactly as TRL's `DPOTrainer` makes and cuts them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trl_weighted_dpo.core.fingerprint import token_digest
from trl_weighted_dpo.core.seam import completion_begins_where_tokens_differ

TRUNCATION_MODES = ("keep_start", "keep_end")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Prompt and completion as they enter the model.

    Args:
        ids (`list[int]`): Token ids, those of the prompt first, after truncation.
        prompt (`int`): How many of them are the prompt's.
        is_truncated (`bool`): Whether there were more.
        digest (`str`): Identity of the above, from [`~core.fingerprint.token_digest`].
    """

    ids: list[int]
    prompt: int
    is_truncated: bool
    digest: str

    @property
    def first(self) -> int:
        """Position of the first token that is scored: a completion's, with a token before it."""
        return max(self.prompt, 1)

    @property
    def scored(self) -> int:
        """How many tokens are scored."""
        return max(len(self.ids) - self.first, 0)


def tokenize_completions(
    prompt: str, completions: Sequence[str], tokenizer: Any, max_length: int | None, truncation_mode: str
) -> list[Tokens]:
    """Tokenise completions of a prompt as `DPOTrainer._prepare_dataset` of the installed TRL does, and cut them as its
    collator does.

    Args:
        prompt (`str`), completions (`Sequence[str]`):
            Text, as [`~core.rendering.render_completions`] gives it.
        tokenizer (`PreTrainedTokenizerBase`):
            Has an EOS token, which a completion gets unless its text ends with it.
        max_length (`int` or `None`):
            Tokens of prompt and completion together that are kept; `None` keeps all.
        truncation_mode (`str`):
            Which are kept, `"keep_start"` or `"keep_end"`.
    """
    eos = tokenizer.eos_token
    answered = [prompt + (text if text.endswith(eos) else text + eos) for text in completions]
    prompt_ids, *all_ids = tokenizer(text=[prompt, *answered])["input_ids"]
    return [_cut(prompt_ids, ids, max_length, truncation_mode) for ids in all_ids]


def _cut(prompt_ids: list[int], all_ids: list[int], max_length: int | None, truncation_mode: str) -> Tokens:
    begin = len(prompt_ids)
    if completion_begins_where_tokens_differ():
        pairs = enumerate(zip(prompt_ids, all_ids, strict=False))
        begin = next((i for i, (a, b) in pairs if a != b), min(begin, len(all_ids)))
    prompt, completion = prompt_ids[:begin], all_ids[begin:]
    digest = token_digest(prompt, completion, max_length, truncation_mode)
    ids = prompt + completion
    if max_length is None or len(ids) <= max_length:
        return Tokens(ids, len(prompt), False, digest)
    start = 0 if truncation_mode == "keep_start" else len(ids) - max_length
    return Tokens(ids[start : start + max_length], min(max(begin - start, 0), max_length), True, digest)
