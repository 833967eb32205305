"""Computes the profiles of the corpus, prints what changed, and stores them."""

import argparse
import json
import sys

from tests.verifier.corpus import WHAT_TO_DO, Changes, computed, read_stored, rows, verify, write_stored
from trl_weighted_dpo.verifier import VERIFIER_VERSION, MathVerifier


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.verifier.corpus", description=__doc__)
    parser.add_argument("--unreleased", action="store_true", help="store changed profiles without a new version")
    parser.add_argument("--show", metavar="ID", help="print one solution and its profile, and store nothing")
    arguments = parser.parse_args()
    chosen = rows()
    if arguments.show is not None:
        row = next((row for row in chosen if row["id"] == arguments.show), None)
        if row is None:
            sys.exit(f"There is no solution {arguments.show!r} in the corpus.")
        with MathVerifier() as verifier:
            profile = verify(verifier, row)
        sys.exit(json.dumps({"row": row, "profile": profile.to_dict()}, indent=2))
    version, before = read_stored()
    after = list(computed(chosen))
    changes = Changes(before, after)
    print(changes.report() or "No profile changed.")
    if changes.kinds and version == VERIFIER_VERSION and not arguments.unreleased:
        sys.exit(
            f"\nNothing was stored: profiles changed, but VERIFIER_VERSION is still {version!r}.\n{WHAT_TO_DO}\n"
            "Only if nothing with this version was released: make profiles PROFILES_OPTIONS=--unreleased"
        )
    write_stored(after)
    print(f"Stored {len(after)} profiles of version {VERIFIER_VERSION!r}.")


if __name__ == "__main__":
    main()
