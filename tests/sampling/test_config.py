"""Settings out of range, examples that are none, and options of backends."""

import json

import pytest

from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.sampling import SamplingConfig, read_few_shot
from trl_weighted_dpo.sampling.options import read_options
from trl_weighted_dpo.settings import ServerBackendConfig, TransformersBackendConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"completions": 0}, r"completions is 0\. Give a whole number of at least 1: samples of each problem\."),
        ({"temperature": -0.1}, r"temperature is -0\.1\. Give a number in \[0, 100\]"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 0.0}, r"temperature 0 gives the same text each time, but completions is 8.*\(-k 1\)"),
        ({"top_p": 0.0}, r"top_p is 0\.0\. Give a number in \(0, 1\]"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_k": -1}, r"top_k is -1\. Give a whole number of at least 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"seed": -1}, r"seed is -1\. Give a whole number in \[0, 4294967296\)"),
        ({"stop": "A:"}, r"stop is 'A:'\. Give a list of texts"),
        ({"stop": ["A:", ""]}, "Give a list of texts that are not empty"),
        ({"batch_tokens": 0}, "batch_tokens is 0"),
    ],
)
def test_a_value_out_of_range_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**settings)


def test_examples_are_read_from_rows_with_a_solution_or_a_reference_solution(tmp_path):
    path = tmp_path / "shots.jsonl"
    rows = [{"problem": "p", "solution": "s"}, {"problem": "q", "reference_solution": "r", "reference_answer": "1"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_few_shot(path) == (("p", "s"), ("q", "r"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "shots.jsonl: there is no row"),
        ('{"problem": "p"}', "shots.jsonl: row 0, column 'reference_solution': got null. Give the text of a problem"),
        ('{"problem": " ", "solution": "s"}', "row 0, column 'problem': got ' '"),
        ('{"problem": "p", "solution": 3}', "row 0, column 'solution': got 3"),
    ],
)
def test_what_is_no_example_is_told(tmp_path, content, message):
    (tmp_path / "shots.jsonl").write_text(content)
    with pytest.raises(SchemaError, match=message):
        read_few_shot(tmp_path / "shots.jsonl")


def test_options_are_read_from_text_and_from_values():
    assert read_options(
        TransformersBackendConfig, {"load_in_4bit": "true", "dtype": "float32"}, "t"
    ) == TransformersBackendConfig(load_in_4bit=True, dtype="float32")
    given = {"concurrency": "3", "timeout": "2.5", "tries": 2, "tokenizer": "7"}
    expected = ServerBackendConfig(concurrency=3, timeout=2.5, tries=2, tokenizer="7")
    assert read_options(ServerBackendConfig, given, "s") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": "3"}, "The backend 'server' has no option 'threads'; it has: base_url, tokenizer, concurrency"),
        ({"concurrency": "many"}, "The option 'concurrency' of the backend 'server' is 'many'. Give a whole number"),
        ({"timeout": "soon"}, "is 'soon'. Give a number"),
    ],
)
def test_an_unknown_option_and_one_of_another_type_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        read_options(ServerBackendConfig, options, "server")
    with pytest.raises(ValueError, match=r"'load_in_4bit' of the backend 't' is 'maybe'\. Give true or false"):
        read_options(TransformersBackendConfig, {"load_in_4bit": "maybe"}, "t")
