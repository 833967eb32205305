"""One completion has the same tokens at every stage, whatever the chat template: what the model samples is what scoring
reads, what training learns and what evaluation continues. A template that cannot do it is refused with a sentence."""

import json

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.byte_tokenizer import train_tokenizer
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DatasetMixtureConfig
from typer.testing import CliRunner

from tests.arena import make
from tests.templates import CHATML, QWEN3, R1, Scripted, byte_tokenizer, shipped_templates
from tests.tiny import tiny_model, tiny_pairs, tiny_pool
from trl_weighted_dpo import Scorer, ScoringConfig, WeightedDPOConfig, WeightedDPOTrainer
from trl_weighted_dpo.axolotl.datasets import rows_to_pairs
from trl_weighted_dpo.cli import app
from trl_weighted_dpo.core.files import read_jsonl, write_rows
from trl_weighted_dpo.core.rendering import render_completions, render_pair, turn_end
from trl_weighted_dpo.evaluation.sampled import SampledModel, sample_model
from trl_weighted_dpo.sampling import SamplingConfig
from trl_weighted_dpo.sampling.files import sample_file
from trl_weighted_dpo.sampling.prompts import render_prompt
from trl_weighted_dpo.sampling.text import eos_ids
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler
from trl_weighted_dpo.training.arguments import PairArguments
from trl_weighted_dpo.training.pairs import load_pairs

TEMPLATES = {**shipped_templates(), "own/r1": R1, "own/qwen3": QWEN3, "own/chatml": CHATML}
IMAGES_ONLY = {
    f"trl/{name}{kind}" for name in ("idefics3", "llava_next", "smolvlm") for kind in ("", "_training")
} & TEMPLATES.keys()
"""Templates that take no text as a message's content."""
THINKING_SWITCH = {name for name, text in TEMPLATES.items() if "enable_thinking" in text}
PROBLEM = "Tom has 3 pens and buys 4 more.\nHow many pens has he?"
PLAIN = " 3+4=7.\nA: 7"
THOUGHT = "<think>\n3+4=7?\n</think>\n\n\\boxed{7}."
OPENED = "\n3+4=7\n</think>\n\nIt is 7\n"
"""A thought that the prompt has opened."""
SAID = (PLAIN, THOUGHT, OPENED)


class Read:
    """Takes the tokens that a scorer reads; their log-probs do not matter."""

    config, dtype = tiny_model().config, "float32"

    def __init__(self):
        self.sequences = []

    def logps(self, sequences):
        self.sequences += sequences
        return [np.zeros(tokens.scored) for tokens in sequences]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return make(tmp_path_factory.mktemp("trainer"), tiny_pairs(2), weight_scheme="uniform", max_length=None)


def sampled(tokenizer, texts, folder, config, evaluates):
    """What a model that says these texts is sampled to: prompt tokens, tokens up to the end of the turn, pool row. The
    sampling is that of evaluation, or of a pool."""
    ends = eos_ids(None, tokenizer)
    prompt = tokenizer(render_prompt(PROBLEM, tokenizer, config))["input_ids"]
    end = tokenizer(turn_end(tokenizer, config.chat_template_kwargs), add_special_tokens=False)["input_ids"]
    said = [tokenizer(text, add_special_tokens=False)["input_ids"] + (end or ends)[:1] for text in texts]
    row = None
    for index, ids in enumerate(said):
        sampler = TransformersSampler(Scripted(tokenizer, {tuple(prompt): ids}), tokenizer)
        problems = [{"id": "p", "problem": PROBLEM, "reference_answer": "7"}]
        if evaluates:
            evaluated = SampledModel("model", "model")
            files = sample_model(folder / str(index), evaluated, problems, {"greedy": config}, lambda *_, s=sampler: s)
            path = files.greedy
        else:
            path = folder / f"{index}.jsonl"
            sample_file(problems, path, sampler, config)
        (found,) = read_jsonl(path)
        row = found if row is None else {**row, "candidates": row["candidates"] + found["candidates"]}
    return prompt, said, row


