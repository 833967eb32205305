"""All checks over a set of pairs."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo.audit.contamination import ContaminationChecks
from trl_weighted_dpo.audit.labels import LabelChecks, References
from trl_weighted_dpo.audit.lengths import LengthChecks
from trl_weighted_dpo.audit.pairs import Pair, read_pair
from trl_weighted_dpo.audit.report import SEVERITIES, AuditReport, tally_of
from trl_weighted_dpo.audit.signals import SignalChecks
from trl_weighted_dpo.audit.texts import TextChecks
from trl_weighted_dpo.audit.truncation import TruncationChecks
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.pairs import PairError, PairLayout, layout_of
from trl_weighted_dpo.core.printing import excerpt
from trl_weighted_dpo.settings.audit import AuditConfig
from trl_weighted_dpo.verifier.verifier import MathVerifier
from trl_weighted_dpo.weighting import WeightingConfig, resolve_scheme

EXCERPT = 60
"""Characters of a prompt that an example shows."""


def audit_pairs(
    rows: Iterable[Mapping[str, Any]],
    config: AuditConfig | None = None,
    *,
    reference: Iterable[Mapping[str, Any]] | None = None,
    evaluation: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    tokenizer: Any = None,
    verifier: MathVerifier | None = None,
    workers: int = 1,
    journal: Path | None = None,
    source: str = "pairs",
    progress: bool = True,
) -> AuditReport:
    """Find what is wrong with pairs.

    Memory does not grow with the texts: it takes about 400 bytes for each pair, 32 for each word of the evaluation
    problems, and the references, which are kept whole. For a plugin's scheme, 8 bytes more for each column of numbers.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Pair rows in any preference format of TRL; other columns are optional. They are read several times: not an
            iterator, but such as a list, a `datasets.Dataset` or a [`~core.files.RowFile`].
        config ([`AuditConfig`], *optional*):
            Defaults if `None`.
        reference (`Iterable[Mapping[str, Any]]`, *optional*):
            Rows with `problem` and `reference_answer` or `reference_solution`, such as the pool. A pair's own reference
            columns come first.
        evaluation (`Mapping[str, Iterable[Mapping[str, Any]]]`, *optional*):
            Rows of evaluation problems, by name, that must not be trained on.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            The model's. Lengths are then counted in tokens.
        verifier ([`MathVerifier`], *optional*):
            A default one if `None`.
        workers (`int`, *optional*, defaults to `1`):
            Processes to verify in.
        journal (`Path`, *optional*):
            Where verdicts are kept, so that an audit that was stopped goes on there; by default they are not kept.
        source (`str`, *optional*, defaults to `"pairs"`):
            Where the rows come from, for messages.
        progress (`bool`, *optional*, defaults to `True`):
            Whether to show a progress bar for the reading; verifying always shows one.

    Returns:
        The report, with a result for every check.

    Raises:
        [`~core.checks.SchemaError`]: If the rows have no `chosen` or no `rejected` at all, a reference or evaluation
            row has no problem, or the tokenizer has no chat template for a conversation.
        `ValueError`: If there are no rows or no evaluation problems, or what a setting needs is missing.
        `TypeError`: If `rows` can be read only once.
    """
    if isinstance(rows, Iterator):
        raise TypeError("rows is an iterator, but they are read several times: pass a list, a Dataset or a RowFile.")
    config = config or AuditConfig()
    layout = _layout(rows, source)
    _check_scheme(rows, config.weighting, source)
    malformed = tally_of(config, "malformed")
    truncation = TruncationChecks(config, tokenizer, source)
    contamination = ContaminationChecks(config, evaluation or {})
    references = References(reference, f"reference of {source}") if reference is not None else None
    labels = LabelChecks(config, references, verifier or MathVerifier())
    texts, signals = TextChecks(config), SignalChecks(config, source)
    lengths = LengthChecks("characters" if tokenizer is None else "tokens")

    total = len(rows) if isinstance(rows, Sized) else None
    for index, row in enumerate(tqdm(rows, f"Auditing {source}", total, unit=" pairs", disable=not progress)):
        malformed.of += 1
        try:
            pair = read_pair(row, index, layout)
            labels.add(pair)
        except PairError as error:
            malformed.add(index, str(error))
            continue
        texts.add(pair)
        contamination.add(pair)
        signals.add(pair)
        if (pair_lengths := truncation.lengths(pair)) is not None:
            lengths.add(*pair_lengths)

    bad = set(malformed.rows)

    def pairs() -> Iterator[Pair]:
        return (read_pair(row, index, layout) for index, row in enumerate(rows) if index not in bad)

    with tempfile.TemporaryDirectory() as folder:
        labels.verify(pairs, journal or Path(folder) / "journal", workers, source)

    found = {malformed.name: malformed.result()}
    for checks in (labels, texts, truncation, contamination, lengths, signals):
        found.update({result.name: result for result in checks.results()})
    report = AuditReport(source, malformed.of, [found[name] for name in SEVERITIES])
    return report.with_examples(_told(rows, layout, {e.row for check in report.checks for e in check.examples}))


def _layout(rows: Iterable[Mapping[str, Any]], source: str) -> PairLayout:
    """What the columns of the rows mean, by those of the first."""
    first = next(iter(rows), None)
    if first is None:
        raise ValueError(f"{source}: there are no pairs.")
    return layout_of(first, source)


def _check_scheme(rows: Iterable[Mapping[str, Any]], weighting: WeightingConfig, source: str) -> None:
    """Checks that the scheme has its columns; as a rule the first row has them all, and no other one is read."""
    names: dict[str, None] = {}
    refused: ValueError | None = None
    for row in rows:
        if names.keys() >= row.keys():
            continue
        names.update(dict.fromkeys(row))
        try:
            resolve_scheme(weighting, list(names))
            return
        except ValueError as error:
            refused = error
    if refused is not None:
        raise ValueError(f"{source}: {refused}") from refused


def _told(rows: Iterable[Mapping[str, Any]], layout: PairLayout, wanted: set[int]) -> dict[int, tuple[str | None, str]]:
    """The problem id and the beginning of the prompt of some rows."""
    told: dict[int, tuple[str | None, str]] = {}
    last = max(wanted, default=-1)
    for index, row in enumerate(rows):
        if index > last:
            break
        if index in wanted:
            problem_id = row.get(schema.PROBLEM_ID)
            told[index] = (None if problem_id is None else str(problem_id), _excerpt(row, layout))
    return told


def _excerpt(row: Mapping[str, Any], layout: PairLayout) -> str:
    try:
        text = read_pair(row, 0, layout).problem
    except PairError:
        text = str(row.get(schema.PROMPT, ""))
    return excerpt(text, EXCERPT)
