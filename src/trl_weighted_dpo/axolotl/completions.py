"""`type: trl_weighted_dpo.axolotl.completions`: rendered prompts and completions, for SFT in Axolotl.

They become the tokens that scoring and DPO make of the same texts; the loss is on the completion.
"""

from typing import Any

from axolotl.prompt_tokenizers import PromptTokenizingStrategy
from axolotl.prompters import IGNORE_TOKEN_ID

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.tokens import tokenize_completions


class CompletionStrategy(PromptTokenizingStrategy):
    """Rows with `prompt` and `completion`, as `weighted-dpo problems --completions-for` writes them, → tokens."""

    def tokenize_prompt(self, row: Any) -> dict[str, list[int]]:
        """Token ids, and labels that leave out the prompt. Longer rows than `sequence_len` are Axolotl's to drop."""
        (tokens,) = tokenize_completions(
            row[schema.PROMPT], [row[schema.COMPLETION]], self.tokenizer, None, "keep_start"
        )
        labels = [IGNORE_TOKEN_ID] * tokens.prompt + tokens.ids[tokens.prompt :]
        return {"input_ids": tokens.ids, "attention_mask": [1] * len(tokens.ids), "labels": labels}


def load(tokenizer: Any, cfg: Any) -> CompletionStrategy:
    """Called by Axolotl for the dataset type."""
    return CompletionStrategy(None, tokenizer, False, cfg.sequence_len)
