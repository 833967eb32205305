"""Pairs of `weighted-dpo train`: from every kind of place, rendered, and split."""

import gzip
import json

import pytest
from datasets import Dataset, DatasetDict, IterableDataset
from trl import DatasetMixtureConfig

from tests.templates import QWEN3
from tests.tiny import tiny_pairs, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import PairingConfig, WeightedDPOConfig, mine_pairs, render_pair
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import write_rows
from trl_weighted_dpo.training.arguments import PairArguments
from trl_weighted_dpo.training.pairs import check_rows, load_pairs

READY = tiny_pairs(10)
MINED, _ = mine_pairs(tiny_pool(16), config=PairingConfig(pairs_per_problem=2), progress=False)
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(autouse=True)
def process(tmp_path):
    """As the command does: a config tells accelerate that this is a CPU process."""
    WeightedDPOConfig(str(tmp_path / "out"), use_cpu=True, bf16=False)


@pytest.fixture
def chat_tokenizer():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def load(pairs, tokenizer=None, evaluate=False, **mixture):
    arguments = PairArguments(**pairs)
    config = DatasetMixtureConfig(**mixture)
    check_rows(arguments, config)
    return load_pairs(arguments, config, tokenizer or tiny_tokenizer(), evaluate, seed=3)


def texts(rows):
    return [(row["prompt"], row["chosen"], row["rejected"]) for row in rows]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("as_mixture", [False, True])
def test_a_file_of_ready_pairs_is_taken_as_it_is(tmp_path, suffix, as_mixture):
    path = tmp_path / f"pairs.{suffix}"
    write_rows(path, READY)
    train, held_out = load({}, datasets=[{"path": str(path)}]) if as_mixture else load({"dataset_name": str(path)})
    assert train.to_list() == READY
    assert held_out is None


def test_folders_of_files_and_saved_datasets_have_splits(tmp_path):
    files = tmp_path / "files"
    write_rows(files / "train.jsonl", READY)
    write_rows(files / "test.jsonl", READY[:2])
    DatasetDict({"train": Dataset.from_list(READY), "test": Dataset.from_list(READY[:2])}).save_to_disk(tmp_path / "s")
    for folder in (files, tmp_path / "s"):
        train, held_out = load({"dataset_name": str(folder)}, evaluate=True)
        assert texts(train) == texts(READY)
        assert texts(held_out) == texts(READY[:2])
    Dataset.from_list(READY[:3]).save_to_disk(tmp_path / "one")
    sets = {"eval_datasets": {"one": str(tmp_path / "one"), "two": str(files)}}
    _, held_out = load({"dataset_name": str(files), **sets}, evaluate=True)
    assert {name: len(data) for name, data in held_out.items()} == {"one": 3, "two": 2}
    with pytest.raises(ValueError, match="there is no split 'dev', but 'train', 'test'"):
        load({"dataset_name": str(tmp_path / "s"), "dataset_train_split": "dev"})


def test_a_mixture_keeps_what_trl_knows_of_it(tmp_path):
    write_rows(tmp_path / "a.jsonl", READY)
    write_rows(tmp_path / "b.jsonl", tiny_pairs(6, seed=5))
    parts = [
        {"path": str(tmp_path / "a.jsonl"), "columns": ["prompt", "chosen", "rejected"], "fraction": 0.25},
        {"path": "json", "data_files": str(tmp_path / "b.jsonl"), "columns": ["prompt", "chosen", "rejected"],
         "fraction": 0.75},
    ]  # fmt: skip
    train, _ = load({}, datasets=parts)
    assert texts(train) == texts([*READY[:2], *tiny_pairs(6, seed=5)])
    assert train.column_names == ["prompt", "chosen", "rejected"]


def test_one_evaluation_file_alone_has_no_name(tmp_path):
    write_rows(tmp_path / "a.jsonl", READY)
    path = str(tmp_path / "a.jsonl")
    _, held_out = load({"dataset_name": path, "eval_datasets": [path]}, evaluate=True)
    assert isinstance(held_out, Dataset)
    with pytest.raises(ValueError, match="no pairs to evaluate on"):
        load({"dataset_name": path}, evaluate=True)


def test_mined_pairs_are_rendered_and_ready_ones_left(tmp_path, chat_tokenizer):
    write_rows(tmp_path / "mined.parquet", MINED)
    write_rows(tmp_path / "ready.jsonl", READY)
    mined, ready = str(tmp_path / "mined.parquet"), str(tmp_path / "ready.jsonl")
    for tokenizer in (tiny_tokenizer(), chat_tokenizer):
        sets = {"eval_datasets": {"mined": mined, "ready": ready}, "system_prompt": "Be brief."}
        train, held_out = load({"dataset_name": mined, **sets}, tokenizer, evaluate=True)
        expected = texts(render_pair(pair, tokenizer, system_prompt="Be brief.") for pair in MINED)
        assert texts(train) == texts(held_out["mined"]) == expected
        assert train["rejected_wrongness"][:] == [pair["rejected_wrongness"] for pair in MINED]
        assert texts(held_out["ready"]) == texts(READY)
    assert texts(load({"dataset_name": mined, "render_pairs": "never"})[0]) == texts(MINED)
    template = {"render_pairs": "always", "prompt_template": "Q: {problem}"}
    expected = texts(render_pair(pair, tiny_tokenizer(), "Q: {problem}") for pair in READY)
    assert texts(load({"dataset_name": ready, **template})[0]) == expected


