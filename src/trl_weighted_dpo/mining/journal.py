"""Mining that can be stopped: each row's pairs are in a [`~journal.Journal`] before the next row is begun."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from trl_weighted_dpo import schema
from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.journal import Journal, digest
from trl_weighted_dpo.mining.pairing import MiningReport, PairingConfig, mine_problem
from trl_weighted_dpo.verifier import VERIFIER_VERSION, MathVerifier


def mining_key(config: PairingConfig) -> str:
    """What decides the pairs of a pool, besides its rows: settings and versions, as text."""
    return json.dumps([__version__, VERIFIER_VERSION, asdict(config)], sort_keys=True)


def row_digest(row: Mapping[str, Any]) -> str:
    """Identity of a pool row: SHA-256 of its problem, references and solutions."""
    solutions = [candidate[schema.SOLUTION] for candidate in row.get(schema.CANDIDATES) or ()]
    references = [row.get(schema.REFERENCE_ANSWER), row.get(schema.REFERENCE_SOLUTION)]
    return digest([row.get(schema.PROBLEM), references, solutions])


def mine_into(
    journal: Path,
    rows: Iterable[Mapping[str, Any]],
    verifier: MathVerifier | None = None,
    config: PairingConfig | None = None,
    source: str = "pool",
) -> MiningReport:
    """Mine a pool into a journal, going on where an earlier run with the same settings and rows stopped.

    Args:
        journal (`Path`):
            File that is made, or taken up. What no longer fits (other settings, other rows, a line cut short by a kill)
            is mined anew from there on.
        rows, verifier, config, source:
            As for [`~mining.pairing.mine_pairs`].

    Returns:
        The report over all rows, those of earlier runs included.

    Raises:
        [`~schema.SchemaError`]: If a row is not a pool row; what was mined until then stays in the journal.
    """
    verifier, config, report = verifier or MathVerifier(), config or PairingConfig(), MiningReport()
    with Journal(journal, mining_key(config)) as entries:
        for index, row in enumerate(tqdm(rows, desc=f"Mining {source}", unit=" problems")):
            schema.check_pool_row(row, index, source)
            identity = row_digest(row)
            entry = entries.taken_up({"row": identity})
            if entry is None:
                counts = MiningReport()
                pairs = mine_problem(row, index, verifier, config, counts)
                entry = {"row": identity, "pairs": pairs, "report": counts.to_dict()}
                entries.write(entry)
            report.add(entry["report"])
        entries.finish()
    return report


def mined_rows(journal: Path) -> Iterator[dict[str, Any]]:
    """The rows of a finished journal that gave pairs: each with `row` (its digest) and `pairs`, in the pool's order."""
    return (entry for entry in schema.read_jsonl(journal) if entry.get("pairs"))
