"""Pools are the same however often sampling was stopped, and nothing is sampled twice."""

import json

import pytest

from tests.tiny import tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import RowFile
from trl_weighted_dpo.sampling import SamplingConfig
from trl_weighted_dpo.sampling.files import sample_file
from trl_weighted_dpo.sampling.prompts import render_prompt
from trl_weighted_dpo.sampling.requests import SampleRequest, sample_seed
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

PROBLEMS = [
    {**{name: value for name, value in row.items() if name != "candidates"}, "level": index}
    for index, row in enumerate(tiny_pool(10))
]
SETTINGS = {"completions": 3, "max_new_tokens": 8, "temperature": 1.0, "batch_tokens": 150}
CONFIG = SamplingConfig(**SETTINGS)


class Counting:
    """Counts what a sampler makes, and breaks off after so many samples."""

    def __init__(self, sampler, last=None):
        self._sampler, self._last, self.made = sampler, last, []
        self.tokenizer, self.identity = sampler.tokenizer, sampler.identity

    def generate(self, requests, config):
        for place, sample in self._sampler.generate(requests, config):
            if len(self.made) == self._last:
                raise KeyboardInterrupt
            self.made.append((requests[place].problem_id, requests[place].index))
            yield place, sample


@pytest.fixture(scope="module")
def sampler():
    return TransformersSampler(tiny_model(), tiny_tokenizer())


@pytest.fixture
def whole(tmp_path, sampler):
    sample_file(PROBLEMS, tmp_path / "whole.jsonl", sampler, CONFIG)
    return (tmp_path / "whole.jsonl").read_bytes()


def stopped(sampler, output, last, problems=PROBLEMS, config=CONFIG):
    counting = Counting(sampler, last)
    with pytest.raises(KeyboardInterrupt):
        sample_file(problems, output, counting, config)
    assert not output.exists()
    return counting.made


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_pool_has_the_problems_rows_with_candidates(tmp_path, sampler, suffix):
    output = tmp_path / f"pool.{suffix}"
    report = sample_file(PROBLEMS, output, sampler, CONFIG, generator="sft")
    rows = [*RowFile(output)]
    assert [{name: value for name, value in row.items() if name != "candidates"} for row in rows] == PROBLEMS
    for row in rows:
        prompt = render_prompt(row["problem"], sampler.tokenizer, CONFIG)
        requests = [SampleRequest(prompt, sample_seed(0, row["id"], index), row["id"], index) for index in range(3)]
        made = dict(sampler.generate(requests, CONFIG))
        assert row["candidates"] == [
            {"solution": made[index].solution, "truncated": made[index].truncated, "generator": "sft"}
            for index in range(3)
        ]
    texts = [[candidate["solution"] for candidate in row["candidates"]] for row in rows]
    assert (report.problems, report.samples, report.resumed) == (10, 30, 0)
    assert report.distinct == sum(len(set(of_row)) for of_row in texts)
    assert report.truncated == sum(candidate["truncated"] for row in rows for candidate in row["candidates"])
    assert report.tokens == report.new_tokens > 30
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_going_on_samples_nothing_twice_and_loses_nothing(tmp_path, sampler, whole):
    output = tmp_path / "pool.jsonl"
    made = stopped(sampler, output, 5)
    made += stopped(sampler, output, 9)
    last = Counting(sampler)
    report = sample_file(PROBLEMS, output, last, CONFIG)
    everything = {(row["id"], index) for row in PROBLEMS for index in range(3)}
    assert len(made + last.made) == len(everything)
    assert {*made, *last.made} == everything
    assert report.resumed == 14
    assert output.read_bytes() == whole


@pytest.mark.parametrize("damage", [b'{"problem": "abc', b"\0\0\n", b'["list"]\n'])
def test_a_line_that_a_kill_cut_short_is_sampled_again(tmp_path, sampler, whole, damage):
    output, journal = tmp_path / "pool.jsonl", tmp_path / "pool.jsonl.journal"
    stopped(sampler, output, 7)
    with journal.open("ab") as file:
        file.write(damage)
    again = Counting(sampler)
    sample_file(PROBLEMS, output, again, CONFIG)
    assert len(again.made) == 30 - 7
    assert output.read_bytes() == whole


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.9}, {"seed": 1}, {"top_k": 5}, {"top_p": 0.5}, {"stop": ("an",)}, {"max_new_tokens": 9}],
)
def test_another_setting_begins_anew(tmp_path, sampler, change):
    output = tmp_path / "pool.jsonl"
    stopped(sampler, output, 7)
    again = Counting(sampler)
    report = sample_file(PROBLEMS, output, again, SamplingConfig(**{**SETTINGS, **change}))
    assert len(again.made) == 30
    assert report.resumed == 0


