"""Teacher-forced forward passes: the log-prob of each completion token."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trl_weighted_dpo.core.tokens import Tokens

BATCH_TOKENS = 4096, 512
"""Tokens of a batch by default, on an accelerator and on a CPU, where larger ones leave the caches and take longer."""

VOCABULARY_CHUNK = 512, 64
"""Tokens whose log-softmax over the vocabulary is computed at a time, to bound its memory; likewise."""


class ForwardPass:
    """A model that tells the log-probs of completion tokens, many sequences at a time.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            Causal language model, quantised or not, on its device. It is put in evaluation mode.
        batch_tokens (`int`, *optional*, defaults to `4096`, on a CPU `512`):
            Tokens of a batch, padding included. A longer sequence is a batch of its own.
        autocast (`str`, *optional*):
            `"bfloat16"` or `"float16"` to compute in, whatever the weights' precision.
    """

    def __init__(self, model: Any, batch_tokens: int | None = None, autocast: str | None = None) -> None:
        self._autocast = torch.autocast(
            model.device.type, getattr(torch, autocast or "bfloat16"), enabled=autocast is not None
        )
        self.model = model.eval()
        is_on_cpu = model.device.type == "cpu"
        self.batch_tokens = batch_tokens or BATCH_TOKENS[is_on_cpu]
        self._chunk = VOCABULARY_CHUNK[is_on_cpu]
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._cuts_logits = "logits_to_keep" in inspect.signature(base.forward).parameters
        self._known_ids = base.get_input_embeddings().num_embeddings

    def logps(self, sequences: Sequence[Tokens]) -> list[NDArray[np.float64]]:
        """For each sequence log π(token | before) in nats of the tokens that are scored: float32 values (of a float64
        model float64), shape (scored,).

        Raises:
            `ValueError`: If a token id is none of the model's.
            `MemoryError`: If a batch does not fit into the device's memory.
        """
        found = [np.empty(0)] * len(sequences)
        try:
            for batch in self._batches(sequences):
                for index, values in zip(batch, self._run([sequences[index] for index in batch]), strict=True):
                    found[index] = values
        except torch.OutOfMemoryError as error:
            raise MemoryError(
                f"A batch of {self.batch_tokens} tokens does not fit into the device's memory. Lower batch_tokens "
                "(--batch-tokens), or load the model with fewer bits."
            ) from error
        return found

    def _batches(self, sequences: Sequence[Tokens]) -> Iterator[list[int]]:
        """Positions of sequences of like length. The longest come first, so that memory that does not last is told at
        once."""
        batch: list[int] = []
        widest = 0
        for index in sorted(range(len(sequences)), key=lambda i: (-len(sequences[i].ids), i)):
            if not sequences[index].scored:
                continue
            if batch and (len(batch) + 1) * widest > self.batch_tokens:
                yield batch
                batch = []
            if not batch:
                widest = len(sequences[index].ids)
            batch.append(index)
        if batch:
            yield batch

    def _run(self, batch: Sequence[Tokens]) -> list[NDArray[np.float64]]:
        width = max(len(tokens.ids) for tokens in batch)
        padded = torch.zeros((len(batch), width), dtype=torch.long)
        attended = torch.zeros_like(padded)
        for row, tokens in enumerate(batch):
            padded[row, : len(tokens.ids)] = torch.tensor(tokens.ids)
            attended[row, : len(tokens.ids)] = 1
        largest = int(padded.max())
        if largest >= self._known_ids:
            raise ValueError(
                f"The tokenizer gives the token id {largest}, but the model knows {self._known_ids} only: the two do "
                "not belong together."
            )
        # The logits at position p - 1 score the token at p; the head need not read what comes before the first.
        begin = min(tokens.first for tokens in batch) - 1
        kept = {"logits_to_keep": width - begin} if self._cuts_logits else {}
        device = self.model.device
        places = torch.tensor(
            [
                (row, place - 1 - begin)
                for row, tokens in enumerate(batch)
                for place in range(tokens.first, len(tokens.ids))
            ]
        ).to(device)
        labels = torch.tensor([label for tokens in batch for label in tokens.ids[tokens.first :]], device=device)
        values = []
        with torch.inference_mode(), self._autocast:
            logits = self.model(
                input_ids=padded.to(device), attention_mask=attended.to(device), use_cache=False, **kept
            ).logits
            # Prompt-learning adapters prepend virtual tokens: the last positions are those of the real ones.
            logits = logits[:, begin - width :]
            for chunk in range(0, len(labels), self._chunk):
                rows, columns = places[chunk : chunk + self._chunk].T
                label = labels[chunk : chunk + self._chunk]
                part = logits[rows, columns]
                part = part if part.dtype == torch.float64 else part.float()
                values.append(part.gather(1, label.unsqueeze(1)).squeeze(1) - part.logsumexp(dim=1))
        flat = torch.cat(values).double().cpu().numpy()
        return np.split(flat, np.cumsum([tokens.scored for tokens in batch])[:-1])
