"""Scores candidates under the model to be trained: confidence, perplexity and reference log-prob.

One teacher-forced forward pass for each candidate, on exactly the tokens that the trainer makes of it. The sum of its
token log-probs is then the reference log-prob of a pair, as long as model and tokens are the same; the fingerprint and
the digest tell whether they are.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, is_encodable, row_error
from trl_weighted_dpo.core.fingerprint import Fingerprint, compute_dtype, fingerprint
from trl_weighted_dpo.core.rendering import render_completions, trained_row
from trl_weighted_dpo.core.tokens import Tokens, tokenize_completions
from trl_weighted_dpo.scoring.logps import ForwardPass
from trl_weighted_dpo.scoring.reference_solution import render_reference
from trl_weighted_dpo.settings.scoring import ScoringConfig

WINDOW_CHARACTERS = 65_536
WINDOW_ROWS = 512
"""Rows are scored in windows, within which candidates are sorted by length: one ends with the row at which its prompts
and candidates have this many characters, or with this many rows."""


_FLOATS = tuple(name for name, kind in schema.SCORE_COLUMNS.items() if kind is float)


@runtime_checkable
class LogProbSource(Protocol):
    """What tells log-probs instead of a model, with `config` and `dtype` as a model has them."""

    config: Any
    dtype: Any

    def logps(self, sequences: Sequence[Tokens]) -> list[NDArray[np.float64]]:
        """As [`~scoring.logps.ForwardPass.logps`]."""


class Scorer:
    """Scores the candidates of pool rows: a callable that takes rows and returns scored rows.

    Args:
        model (`PreTrainedModel`, `PeftModel` or [`LogProbSource`]):
            The model that is to be the reference, on its device; it is put in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`):
            Its tokenizer.
        config ([`ScoringConfig`], *optional*):
            Defaults if `None`.

    Attributes:
        fingerprint ([`~core.fingerprint.Fingerprint`]): What the scores are computed with.
        tokens_read (`int`): Tokens that the model has read so far, prompts included and padding not.

    Raises:
        `ValueError`: If the tokenizer has no EOS token.
    """

    def __init__(self, model: Any, tokenizer: Any, config: ScoringConfig | None = None) -> None:
        if tokenizer.eos_token is None:
            raise ValueError(
                "The tokenizer has no EOS token, with which every completion ends in training. Set "
                "`tokenizer.eos_token`, or name it in the folder's tokenizer_config.json."
            )
        self.config = config or ScoringConfig()
        self.source = (
            model
            if isinstance(model, LogProbSource)
            else ForwardPass(model, self.config.batch_tokens, self.config.autocast)
        )
        self.tokenizer = tokenizer
        autocast = self.config.autocast
        dtype = compute_dtype(model, bf16=autocast == "bfloat16", fp16=autocast == "float16")
        self.fingerprint: Fingerprint = fingerprint(
            model, tokenizer, self.config.max_length, self.config.truncation_mode, dtype
        )
        self.tokens_read = 0

    def __call__(
        self, rows: Sequence[Mapping[str, Any]], first_row: int = 0, source: str = "pool"
    ) -> list[dict[str, Any]]:
        """Score pool rows, all of them in forward passes together.

        Args:
            rows (`Sequence[Mapping[str, Any]]`):
                Pool rows, verified or not; what they have besides is carried over.
            first_row (`int`, *optional*, defaults to `0`), source (`str`, *optional*, defaults to `"pool"`):
                Where the first row stands, 0-based, and in which file, for messages.

        Returns:
            The rows with `rendered_reference`, `reference_score` and `fingerprint`, and a `score` in each candidate.

        Raises:
            [`~core.checks.SchemaError`]: If a row is not a pool row, or a log-prob is not finite.
            `ValueError`: If the chat template cannot be used (see [`~core.rendering.render_completions`]).
        """
        entries = self.score(rows, first_row, source)
        return [with_scores(row, entry, self.fingerprint) for row, entry in zip(rows, entries, strict=True)]

    def score(
        self, rows: Sequence[Mapping[str, Any]], first_row: int = 0, source: str = "pool"
    ) -> list[dict[str, Any]]:
        """What scoring adds to each row, as plain JSON types for [`with_scores`]: `scores` (of the candidates),
        `rendered_reference` and `reference_score`. Arguments and errors are those of a call."""
        texts: list[_Text] = []
        for index, row in enumerate(rows, first_row):
            check_row(row, index, source)
            texts.extend(self._texts(row, index))
        sequences = [text.tokens for text in texts if text.tokens is not None]
        found = iter(self.source.logps(sequences))
        self.tokens_read += sum(len(tokens.ids) for tokens in sequences)
        mark = {} if self.config.train_on == "all" else {schema.TRAINED_ON: self.config.train_on}
        entries: list[dict[str, Any]] = [
            {"scores": [], schema.RENDERED_REFERENCE: None, schema.REFERENCE_SCORE: None, **mark} for _ in rows
        ]
        for text in texts:
            score = None if text.tokens is None else _score(text.tokens, next(found))
            if score is not None and not all(math.isfinite(score[name] or 0.0) for name in _FLOATS):
                raise row_error(
                    source, text.row, text.column, score["logp"],
                    f"The log-probs of its tokens are not finite in {self.fingerprint.dtype}. Try another dtype "
                    "(--dtype), such as bfloat16 or float32.",
                )  # fmt: skip
            entry = entries[text.row - first_row]
            if text.is_reference:
                entry |= {schema.RENDERED_REFERENCE: text.text, schema.REFERENCE_SCORE: score}
            else:
                entry["scores"].append(score)
        return entries

    def _texts(self, row: Mapping[str, Any], index: int) -> list["_Text"]:
        """What is to be scored of a row: its candidates in order, then its reference solution if it can be rendered."""
        row = trained_row(row, self.config.train_on)
        solutions = [candidate[schema.SOLUTION] for candidate in row[schema.CANDIDATES]]
        texts = [
            _Text(index, f"{schema.CANDIDATES}[{position}].{schema.SOLUTION}", solution)
            for position, solution in enumerate(solutions)
        ]
        reference = render_reference(row.get(schema.REFERENCE_SOLUTION), row.get(schema.REFERENCE_ANSWER), solutions)
        if reference is not None:
            texts.append(_Text(index, schema.REFERENCE_SOLUTION, reference, is_reference=True))
        readable = [text for text in texts if is_encodable(text.text)]
        if readable and is_encodable(row[schema.PROBLEM]):
            config, solutions = self.config, [text.text for text in readable]
            prompt, completions = render_completions(
                row[schema.PROBLEM],
                solutions,
                self.tokenizer,
                config.prompt_template,
                config.system_prompt,
                config.chat_template_kwargs,
                config.train_on,
            )
            tokens = tokenize_completions(
                prompt, completions, self.tokenizer, config.max_length, config.truncation_mode
            )
            for text, of_text in zip(readable, tokens, strict=True):
                text.tokens = of_text
        return texts


@dataclass(slots=True)
class _Text:
    """A text to be scored and where it stands; without tokens if no tokenizer reads it."""

    row: int
    column: str
    text: str
    is_reference: bool = False
    tokens: Tokens | None = None


def _score(tokens: Tokens, logps: NDArray[np.float64]) -> dict[str, Any]:
    """A score with [`schema.SCORE_COLUMNS`]. Where no token is left to score, `logp` is 0 and what needs a token is
    `None`."""
    score: dict[str, Any] = dict.fromkeys(schema.SCORE_COLUMNS)
    score |= {"tokens": len(logps), "logp": float(logps.sum())}
    score |= {"truncated": tokens.is_truncated, "digest": tokens.digest}
    if len(logps):
        mean = float(logps.mean())
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(-mean))
        score |= {"mean_logp": mean, "min_logp": float(logps.min())}
        score |= {"confidence": float(np.exp(logps).mean()), "perplexity": perplexity}
    return score


def check_row(row: Mapping[str, Any], index: int, source: str = "pool") -> None:
    """Check a pool row that is to be scored.

    Raises:
        [`~core.checks.SchemaError`]: If it is not a pool row, or a candidate has a `score` that is not one of an
            earlier scoring, which scoring would replace.
    """
    check_pool_row(row, index, source)
    for position, candidate in enumerate(row[schema.CANDIDATES]):
        score = candidate.get(schema.SCORE)
        if score is not None and not isinstance(score, Mapping):
            raise row_error(
                source, index, f"{schema.CANDIDATES}[{position}].{schema.SCORE}", score,
                "Scores are objects, and this column would be replaced by one: rename your own.",
            )  # fmt: skip


def with_scores(row: Mapping[str, Any], entry: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
    """A pool row with what [`Scorer.score`] gave for it; all else stays as it is."""
    candidates = zip(row[schema.CANDIDATES], entry["scores"], strict=True)
    return {
        **row,
        schema.CANDIDATES: [{**candidate, schema.SCORE: score} for candidate, score in candidates],
        schema.RENDERED_REFERENCE: entry[schema.RENDERED_REFERENCE],
        schema.REFERENCE_SCORE: entry[schema.REFERENCE_SCORE],
        schema.FINGERPRINT: fingerprint.to_json(),
        **{name: entry[name] for name in (schema.TRAINED_ON,) if name in entry},
    }


def score_rows(rows: Iterable[Mapping[str, Any]], scorer: Scorer, source: str = "pool") -> Iterator[dict[str, Any]]:
    """Score pool rows one window at a time, in order and with flat memory.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Pool rows.
        scorer ([`Scorer`]):
            Scores them.
        source (`str`, *optional*, defaults to `"pool"`):
            Where the rows come from, for messages.

    Yields:
        Scored rows. To score a file so that it can be stopped, see [`~scoring.files.score_into`].

    Raises:
        [`~core.checks.SchemaError`]: If a row is not a pool row, or a log-prob is not finite.
    """
    for first, window in windows(rows, source):
        yield from scorer(window, first, source)


def windows(rows: Iterable[Mapping[str, Any]], source: str) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """Rows in windows, each with the position of its first row. Where they end depends on the rows alone, so that a run
    that was stopped makes the same ones.

    Raises:
        [`~core.checks.SchemaError`]: If a row is not a pool row.
    """
    window: list[Mapping[str, Any]] = []
    characters = 0
    for index, row in enumerate(rows):
        check_row(row, index, source)
        window.append(row)
        solutions = [candidate[schema.SOLUTION] for candidate in row[schema.CANDIDATES]]
        characters += len(row[schema.PROBLEM]) * len(solutions) + sum(map(len, solutions))
        if characters >= WINDOW_CHARACTERS or len(window) == WINDOW_ROWS:
            yield index + 1 - len(window), window
            window, characters = [], 0
    if window:
        yield index + 1 - len(window), window
