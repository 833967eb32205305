"""Writes the tiny world's problems: what candidates are sampled for, and what is evaluated on.

python examples/tiny_math/make_problems.py outputs/tiny_math

FOLDER/pool.jsonl, FOLDER/test.jsonl and FOLDER/harder.jsonl have no problem in common.
"""

import argparse
import json
from pathlib import Path

from world import BASIC, HARDER, problem_sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, count in (("pool", 1000), ("test", 1000), ("harder", 300)):
        parser.add_argument(f"--{name}", type=int, default=count, help=f"how many of them; {count}")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        "test": (options.test, 9001, BASIC),
        "harder": (options.harder, 9002, HARDER),
        "pool": (options.pool, 9100, BASIC),
    }
    for name, drawn in problem_sets(wanted).items():
        with (options.folder / f"{name}.jsonl").open("w") as file:
            for index, problem in enumerate(drawn):
                file.write(json.dumps(problem.row(f"{name}-{index}")) + "\n")


if __name__ == "__main__":
    main()
