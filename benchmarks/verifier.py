"""How well and how fast the verifier checks, beside baselines.

    python benchmarks/verifier.py FOLDER_OR_FILE... [--passes 5] [--output RESULTS.md]

Reads labelled solutions (rows with `first_error_step` or `is_correct_answer`), pools (rows with `candidates`, each with
`is_correct`) and answer pairs (rows with `gold`, `pred`, `equivalent`); of a folder, every `*.jsonl` of these kinds.
Prints Markdown.
"""

import argparse
import logging
import os
import platform
from importlib.metadata import version
from pathlib import Path

from verifying.alarms import false_alarms, sound
from verifying.answers import answers
from verifying.data import read_files
from verifying.hidden import hidden_answers
from verifying.steps import FULL, NO_REFERENCE, ablation, first_faulty_steps, profiles_of
from verifying.tables import SUMMARY, table
from verifying.thoughts import thoughts

from trl_weighted_dpo.verifier import VERIFIER_VERSION, MathVerifier


def report(paths: list[Path], passes: int) -> list[str]:
    """The lines of all tables."""
    files = read_files(paths)
    stepwise = [file for file in files if file.stepwise]
    pools = [file for file in files if file.candidates]
    with MathVerifier() as verifier:
        profiles = {file.name: profiles_of(verifier, file.stepwise) for file in stepwise}
        alarms = {}
        for view in (FULL, NO_REFERENCE):
            for file in stepwise:
                labels = [item.first_error for item in file.stepwise]
                alarms[f"{file.name}, {view}"] = sound(labels, profiles[file.name][view])
        for file in pools:
            for view, found in profiles_of(verifier, [item for item in file.candidates if item.is_correct]).items():
                alarms[f"{file.name}, correct answers, {view}"] = found
        summary: list[list[str]] = []
        lines = ["## First faulty step", "", *first_faulty_steps(stepwise, profiles, summary)]
        lines += ["## False alarms on sound solutions", "", *false_alarms(alarms, summary)]
        lines += ["## Wrong answers from process signals alone", "", *hidden_answers(verifier, pools, summary)]
        lines += ["## Answers and speed", "", *answers(verifier, files, passes, summary)]
        lines += ["## Long thoughts", "", *thoughts(verifier, passes, summary)]
        lines += ["## What each dimension adds to the first faulty step", "", *ablation(stepwise)]
    return [*table(SUMMARY, summary), *lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="labelled files, or folders of them")
    parser.add_argument("--passes", type=int, default=5, help="passes over each file for the rates")
    parser.add_argument("--output", type=Path, help="where the tables go too, as Markdown")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    versions = f"Verifier {VERIFIER_VERSION}, Python {platform.python_version()}, math-verify {version('math-verify')}"
    about = [
        f"Command: `python benchmarks/verifier.py FOLDER --passes {arguments.passes}`.",
        f"{versions}; one process on a machine with {os.cpu_count()} {platform.machine()} cores.",
        "Rates are medians over the passes, reading included; undecided counts as disagreement.",
        "First-error F1 is ProcessBench's, in percent. Figures of fitted weights are cross-validated by problem.",
    ]
    text = "\n".join(["# The verifier, measured", "", *about, "", *report(arguments.paths, arguments.passes)])
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
