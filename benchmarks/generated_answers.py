"""Whether the verifier tells equal answers from different ones, on pairs whose value is known by construction.

    python benchmarks/generated_answers.py [--count 20000] [--seed 0] [--only equal|different]

The pairs come from `tests/verifier/generated_pairs.py`. Prints Markdown, and each wrong verdict.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path

from verifying.tables import table

from trl_weighted_dpo.verifier import VERIFIER_VERSION, MathVerifier

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.verifier.generated_pairs import pairs

FORMS = ("expression", "constant", "interval", "set", "tuple")
VERDICTS = ("correct", "incorrect", "undecided")


def verdicts(verifier: MathVerifier, is_equal: bool, count: int, seed: int) -> Counter[tuple[str, str]]:
    """How often each form of pair got each verdict."""
    found: Counter[tuple[str, str]] = Counter()
    wrong = "incorrect" if is_equal else "correct"
    started = time.monotonic()
    for index, pair in enumerate(islice(pairs(is_equal, seed), count), start=1):
        decision = verifier.compare(f"$\\boxed{{{pair.reference}}}$", f"$\\boxed{{{pair.found}}}$")
        found[pair.form, decision.verdict.value] += 1
        if decision.verdict.value == wrong:
            print(f"WRONG: {pair.form}, {pair.reference}, {pair.found}: {decision.reason}", flush=True)
        if index % 1_000 == 0:
            print(f"{index} of {count} after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="pairs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("equal", "different"), help="one of the two kinds")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    kinds = [kind for kind in ("equal", "different") if arguments.only in (None, kind)]
    rows = []
    with MathVerifier(timeout=20) as verifier:
        for kind in kinds:
            found = verdicts(verifier, kind == "equal", arguments.count, arguments.seed)
            rows += [[kind, form, *(str(found[form, verdict]) for verdict in VERDICTS)] for form in FORMS]
            rows.append([kind, "all", *(str(sum(found[form, v] for form in FORMS)) for v in VERDICTS)])
    print(f"Verifier {VERIFIER_VERSION}, {arguments.count} pairs of each kind, seed {arguments.seed}.\n")
    print("\n".join(table(("pairs", "form", *VERDICTS), rows)))


if __name__ == "__main__":
    main()
