"""Samples problems into a pool file through journals, resumable and shared among processes."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from tqdm.auto import tqdm

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import check_pool_row, row_error
from trl_weighted_dpo.core.files import check_rows, write_rows
from trl_weighted_dpo.core.identity import canonical, digest
from trl_weighted_dpo.core.journal import Journal
from trl_weighted_dpo.plugins.hookspecs import Sampler
from trl_weighted_dpo.sampling import SAMPLING_VERSION
from trl_weighted_dpo.sampling.prompts import render_prompt
from trl_weighted_dpo.sampling.requests import SampleRequest, sample_seed
from trl_weighted_dpo.sampling.text import turn_end_stops
from trl_weighted_dpo.scoring.files import journal_paths, journals_of, remove_journals
from trl_weighted_dpo.settings.sampling import SamplingConfig

WINDOW_REQUESTS = 4096
"""Samples are asked for in windows, within which a backend may batch them as it likes."""

Place = tuple[int, int]
"""A problem's position, and the number of one of its samples."""


@dataclass(frozen=True)
class SamplingReport:
    """What became of the problems.

    Args:
        problems, samples (`int`): How many there are.
        resumed (`int`): Samples of an earlier run.
        distinct (`int`): Samples less those that repeat another one of the same problem, letter for letter.
        truncated (`int`): Samples that were cut at `max_new_tokens`.
        tokens (`int`): Tokens of all samples.
        new_tokens (`int`), seconds (`float`): Tokens that this run has sampled, in all processes, and how long it took.
    """

    problems: int
    samples: int
    resumed: int
    distinct: int
    truncated: int
    tokens: int
    new_tokens: int
    seconds: float


def check_problems(problems: Sequence[Mapping[str, Any]], output: Path, source: str = "problems") -> None:
    """Check problems that are to be sampled, and that the output can hold them.

    Args:
        problems (`Sequence[Mapping[str, Any]]`):
            Rows with `id` and `problem`, and optionally `reference_answer` and `reference_solution`.
        output (`Path`):
            A `.jsonl` or `.parquet` file.
        source (`str`, *optional*, defaults to `"problems"`):
            Where they come from, for messages.

    Raises:
        [`~core.checks.SchemaError`]: If a row is no problem, ids are missing or there twice, or the output cannot hold
            a value.
        `ValueError`: If there is no problem, or the output has another suffix.
    """
    if not problems:
        raise ValueError(f"{source}: there is no problem, so there is nothing to sample and nothing was written.")
    first: dict[str, int] = {}
    for index, row in enumerate(problems):
        check_pool_row({**row, schema.CANDIDATES: []}, index, source)
        name = row.get(schema.ID)
        if name is None or first.setdefault(name, index) != index:
            what = f"Row {first[name]} has it, too: an" if name is not None else "An"
            raise row_error(source, index, schema.ID, name, f"{what} id tells problems apart: give each its own.")
    candidate = {schema.SOLUTION: "", schema.TRUNCATED: False}
    check_rows(output, [{**row, schema.CANDIDATES: [candidate]} for row in problems])


def sample_file(
    problems: Sequence[Mapping[str, Any]],
    output: Path,
    sampler: Sampler,
    config: SamplingConfig,
    *,
    generator: str | None = None,
    source: str = "problems",
) -> SamplingReport:
    """Sample solutions of problems into a pool file, going on where an earlier run stopped.

    Each sample is in a journal beside the output as soon as it is done; the output is written at the end, whole. In
    several processes that accelerate or torchrun started, all of them call this together: each samples a share into a
    journal of its own, and the first one merges them.

    Args:
        problems (`Sequence[Mapping[str, Any]]`):
            Rows as [`check_problems`] wants them, such as those of [`~problems.load_problems`]; the same in each
            process.
        output (`Path`):
            A `.jsonl` or `.parquet` file: the problems' rows with `candidates`, in the order of the problems.
        sampler ([`~plugins.Sampler`]):
            Samples them.
        config ([`SamplingConfig`]):
            How.
        generator (`str`, *optional*):
            Left on each candidate as `generator`, which tells pools apart once they are merged.
        source (`str`, *optional*, defaults to `"problems"`):
            Where the problems come from, for messages.

    Returns:
        [`SamplingReport`]: The same in each process.

    A journal of another model or of other settings is begun anew. Of one that fits, samples whose problem and prompt
    are still there are taken up; the number of processes, `completions` and `batch_tokens` may change.

    Raises:
        [`~core.checks.SchemaError`], `ValueError`: As [`check_problems`] and [`~sampling.prompts.render_prompt`], and
            what the sampler raises. What was sampled until then stays in the journals.
    """
    from accelerate import PartialState
    from accelerate.utils import gather_object

    check_problems(problems, output, source)
    state = PartialState()
    prompts = [render_prompt(row[schema.PROBLEM], sampler.tokenizer, config) for row in problems]
    stops = turn_end_stops(sampler.tokenizer, config.chat_template_kwargs)
    config = replace(config, stop=(*config.stop, *(end for end in stops if end not in config.stop)))
    work = _Work(problems, prompts, config, _key(sampler, config))
    started = time.perf_counter()
    paths = journal_paths(output, state.num_processes)
    counts = [work.sample_into(paths[state.process_index], output, sampler, state.process_index, state.num_processes)]
    resumed, new_tokens = (sum(values) for values in zip(*gather_object(counts), strict=True))
    seconds = time.perf_counter() - started
    report: SamplingReport | None = None
    if state.is_main_process:
        rows = _SampledRows(work, output, generator)
        report = rows.report(resumed, new_tokens, seconds)
        write_rows(output, rows)
        remove_journals(output)
    # The others wait here for the first one.
    reports: list[SamplingReport | None] = gather_object([report])
    return next(report for report in reports if report is not None)


