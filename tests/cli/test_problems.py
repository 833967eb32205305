"""`weighted-dpo problems`: rows of any source, and what SFT learns of them."""

import pytest
from typer.testing import CliRunner

from tests.tiny import tiny_tokenizer
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import RowFile, write_rows
from trl_weighted_dpo.core.rendering import render_completions

GSM8K = [
    {"question": "Tom has 3 apples and gets 4 more. How many?", "answer": "3 + 4 = <<3+4=7>>7 apples.\n#### 7"},
    {"question": "Ann has 1 pen.", "answer": "One.\n#### 1"},
]
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|endoftext|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def run(*arguments):
    return CliRunner().invoke(app, ["problems", *map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    write_rows(tmp_path / "gsm8k.jsonl", GSM8K)
    return tmp_path / "gsm8k.jsonl"


def test_columns_get_our_names(source, tmp_path):
    done = run(source, "-o", tmp_path / "out.jsonl", "--preset", "gsm8k", "--limit", 1)
    assert done.exit_code == 0, done.output
    assert f"1 rows written to {tmp_path / 'out.jsonl'}" in done.output
    (row,) = RowFile(tmp_path / "out.jsonl")
    assert (row["problem"], row["reference_answer"]) == (GSM8K[0]["question"], "7")
    assert row["reference_solution"] == GSM8K[0]["answer"]


@pytest.mark.parametrize("template", [None, CHAT])
def test_completions_are_rendered_as_in_sampling_and_training(source, tmp_path, template):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path / "model")
    options = ["--system-prompt", "Think."] if template else ["--prompt-template", "Q: {problem}\nA: "]
    done = run(source, "-o", tmp_path / "sft.jsonl", "--completions-for", tmp_path / "model", *options)
    assert done.exit_code == 0, done.output
    rows = list(RowFile(tmp_path / "sft.jsonl"))
    for row, given in zip(rows, GSM8K, strict=True):
        solution = given["answer"].replace("<<3+4=7>>", "")
        prompt, (completion,) = render_completions(
            given["question"], [solution], tokenizer, "Q: {problem}\nA: ", "Think."
        )
        assert (row["prompt"], row["completion"]) == (prompt, completion)
    first = rows[0]["completion"]
    assert first == ("3 + 4 = 7 apples.\n#### 7" + ("<|endoftext|>" if template else ""))


def test_bad_input_is_one_line(source, tmp_path):
    write_rows(tmp_path / "bare.jsonl", [{"problem": "P", "reference_answer": "1"}])
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    for arguments, message in (
        ((tmp_path / "bare.jsonl", "-o", tmp_path / "o.jsonl", "--completions-for", tmp_path / "model"),
         "no problem has a 'reference_solution', so there is nothing for SFT to learn"),
        ((source, "-o", tmp_path / "o.txt"), "name the output *.jsonl or *.parquet"),
        ((source, "-o", source), "writing there would replace the input"),
        ((source, "-o", tmp_path / "o.jsonl", "--column", "x"), "give a name and a value"),
        ((source, "-o", tmp_path / "o.jsonl", "--system-prompt", "x"), "--system-prompt goes with --completions-for"),
        ((source, "-o", tmp_path / "o.jsonl", "--prompt-template", "{problem}"), "--prompt-template goes with"),
    ):  # fmt: skip
        done = run(*arguments)
        assert done.exit_code == 1
        assert message in done.output
        assert done.output.startswith("Error: ")


def test_problems_without_a_solution_are_left_out_and_counted(tmp_path):
    rows = [{"problem": "P", "reference_solution": "1"}, {"problem": "Q"}, {"problem": "R", "reference_solution": " "}]
    write_rows(tmp_path / "some.jsonl", rows)
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    done = run(tmp_path / "some.jsonl", "-o", tmp_path / "o.jsonl", "--completions-for", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert "2 problems without a reference solution are left out." in done.stderr
    assert [row["prompt"] for row in RowFile(tmp_path / "o.jsonl")] == ["P\n"]
