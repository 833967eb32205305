"""A completion's tokens, exactly as the trainer makes and cuts them."""

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
    """Tokenise completions of a prompt as [`WeightedDPOTrainer`] does, and cut them as its collator does.

    That is `DPOTrainer._prepare_dataset` of the installed TRL, except that the prompt keeps the tokens that the model
    was sampled from: see [`after_prompt`].

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
    ended = [text if text.endswith(eos) else text + eos for text in completions]
    prompt_ids, *all_ids = tokenizer(text=[prompt, *(prompt + text for text in ended)])["input_ids"]
    return [
        _cut(*_split(prompt_ids, ids, text, tokenizer), max_length, truncation_mode)
        for ids, text in zip(all_ids, ended, strict=True)
    ]


def after_prompt(prompt_ids: list[int], all_ids: list[int], completion: str, tokenizer: Any) -> list[int] | None:
    """The tokens of a completion behind those of its prompt.

    The two together are one text, in which tokens may merge across the boundary: a prompt that ends with a line break,
    and a completion that begins with one. The model was sampled from the prompt's own tokens, so the completion is
    tokenised apart then.

    Args:
        prompt_ids (`list[int]`): Tokens of the prompt alone.
        all_ids (`list[int]`): Tokens of prompt and completion as one text.
        completion (`str`): Text of the completion.
        tokenizer (`PreTrainedTokenizerBase`): Made these.

    Returns:
        Token ids, or `None` if the tokenizer reads another text apart, as those do that put a space before each text.
    """
    if all_ids[: len(prompt_ids)] == prompt_ids:
        return all_ids[len(prompt_ids) :]
    apart: list[int] = tokenizer(completion, add_special_tokens=False)["input_ids"]
    return apart if tokenizer.decode(prompt_ids + apart) == tokenizer.decode(all_ids) else None


def _split(prompt_ids: list[int], all_ids: list[int], completion: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    found = after_prompt(prompt_ids, all_ids, completion, tokenizer)
    if found is not None:
        return prompt_ids, found
    begin = len(prompt_ids)
    if completion_begins_where_tokens_differ():
        pairs = enumerate(zip(prompt_ids, all_ids, strict=False))
        begin = next((i for i, (a, b) in pairs if a != b), min(begin, len(all_ids)))
    return prompt_ids[:begin], all_ids[begin:]


def _cut(prompt: list[int], completion: list[int], max_length: int | None, truncation_mode: str) -> Tokens:
    begin = len(prompt)
    digest = token_digest(prompt, completion, max_length, truncation_mode)
    ids = prompt + completion
    if max_length is None or len(ids) <= max_length:
        return Tokens(ids, len(prompt), False, digest)
    start = 0 if truncation_mode == "keep_start" else len(ids) - max_length
    return Tokens(ids[start : start + max_length], min(max(begin - start, 0), max_length), True, digest)