@dataclass
class _Work:
    problems: Sequence[Mapping[str, Any]]
    prompts: Sequence[str]
    config: SamplingConfig
    key: str

    def __post_init__(self) -> None:
        # What decides a sample besides its number and the key.
        self.identities = [
            digest([row[schema.ID], prompt])[:32] for row, prompt in zip(self.problems, self.prompts, strict=True)
        ]

    def sample_into(self, path: Path, output: Path, sampler: Sampler, process: int, processes: int) -> tuple[int, int]:
        """Samples what no journal has of every `processes`-th problem; returns how many samples there were of an
        earlier run, and how many tokens were sampled now."""
        new_tokens = 0
        share = range(process, len(self.problems), processes)
        places = [(at, index) for at in share for index in range(self.config.completions)]
        with Journal(path, self.key) as journal:
            while journal.next_entry({}) is not None:
                pass
            done = self.found(output)
            missing = [place for place in places if place not in done]
            bar = tqdm(
                desc="Sampling", unit=" samples", total=len(places), initial=len(places) - len(missing),
                disable=process > 0,
            )  # fmt: skip
            with bar:
                for first in range(0, len(missing), WINDOW_REQUESTS):
                    window = missing[first : first + WINDOW_REQUESTS]
                    for number, sample in sampler.generate([self._request(*place) for place in window], self.config):
                        at, index = window[number]
                        journal.write(
                            {
                                "problem": self.identities[at], "index": index, "solution": sample.solution,
                                "truncated": sample.truncated, "tokens": sample.tokens,
                            }
                        )  # fmt: skip
                        new_tokens += sample.tokens
                        bar.update()
        return len(places) - len(missing), new_tokens

    def _request(self, at: int, index: int) -> SampleRequest:
        name = self.problems[at][schema.ID]
        return SampleRequest(self.prompts[at], sample_seed(self.config.seed, name, index), name, index)

    def found(self, output: Path) -> dict[Place, tuple[Path, int]]:
        """Where the journals of an output have samples that are asked for: file and byte."""
        positions = {identity: at for at, identity in enumerate(self.identities)}
        there: dict[Place, tuple[Path, int]] = {}
        for path in journals_of(output):
            for byte, entry in _entries(path, self.key):
                at = positions.get(entry["problem"])
                if at is not None and entry["index"] < self.config.completions:
                    there[at, entry["index"]] = path, byte
        return there


def _entries(path: Path, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole entries of a journal with this key, each with the byte that it begins at. Another process may be
    writing it."""
    with path.open("rb") as file:
        if _read_entry(file) != {"key": key}:
            return
        byte = file.tell()
        while (entry := _read_entry(file)) is not None:
            yield byte, entry
            byte = file.tell()


def _read_entry(file: BinaryIO) -> dict[str, Any] | None:
    line = file.readline()
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


class _SampledRows:
    """The pool's rows, in the order of the problems; can be read again and again."""

    def __init__(self, work: _Work, output: Path, generator: str | None) -> None:
        self._work, self._generator = work, generator
        self._found = work.found(output)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        mark = {} if self._generator is None else {schema.GENERATOR: self._generator}
        for row, samples in zip(self._work.problems, self._samples(), strict=True):
            candidates = [
                {schema.SOLUTION: sample["solution"], schema.TRUNCATED: sample["truncated"], **mark}
                for sample in samples
            ]
            yield {**row, schema.CANDIDATES: candidates}

    def _samples(self) -> Iterator[list[dict[str, Any]]]:
        """For each problem the journals' entries, in the order of their numbers."""
        with ExitStack() as stack:
            files = {path: stack.enter_context(path.open("rb")) for path in {path for path, _ in self._found.values()}}
            for at in range(len(self._work.problems)):
                entries = []
                for index in range(self._work.config.completions):
                    path, byte = self._found[at, index]
                    files[path].seek(byte)
                    entries.append(json.loads(files[path].readline()))
                yield entries

    def report(self, resumed: int, new_tokens: int, seconds: float) -> SamplingReport:
        samples = distinct = truncated = tokens = 0
        for entries in self._samples():
            samples += len(entries)
            distinct += len({entry["solution"] for entry in entries})
            truncated += sum(entry["truncated"] for entry in entries)
            tokens += sum(entry["tokens"] for entry in entries)
        problems = len(self._work.problems)
        return SamplingReport(problems, samples, resumed, distinct, truncated, tokens, new_tokens, seconds)


def _key(sampler: Sampler, config: SamplingConfig) -> str:
    return canonical({"sampling": SAMPLING_VERSION, "sampler": sampler.identity, "distribution": config.distribution})