def scored(tokenizer, row, config):
    """Prompt and completion tokens of each candidate."""
    source = Read()
    variables = config.chat_template_kwargs
    Scorer(source, tokenizer, ScoringConfig(None, chat_template_kwargs=variables))([row])
    return [(tokens.ids[: tokens.prompt], tokens.ids[tokens.prompt :]) for tokens in source.sequences]


def pairs_of(row):
    first, *others = [candidate["solution"] for candidate in row["candidates"]]
    return [{"prompt": row["problem"], "chosen": first, "rejected": other, "weight": 1.0} for other in others]


def trained(trainer, tokenizer, rendered):
    trainer._tokenizer = tokenizer
    prepared = trainer._prepare_dataset(Dataset.from_list(rendered), tokenizer, trainer.args, "eval")
    rows = [prepared[index] for index in range(len(prepared))]
    chosen = [(row["prompt_ids"], row["chosen_ids"]) for row in rows[:1]]
    return chosen + [(row["prompt_ids"], row["rejected_ids"]) for row in rows]


@pytest.mark.parametrize("eos", ["turn", "other"])
@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() - IMAGES_ONLY))
def test_a_completion_has_the_same_tokens_at_every_stage(trainer, tmp_path, name, eos):
    template = TEMPLATES[name]
    tokenizer = byte_tokenizer(template, adds_bos=eos == "other")
    if eos == "turn":
        end = turn_end(tokenizer)
        first = tokenizer.convert_ids_to_tokens(tokenizer(end, add_special_tokens=False)["input_ids"][:1])
        tokenizer = byte_tokenizer(template, eos=first[0] if first else None)
    for number, variables in enumerate([{}, {"enable_thinking": False}][: 1 + (name in THINKING_SWITCH)]):
        config = SamplingConfig(1, temperature=0, max_new_tokens=300, chat_template_kwargs=variables)
        prompt, said, row = sampled(tokenizer, SAID, tmp_path / str(number), config, evaluates=name.startswith("own/"))
        assert [candidate["solution"] for candidate in row["candidates"]] == list(SAID)
        assert not any(candidate["truncated"] for candidate in row["candidates"])
        assert PROBLEM in tokenizer.decode(prompt)
        assert prompt.count(tokenizer.bos_token_id) <= 1
        assert eos == "turn" or prompt[0] == tokenizer.bos_token_id

        tokens = scored(tokenizer, row, config)
        for (own_prompt, completion), text_and_end in zip(tokens, said, strict=True):
            assert own_prompt == prompt
            assert completion[: len(text_and_end)] == text_and_end
            # What follows is the rest of the turn's end, and TRL's EOS if the template's end has none.
            rest = completion[len(text_and_end) - 1 :]
            assert set(rest) <= {*tokenizer(turn_end(tokenizer), add_special_tokens=False)["input_ids"]} | {
                tokenizer.eos_token_id
            }
            assert completion.count(tokenizer.eos_token_id) == 1
            assert completion[-1] == tokenizer.eos_token_id

        pairs = pairs_of(row)
        rendered = [render_pair(pair, tokenizer, chat_template_kwargs=variables) for pair in pairs]
        assert trained(trainer, tokenizer, rendered) == tokens
        batch = {key: [pair[key] for pair in pairs] for key in pairs[0]}
        columns = {frozenset(batch): pa.Table.from_pylist(pairs).schema}
        mapped = rows_to_pairs(batch, tokenizer, (), "{problem}\n", None, "all", columns, variables).to_pylist()
        assert mapped == rendered


SPOKEN = {
    "r1": ("{}\n</think>\n\nIt is {}.\nA: {}", "\n\n{} or so.\n</think>\n\nSo {}.\nA: {}"),
    "qwen3": ("<think>\nIt is {}.\n</think>\n\nSo {}.\nA: {}", "\nIt is {}.\n\nSo {}.\nA: {}"),
    "qwen3-opened": ("It is {}.\n\nSo {}.\nA: {}", "\n{} it is.\n\nSo {}.\nA: {}"),
}
"""What solutions say, one of them with a line break where the prompt may end with one."""