def test_a_system_prompt_that_is_not_used_is_told(tmp_path, chat_tokenizer, caplog):
    for name, rows in (("mined", MINED), ("ready", READY)):
        write_rows(tmp_path / f"{name}.jsonl", rows)
    for name, tokenizer in (("mined", chat_tokenizer), ("ready", chat_tokenizer), ("mined", tiny_tokenizer())):
        load({"dataset_name": str(tmp_path / f"{name}.jsonl"), "system_prompt": "Be brief."}, tokenizer)
    assert caplog.text.count("system_prompt is not used") == 2
    assert f"{tmp_path / 'ready.jsonl'}: system_prompt is not used, since its pairs are not rendered." in caplog.text
    assert f"{tmp_path / 'mined.jsonl'}: system_prompt is not used, since the tokenizer has no" in caplog.text


def test_conversations_go_to_trl_unless_they_are_to_be_rendered(tmp_path, chat_tokenizer):
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    rows = [{name: [{"role": role, "content": row[name]}] for name, role in roles.items()} for row in READY]
    write_rows(tmp_path / "talk.jsonl", rows)
    path = str(tmp_path / "talk.jsonl")
    assert load({"dataset_name": path}, chat_tokenizer)[0].to_list() == rows
    rendered, _ = load({"dataset_name": path, "render_pairs": "always"}, chat_tokenizer)
    assert texts(rendered) == texts(render_pair(row, chat_tokenizer) for row in rows)


def test_variables_of_the_template_reach_rendered_pairs_and_conversations(tmp_path, caplog):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = QWEN3
    write_rows(tmp_path / "mined.jsonl", MINED)
    given = {"dataset_name": str(tmp_path / "mined.jsonl"), "chat_template_kwargs": '{"enable_thinking": false}'}
    variables = {"enable_thinking": False}
    expected = texts(render_pair(pair, tokenizer, chat_template_kwargs=variables) for pair in MINED)
    assert texts(load(given, tokenizer)[0]) == expected
    assert expected[0][0].endswith("</think>\n\n")
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    rows = [{name: [{"role": role, "content": row[name]}] for name, role in roles.items()} for row in READY]
    write_rows(tmp_path / "talk.jsonl", rows)
    talk, _ = load({**given, "dataset_name": str(tmp_path / "talk.jsonl")}, tokenizer)
    assert talk.to_list() == [{**row, "chat_template_kwargs": variables} for row in rows]
    write_rows(tmp_path / "ready.jsonl", READY)
    load({**given, "dataset_name": str(tmp_path / "ready.jsonl")}, tokenizer)
    load(given)
    assert "ready.jsonl: chat_template_kwargs is not used, since its pairs are not rendered." in caplog.text
    assert "mined.jsonl: chat_template_kwargs is not used, since the tokenizer has no chat template." in caplog.text


def test_a_split_keeps_the_pairs_of_a_problem_together(tmp_path):
    write_rows(tmp_path / "mined.jsonl", MINED)
    path = {"dataset_name": str(tmp_path / "mined.jsonl")}
    train, held_out = load(path, evaluate=True, test_split_size=0.25)
    assert len(MINED) == 24
    assert (len(train), len(held_out)) == (18, 6)
    assert not set(train["problem_id"]) & set(held_out["problem_id"])
    assert texts(load(path, evaluate=True, test_split_size=6)[1]) == texts(held_out)
    with pytest.raises(ValueError, match="leaves no problem of 12"):
        load(path, evaluate=True, test_split_size=24)
    write_rows(tmp_path / "ready.jsonl", READY)
    train, held_out = load({"dataset_name": str(tmp_path / "ready.jsonl")}, evaluate=True, test_split_size=0.3)
    assert sorted(texts([*train, *held_out])) == sorted(texts(READY))
    assert len(held_out) == 3


def test_streams_are_rendered_too_and_not_split(tmp_path):
    write_rows(tmp_path / "mined.jsonl", MINED)
    path = {"dataset_name": str(tmp_path / "mined.jsonl"), "dataset_streaming": True}
    train, _ = load(path)
    assert isinstance(train, IterableDataset)
    assert texts(train) == texts(render_pair(pair, tiny_tokenizer()) for pair in MINED)
    with pytest.raises(ValueError, match="cannot split a stream"):
        load(path, evaluate=True, test_split_size=0.5)


