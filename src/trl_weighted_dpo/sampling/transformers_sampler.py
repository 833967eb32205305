"""Samples from a transformers model: `generate` with our own choice of tokens, in batches of like length."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList, StopStringCriteria

from trl_weighted_dpo.core.fingerprint import compute_dtype, fingerprint
from trl_weighted_dpo.core.models import load_model, load_tokenizer
from trl_weighted_dpo.sampling.choosing import Ending, TokenChoice
from trl_weighted_dpo.sampling.options import read_options
from trl_weighted_dpo.sampling.requests import Sample, SampleRequest
from trl_weighted_dpo.sampling.text import decoded, ended, eos_ids
from trl_weighted_dpo.settings.sampling import SamplingConfig, TransformersBackendConfig

BATCH_TOKENS = 65_536, 32_768
"""Tokens of a batch by default, on an accelerator and on a CPU."""

FEW = 4
"""A batch ends when one in this many of its rows is left: the rest goes on with what other batches have left."""


@dataclass
class _Row:
    place: int
    request: SampleRequest
    prompt: list[int]
    made: list[int] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.made


class TransformersSampler:
    """Samples from a model in memory. What a token becomes depends on the sample's seed and the position, so that other
    batches, another order and going on after a stop change samples by rounding only.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            Causal language model, quantised or not, on its device. It is put in evaluation mode. Of its generation
            settings only the EOS ids count: no penalty and no default changes the distribution.
        tokenizer (`PreTrainedTokenizerBase`):
            Its tokenizer.

    Attributes:
        identity (`str`): What the samples are made with.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        found = fingerprint(model, tokenizer, None, "keep_start", compute_dtype(model))
        self.identity = f"transformers {found.to_json()}"
        self._eos = eos_ids(model.generation_config, tokenizer)
        pad = tokenizer.pad_token_id
        self._pad = pad if pad is not None else next(iter(self._eos), 0)
        self._positions = getattr(model.config, "max_position_embeddings", None)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._known_ids = base.get_input_embeddings().num_embeddings

    def generate(self, requests: Sequence[SampleRequest], config: SamplingConfig) -> Iterator[tuple[int, Sample]]:
        """Yields position and sample of each request, in the order in which they are done.

        Raises:
            `ValueError`: If a prompt and `max_new_tokens` are longer than the model's positions, a token id is none of
                the model's, or logits are not finite.
            `MemoryError`: If a batch does not fit into the device's memory.
        """
        rows = self._rows(requests, config)
        stop = StopStringCriteria(self.tokenizer, [*config.stop]) if config.stop else None
        while rows:
            left: list[_Row] = []
            for batch in self._batches(rows, config):
                done = self._run(batch, config, stop)
                for row, is_done in zip(batch, done, strict=True):
                    if is_done:
                        yield row.place, self._sample(row, config)
                    else:
                        left.append(row)
            rows = left

    def _rows(self, requests: Sequence[SampleRequest], config: SamplingConfig) -> list[_Row]:
        # Samples of a problem have its prompt.
        prompts = [*dict.fromkeys(request.prompt for request in requests)]
        ids = dict(zip(prompts, self.tokenizer(prompts)["input_ids"], strict=True)) if prompts else {}
        rows = [_Row(place, request, ids[request.prompt]) for place, request in enumerate(requests)]
        for row in rows:
            self._check(row, config)
        return rows

    def _check(self, row: _Row, config: SamplingConfig) -> None:
        tokens, who = len(row.prompt), f"problem {row.request.problem_id!r}"
        if not tokens:
            raise ValueError(f"{who}: its prompt has no token. Use a prompt template with text besides the problem.")
        if max(row.prompt) >= self._known_ids:
            raise ValueError(
                f"{who}: the tokenizer gives the token id {max(row.prompt)}, but the model knows {self._known_ids} "
                "only: the two do not belong together."
            )
        if self._positions is not None and tokens + config.max_new_tokens > self._positions:
            room = self._positions - tokens
            way_out = f"Lower max_new_tokens (--max-new-tokens) to {room} or less" if room > 0 else "Leave it out"
            raise ValueError(
                f"{who}: its prompt has {tokens} tokens, which with {config.max_new_tokens} new ones is more than the "
                f"model's {self._positions} positions. {way_out}."
            )

    def _batches(self, rows: Sequence[_Row], config: SamplingConfig) -> Iterator[list[_Row]]:
        """Rows of like length. The longest come first, so that memory that does not last is told at once."""
        tokens = config.batch_tokens or BATCH_TOKENS[self.model.device.type == "cpu"]
        batch: list[_Row] = []
        room = 0
        for row in sorted(rows, key=lambda row: (-len(row.ids), row.place)):
            if len(batch) == room and batch:
                yield batch
                batch = []
            if not batch:
                room = max(tokens // (len(row.prompt) + config.max_new_tokens), 1)
            batch.append(row)
        if batch:
            yield batch

    def _run(self, batch: Sequence[_Row], config: SamplingConfig, stop: StopStringCriteria | None) -> list[bool]:
        """Lets rows grow until all but few of them are done; says which are."""
        width = max(len(row.ids) for row in batch)
        ids = torch.full((len(batch), width), self._pad)
        attended = torch.zeros_like(ids)
        for place, row in enumerate(batch):
            ids[place, width - len(row.ids) :] = torch.tensor(row.ids)
            attended[place, width - len(row.ids) :] = 1
        made = torch.tensor([len(row.made) for row in batch])
        device = self.model.device
        choice = TokenChoice(config, [row.request.seed for row in batch], made, width)
        eos = torch.tensor(self._eos, dtype=torch.long, device=device)
        ending = Ending(config.max_new_tokens, made, width, eos, stop, len(batch) // FEW)
        try:
            with self._own_settings():
                output = self.model.generate(
                    input_ids=ids.to(device),
                    attention_mask=attended.to(device),
                    max_new_tokens=config.max_new_tokens - int(made.min()),
                    logits_processor=LogitsProcessorList([choice]),
                    stopping_criteria=StoppingCriteriaList([ending]),
                )
        except torch.OutOfMemoryError as error:
            raise MemoryError(
                f"A batch of {len(batch)} rows does not fit into the device's memory. Lower batch_tokens "
                "(--batch-tokens), or load the model with fewer bits."
            ) from error
        texts = output[:, width:].tolist()
        for row, text, new, is_stopped in zip(
            batch, texts, ending.new.tolist(), ending.is_stopped.tolist(), strict=True
        ):
            row.made += text[:new]
            row.is_stopped = is_stopped
        return ending.is_done.tolist()

    @contextmanager
    def _own_settings(self) -> Iterator[None]:
        """`generate` takes from the model's settings what a call leaves open, such as a repetition penalty."""
        kept = self.model.generation_config
        self.model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=self._eos or None, pad_token_id=self._pad
        )
        try:
            yield
        finally:
            self.model.generation_config = kept

    def _sample(self, row: _Row, config: SamplingConfig) -> Sample:
        ids = row.made[:-1] if row.made[-1:] and row.made[-1] in self._eos else row.made
        return Sample(*ended(decoded(ids, self.tokenizer), config.stop, not row.is_stopped), len(row.made))


def load_sampler(model: str, options: Mapping[str, Any]) -> TransformersSampler:
    """Load a model onto this process' device; `options` are those of [`TransformersBackendConfig`].

    Raises:
        `ValueError`: If the model cannot be loaded, or an option is unknown.
        `ImportError`: If bitsandbytes is needed and missing.
    """
    from accelerate import PartialState

    read = read_options(TransformersBackendConfig, options, "transformers")
    tokenizer = load_tokenizer(read.tokenizer or model)
    loaded = load_model(model, read.dtype, read.adapter, read.load_in_4bit, read.double_quant, PartialState().device)
    return TransformersSampler(loaded, tokenizer)
