"""What the maximum length leaves of a pair, tokenised as TRL's `DPOTrainer` does."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from trl_weighted_dpo.audit.pairs import Pair
from trl_weighted_dpo.audit.report import CheckResult, skipped, tally_of
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import row_error
from trl_weighted_dpo.core.rendering import pair_variables, render_pair
from trl_weighted_dpo.settings.audit import AuditConfig


class TruncationChecks:
    """Looks at one pair after the other.

    Args:
        config ([`AuditConfig`]): The maximum length, and how prompts are rendered.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer of the model that will be trained.
        source (`str`): Where the pairs come from, for messages.

    Raises:
        `ValueError`: If there is a maximum length but no tokenizer.
    """

    def __init__(self, config: AuditConfig, tokenizer: Any, source: str) -> None:
        if tokenizer is None and (config.max_length is not None or config.render):
            what = "render" if config.max_length is None else "max_length"
            raise ValueError(f"{what} needs a tokenizer, since lengths are counted in tokens: give the model's.")
        self._config, self._tokenizer, self._source = config, tokenizer, source
        self._equal, self._full = tally_of(config, "truncated_to_equal"), tally_of(config, "prompt_too_long")

    def lengths(self, pair: Pair) -> tuple[int, int] | None:
        """Looks at a pair. Returns the tokens of chosen and rejected that remain, characters without a tokenizer, and
        `None` if training drops the pair.

        Raises:
            [`~core.checks.SchemaError`]: If it is a conversation and the tokenizer has no chat template; names the row.
        """
        if self._tokenizer is None:
            return len(pair.chosen), len(pair.rejected)
        prompt, chosen, rejected = self._token_ids(pair)
        limit = self._config.max_length
        if limit is None:
            return len(chosen), len(rejected)
        self._equal.of += 1
        self._full.of += 1
        if len(prompt) >= limit:
            self._full.add(pair.row, f"the prompt has {len(prompt)} tokens: training drops the pair")
            return None
        room = limit - len(prompt)
        if chosen[:room] == rejected[:room] and pair.chosen_key != pair.rejected_key:
            self._equal.add(
                pair.row,
                f"the same {room} tokens remain of {len(chosen)} and of {len(rejected)}, after {len(prompt)} of prompt",
            )
        return min(room, len(chosen)), min(room, len(rejected))

    def results(self) -> Iterator[CheckResult]:
        """The results, once all pairs were looked at."""
        if self._config.max_length is None:
            for name in ("truncated_to_equal", "prompt_too_long"):
                yield skipped(name, "needs a maximum length and a tokenizer")
            return
        yield self._equal.result()
        yield self._full.result()

    def _token_ids(self, pair: Pair) -> tuple[list[int], list[int], list[int]]:
        config, (prompt, chosen, rejected) = self._config, pair.parts
        if isinstance(prompt, str):
            if config.render:
                texts = {schema.PROMPT: prompt, schema.CHOSEN: chosen, schema.REJECTED: rejected}
                rendering = (
                    config.prompt_template, config.system_prompt, config.chat_template_kwargs, config.train_on
                )  # fmt: skip
                rendered = render_pair({**pair.columns, **texts}, self._tokenizer, *rendering)
                prompt, chosen, rejected = (rendered[name] for name in texts)
            whole = [prompt, prompt + self._ended(chosen), prompt + self._ended(rejected)]
            ids = self._tokenizer(whole)["input_ids"]
        else:
            if self._tokenizer.chat_template is None:
                hint = (
                    "It is a conversation, but the tokenizer has no chat template, by which training would read it: "
                    "give a tokenizer that has one, or pairs whose columns are texts."
                )
                raise row_error(self._source, pair.row, schema.PROMPT, prompt, hint)
            variables = pair_variables(pair.columns, config.chat_template_kwargs)
            template = partial(self._tokenizer.apply_chat_template, **variables)
            ids = [
                template(prompt, add_generation_prompt=True, tokenize=True, return_dict=False),
                *(template(prompt + part, tokenize=True, return_dict=False) for part in (chosen, rejected)),
            ]
        return ids[0], ids[1][len(ids[0]) :], ids[2][len(ids[0]) :]

    def _ended(self, completion: str) -> str:
        end = self._tokenizer.eos_token or ""
        return completion if completion.endswith(end) else completion + end