def test_another_model_begins_anew(tmp_path, sampler):
    output = tmp_path / "pool.jsonl"
    stopped(sampler, output, 7)
    again = Counting(sampler)
    again.identity = "another"
    sample_file(PROBLEMS, output, again, CONFIG)
    assert len(again.made) == 30


def test_another_prompt_or_problem_is_sampled_and_what_is_as_before_resumed(tmp_path, sampler, whole):
    output = tmp_path / "pool.jsonl"
    kept = stopped(sampler, output, 20)
    changed = [{**PROBLEMS[0], "problem": "Another one?"}, *reversed(PROBLEMS[1:]), {**PROBLEMS[0], "id": "new"}]
    again = Counting(sampler)
    sample_file(changed, output, again, CONFIG)
    still = {place for place in kept if place[0] != PROBLEMS[0]["id"]}
    assert len(again.made) == 33 - len(still)
    assert not still & {*again.made}
    before = {row["id"]: row for row in map(json.loads, whole.splitlines())}
    rows = [*RowFile(output)]
    assert [row["id"] for row in rows] == [row["id"] for row in changed]
    assert rows[1:-1] == [before[row["id"]] for row in changed[1:-1]]
    output.unlink()
    stopped(sampler, output, 7)
    again = Counting(sampler)
    sample_file(PROBLEMS, output, again, SamplingConfig(**SETTINGS, prompt_template="Q: {problem}\n"))
    assert len(again.made) == 30


def test_other_batches_and_more_samples_take_up_what_there_is(tmp_path, sampler, whole):
    output = tmp_path / "pool.jsonl"
    stopped(sampler, output, 12)
    again = Counting(sampler)
    sample_file(PROBLEMS, output, again, SamplingConfig(**{**SETTINGS, "completions": 4, "batch_tokens": 4000}))
    assert len(again.made) == 40 - 12
    for row, before in zip(RowFile(output), map(json.loads, whole.splitlines()), strict=True):
        assert row["candidates"][:3] == before["candidates"]


def test_journals_of_more_processes_are_resumed(tmp_path, sampler, whole):
    output, journal = tmp_path / "pool.jsonl", tmp_path / "pool.jsonl.journal"
    stopped(sampler, output, 12)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:5]))
    (tmp_path / "pool.jsonl.journal-3").write_bytes(lines[0] + b"".join(lines[5:]))
    (tmp_path / "pool.jsonl.journal-4").write_bytes(b'{"key": "of another run"}\n{"problem": 1}\n')
    again = Counting(sampler)
    sample_file(PROBLEMS, output, again, CONFIG)
    assert len(again.made) == 30 - 12
    assert output.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pool.jsonl", "whole.jsonl"]


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ([], "problems: there is no problem, so there is nothing to sample"),
        ([PROBLEMS[0], {"problem": "p"}], "row 1, column 'id': got null. An id tells problems apart"),
        ([PROBLEMS[0], PROBLEMS[1], PROBLEMS[0]], "row 2, column 'id': got 'tiny-0'. Row 0 has it, too"),
        ([{"id": "a", "problem": " "}], "row 0, column 'problem': got ' '"),
        ([{"id": 3, "problem": "p"}], "row 0, column 'id': got 3"),
    ],
)
def test_bad_problems_are_refused(tmp_path, sampler, problems, message):
    with pytest.raises(ValueError, match=message) as caught:
        sample_file(problems, tmp_path / "pool.jsonl", sampler, CONFIG)
    assert isinstance(caught.value, SchemaError) == bool(problems)
    assert not [*tmp_path.iterdir()]


def test_what_parquet_cannot_hold_is_refused_before_anything_is_sampled(tmp_path, sampler):
    mixed = [{**PROBLEMS[0], "level": "one"}, *PROBLEMS[1:]]
    counting = Counting(sampler)
    with pytest.raises(SchemaError, match="a column holds values of several types"):
        sample_file(mixed, tmp_path / "pool.parquet", counting, CONFIG)
    assert not counting.made