def test_a_large_file_may_begin_with_nulls(tmp_path):
    """`datasets` reads JSON in parts of 10 MB and takes the types from the first."""
    filler = "x" * 11_000
    rows = [
        {"prompt": filler, "chosen": "a", "rejected": "b", "rejected_nll": None if row < 1000 else 0.5}
        for row in range(1005)
    ]
    write_rows(tmp_path / "large.jsonl", rows)
    train, _ = load({"dataset_name": str(tmp_path / "large.jsonl")})
    assert train["rejected_nll"][-6:] == [None, *[0.5] * 5]
    with pytest.raises(ValueError, match=r"large.jsonl: .*write Parquet"):
        load({}, datasets=[{"path": str(tmp_path / "large.jsonl")}])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**READY[0], "chosen": ""}, r"pairs.jsonl: row 2, column 'chosen': got ''"),
        ({"prompt": "p", "chosen": "c"}, r"pairs.jsonl: row 2, column 'rejected': the column is missing"),
        ({**READY[0], "rejected": 5}, r"pairs.jsonl: row 2, column 'rejected': got 5"),
        (tiny_pool(1)[0], r"pairs.jsonl: this is a pool of candidates\. .*weighted-dpo mine"),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path, row, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [*READY[:2], row]))
    with pytest.raises(SchemaError, match=message):
        load({"dataset_name": str(path)})
    path.write_text("")
    with pytest.raises(SchemaError, match="the file is empty"):
        load({"dataset_name": str(path)})


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet", "pairs.json", "pairs.csv", "pairs.jsonl.gz"])
@pytest.mark.parametrize("streaming", [False, True])
def test_every_format_and_layout_gives_the_same_pairs(tmp_path, name, streaming):
    rows = [{"q": row["prompt"].strip(), **{key: row[key] for key in row if key != "prompt"}} for row in READY]
    path = tmp_path / name
    if name.endswith(".json"):
        path.write_text(json.dumps(rows, indent=1))
    elif name.endswith(".csv"):
        Dataset.from_list(rows).to_csv(path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    else:
        write_rows(path, rows)
    settings = {"dataset_name": str(path), "dataset_streaming": streaming, "column": ["problem=q"]}
    train, _ = load(settings)
    # The problem is bare, and rendered.
    assert texts(train) == texts(READY)
    assert [row["rejected_nll"] for row in train] == [row["rejected_nll"] for row in READY]
    with pytest.raises(SchemaError, match="there is no column 'question' to be 'prompt'; there are: q, chosen"):
        load({**settings, "column": ["prompt=question"]})


def test_conversations_of_ultrafeedback_and_orca_with_a_system_message(tmp_path, chat_tokenizer):
    asked = [{"role": "user", "content": row["prompt"]} for row in READY]
    said = [{name: {"role": "assistant", "content": row[name]} for name in ("chosen", "rejected")} for row in READY]
    ultra = [
        {"prompt": row["prompt"], "score_chosen": None, **{name: [user, turn[name]] for name in ("chosen", "rejected")}}
        for row, user, turn in zip(READY, asked, said, strict=True)
    ]
    write_rows(tmp_path / "ultra.jsonl", ultra)
    train, _ = load({"dataset_name": str(tmp_path / "ultra.jsonl")}, chat_tokenizer)
    assert texts(train) == [([user], [t["chosen"]], [t["rejected"]]) for user, t in zip(asked, said, strict=True)]
    orca = [{"system": "S", "question": row["prompt"], "chosen": row["chosen"], "rejected": "b"} for row in READY]
    write_rows(tmp_path / "orca.jsonl", orca)
    train, _ = load({"dataset_name": str(tmp_path / "orca.jsonl")}, chat_tokenizer)
    assert train[0]["prompt"] == f"<system>S</s><user>{READY[0]['prompt']}</s><assistant>"
    assert train[0]["rejected"].removesuffix("</s>") == "<assistant>b".removeprefix("<assistant>")


def test_files_in_public_layouts_load(shared_data, chat_tokenizer):
    for name in ("implicit", "mixlong", "orca", "problem", "think_only", "ultra"):
        train, _ = load({"dataset_name": str(shared_data / "cases" / "formats" / f"p_{name}.jsonl")}, chat_tokenizer)
        assert "What is " in str(train[0]["prompt"])


def test_texts_without_a_question_are_not_trained_on(tmp_path):
    write_rows(tmp_path / "pairs.jsonl", [{"chosen": "It is 6.", "rejected": "It is 7."}] * 2)
    with pytest.raises(SchemaError, match=r"pairs.jsonl: row 0, .*no column has the question, .*--column prompt=NAME"):
        load({"dataset_name": str(tmp_path / "pairs.jsonl")})