@pytest.mark.parametrize(
    ("kind", "template", "variables"),
    [("r1", R1, {}), ("qwen3", QWEN3, {}), ("qwen3-opened", QWEN3, {"enable_thinking": False})],
)
def test_scores_of_a_pool_fit_the_pairs_that_are_trained_on(tmp_path, kind, template, variables):
    """The whole way with a real model and a tokenizer that merges line breaks: from problems to a step of training
    whose reference log-probs are those of scoring, which checks tokens and numbers."""
    problems = [{key: value for key, value in row.items() if key != "candidates"} for row in tiny_pool(6)]
    spoken = [
        form.format(n, n, n) + breaks for form in SPOKEN[kind] for n in range(30) for breaks in ("\n\n", "\n\n\n")
    ]
    tokenizer = train_tokenizer([*spoken, *(row["problem"] for row in problems)], 390)
    tokenizer.chat_template = template
    marks = ["<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"]
    tokenizer.add_tokens(marks)
    tokenizer.bos_token = "<|im_start|>"
    model = tiny_model()
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    write_rows(tmp_path / "problems.jsonl", problems)

    def run(command, *arguments):
        words = [command, *map(str, arguments)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output

    given = ["--chat-template-kwargs", json.dumps(variables)] if variables else []
    run("sample", tmp_path / "problems.jsonl", "-o", tmp_path / "pool.jsonl", "--model", tmp_path / "model", "-k", 2,
        "--max-new-tokens", 12, *given)  # fmt: skip
    pool = list(read_jsonl(tmp_path / "pool.jsonl"))
    for row in pool:
        right = int(row["reference_answer"])
        row["candidates"] += [{"solution": form.format(n, n, n)} for form in SPOKEN[kind] for n in (right, right + 1)]
    write_rows(tmp_path / "pool.jsonl", pool)
    run("score", tmp_path / "pool.jsonl", "-o", tmp_path / "scored.jsonl", "--model", tmp_path / "model", *given)
    run("mine", tmp_path / "scored.jsonl", "-o", tmp_path / "pairs.jsonl", "--pairs-per-problem", 4)

    settings = {"dataset_name": str(tmp_path / "pairs.jsonl"), "chat_template_kwargs": variables}
    args = WeightedDPOConfig(
        str(tmp_path / "out"), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], max_steps=1,
        logging_steps=1,
        ref_logps="columns", per_device_train_batch_size=4, save_strategy="no", weight_scheme="uniform",
        disable_dropout=True,
    )  # fmt: skip
    pairs, _ = load_pairs(PairArguments(**settings), DatasetMixtureConfig(), tokenizer, False, 0)
    assert len(pairs) == 4 * len(problems)
    trainer = WeightedDPOTrainer(str(tmp_path / "model"), args=args, train_dataset=pairs, processing_class=tokenizer)
    merged = 0
    for row in trainer.train_dataset:
        prompt = tokenizer(row["prompt"])["input_ids"]
        assert row["prompt_ids"] == prompt
        for side in ("chosen", "rejected"):
            assert tokenizer.decode(prompt + row[f"{side}_ids"]) == row["prompt"] + row[side]
            merged += tokenizer(row["prompt"] + row[side])["input_ids"][: len(prompt)] != prompt
    assert merged
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)


def test_the_table_has_the_templates_of_both_libraries():
    assert len([name for name in TEMPLATES if name.startswith("trl/")]) >= 48
    assert len([name for name in TEMPLATES if name.startswith("axolotl/")]) >= 36
    assert len(IMAGES_ONLY) in (4, 6)
    assert {"trl/qwen3", "axolotl/qwen3", "axolotl/exaone4", "own/qwen3"} <= THINKING_SWITCH


@pytest.mark.parametrize("name", sorted(IMAGES_ONLY))
def test_templates_that_take_images_only_are_refused(name):
    tokenizer = byte_tokenizer(TEMPLATES[name])
    with pytest.raises(ValueError, match=r"does not write the text of a user message|refuses messages"):
        render_completions(PROBLEM, [PLAIN], tokenizer)
