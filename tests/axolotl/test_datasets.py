"""`type: trl_weighted_dpo.hard_negatives` in Axolotl's own loading code, in process."""

import json

import pytest
from axolotl.prompt_strategies.dpo import load as load_dpo
from axolotl.utils.data.rl import _map_dataset
from axolotl.utils.dict import DictDefault
from datasets import Dataset, load_dataset

import trl_weighted_dpo
from tests.templates import QWEN3
from tests.tiny import tiny_pool, tiny_tokenizer
from trl_weighted_dpo import HardnessConfig, PairingConfig, mine_pairs
from trl_weighted_dpo.axolotl import datasets as ours
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.files import read_jsonl
from trl_weighted_dpo.mining import assessing


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in tiny_pool(12)))
    return path


def config(pool, tmp_path, **settings):
    dataset = {"path": str(pool), "ds_type": "json", "split": "train", "type": ours.TYPE}
    return DictDefault(datasets=[dataset], dataset_prepared_path=str(tmp_path / "prepared"), weighted_dpo=settings)


def mapped(cfg, pool, tmp_path, processes=1, tokenizer=None):
    function, kwargs = load_dpo(ours.TYPE, cfg, dataset_idx=0)
    rows = load_dataset("json", data_files=str(pool), split="train", cache_dir=str(tmp_path / f"hf{processes}"))
    return rows.map(
        function, batched=kwargs["batched"], remove_columns=rows.column_names, num_proc=processes,
        fn_kwargs={"tokenizer": tokenizer or tiny_tokenizer()},
    )  # fmt: skip


def test_axolotl_resolves_the_type_to_our_function():
    assert trl_weighted_dpo.hard_negatives is ours.hard_negatives


def test_the_same_pairs_for_one_and_four_processes(pool, tmp_path):
    cfg = config(pool, tmp_path, pairs_per_problem=3)
    one, four = (mapped(cfg, pool, tmp_path, processes) for processes in (1, 4))
    assert len(one) == 27
    assert one.to_list() == four.to_list()


def test_pairs_carry_signals_and_no_weight(pool, tmp_path):
    rows = mapped(config(pool, tmp_path), pool, tmp_path).to_list()
    assert "weight" not in rows[0]
    assert all(0.5 < row["rejected_wrongness"] <= 1.0 for row in rows)


def test_mining_happens_once_for_the_same_content_and_settings(pool, tmp_path, monkeypatch):
    cfg = config(pool, tmp_path)
    ours.hard_negatives(cfg, dataset_idx=0)
    monkeypatch.setattr(ours, "mine_into", lambda *_, **__: pytest.fail("mined again"))
    function, _ = ours.hard_negatives(cfg, dataset_idx=0)
    assert len(function.keywords["files"]) == 1


def test_other_settings_and_other_content_are_mined_anew(pool, tmp_path):
    def files(cfg):
        return ours.hard_negatives(cfg, dataset_idx=0)[0].keywords["files"]

    first = files(config(pool, tmp_path))
    assert files(config(pool, tmp_path, seed=1)) != first
    pool.write_text(pool.read_text().replace("A: ", "#### "))
    assert files(config(pool, tmp_path)) != first


def test_an_interrupted_mining_is_resumed(pool, tmp_path, monkeypatch):
    kept, mined = assessing.assess_row, []

    def stops_after_five(row, *given):
        if len(mined) == 5:
            raise KeyboardInterrupt
        mined.append(row["problem"])
        return kept(row, *given)

    monkeypatch.setattr(assessing, "assess_row", stops_after_five)
    with pytest.raises(KeyboardInterrupt):
        ours.hard_negatives(config(pool, tmp_path), dataset_idx=0)
    monkeypatch.setattr(
        assessing, "assess_row", lambda row, *given: (mined.append(row["problem"]), kept(row, *given))[1]
    )
    function, _ = ours.hard_negatives(config(pool, tmp_path), dataset_idx=0)
    assert mined == [row["problem"] for row in tiny_pool(12)]
    assert len(list(read_jsonl(function.keywords["files"][0]))) == 9
    assert not list((tmp_path / "prepared").glob("*.journal"))


def test_a_pool_without_pairs_is_refused_with_counts(tmp_path):
    path = tmp_path / "wrong.jsonl"
    rows = [{**row, "reference_answer": "-1"} for row in tiny_pool(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"mining left no pair\. Of 4 problems, \{'no correct candidate': 4\}"):
        ours.hard_negatives(config(path, tmp_path), dataset_idx=0)


def test_a_row_that_is_no_pool_row_is_named(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text(json.dumps({"problem": " ", "candidates": []}) + "\n")
    with pytest.raises(SchemaError, match=r"pool\.jsonl: row 0, column 'problem': got ' '"):
        ours.hard_negatives(config(path, tmp_path), dataset_idx=0)


def test_rows_that_are_neither_pools_nor_pairs_are_refused(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps({"question": "q"}) + "\n")
    with pytest.raises(SchemaError, match=r"other\.jsonl: .* takes pools, .* or pairs, .*; there are: question"):
        ours.check_local_data(config(path, tmp_path))


def test_ready_pairs_are_rendered_and_keep_their_columns(pool, tmp_path):
    mined, _ = mine_pairs(tiny_pool(4), progress=False)
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({**pair, "weight": 2.0}) + "\n" for pair in mined))
    ours.check_local_data(config(path, tmp_path))
    rows = mapped(config(path, tmp_path, prompt_template="Q: {problem}\nA:"), path, tmp_path).to_list()
    assert [row["prompt"] for row in rows] == [f"Q: {pair['prompt']}\nA:" for pair in mined]
    assert [row["hardness"] for row in rows] == [pair["hardness"] for pair in mined]
    assert {row["weight"] for row in rows} == {2.0}


LOSS_COLUMNS = {"dpo_margin": 0.5, "dpo_beta": 0.3}


def test_columns_of_the_loss_survive_our_type_and_are_checked(tmp_path):
    mined, _ = mine_pairs(tiny_pool(4), progress=False)
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({**pair, **LOSS_COLUMNS}) + "\n" for pair in mined))
    ours.check_local_data(config(path, tmp_path))
    for row in mapped(config(path, tmp_path), path, tmp_path).to_list():
        assert {name: row[name] for name in LOSS_COLUMNS} == LOSS_COLUMNS
    bad = [{**pair, **LOSS_COLUMNS, "dpo_beta": None if row == 1 else 0.3} for row, pair in enumerate(mined)]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in bad))
    with pytest.raises(SchemaError, match=r"pairs\.jsonl: row 1, column 'dpo_beta': got null\. .*mend the row"):
        ours.check_local_data(config(path, tmp_path))


@pytest.mark.parametrize("kind", ["passthrough.default", "chatml.default", "chat_template.default"])
def test_columns_of_the_loss_survive_types_of_axolotl(tmp_path, kind):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[]{% endif %}"
    )
    rows = [{"prompt": "2 + 2", "messages": [{"role": "user", "content": "2 + 2"}], "chosen": "4", "rejected": "5"}]
    cfg = DictDefault(
        datasets=[{"path": "p", "type": kind}],
        chat_template="tokenizer_default",
        dataset_num_proc=1,
        is_preprocess=True,
    )
    function = load_dpo(kind, cfg, dataset_idx=0)
    function, kwargs = function if isinstance(function, tuple) else (function, {})
    mapped = _map_dataset(cfg, Dataset.from_list([row | LOSS_COLUMNS for row in rows]), function, tokenizer, **kwargs)
    assert {name: mapped[0][name] for name in LOSS_COLUMNS} == LOSS_COLUMNS
    assert "4" in mapped[0]["chosen"]


def test_pairs_that_are_conversations_are_rendered(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    pair = {name: [{"role": role, "content": name}] for name, role in roles.items()}
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(pair) + "\n")
    cfg = config(path, tmp_path, system_prompt="Be exact.")
    ours.check_local_data(cfg)
    rows = mapped(cfg, path, tmp_path, tokenizer=tokenizer).to_list()
    assert rows == [
        {
            "prompt": "[system]Be exact.[user]prompt",
            "chosen": "[assistant]chosen",
            "rejected": "[assistant]rejected",
        }
    ]


def test_scored_pools_bring_reference_log_probs(tmp_path):
    rows = tiny_pool(4)
    for row in rows:
        row["fingerprint"] = "{}"
        for place, candidate in enumerate(row["candidates"]):
            candidate["score"] = {
                "tokens": 5, "logp": -1.0 - place, "mean_logp": -0.2, "min_logp": -1.0, "confidence": 0.8,
                "perplexity": 1.2, "truncated": False, "digest": f"{place:016}",
            }  # fmt: skip
    path = tmp_path / "scored.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for pair in mapped(config(path, tmp_path), path, tmp_path).to_list():
        assert pair["ref_chosen_logps"] == -1.0 - pair["chosen_index"]
        assert pair["ref_digest"] == f"{pair['chosen_index']:016}{pair['rejected_index']:016}"
        assert pair["hardness_confidence"] == 0.8


def test_columns_that_begin_with_nulls_keep_their_types(tmp_path):
    plain, scored = tiny_pool(1400), tiny_pool(4)
    for row in scored:
        row["problem"] += " Now."
        for candidate in row["candidates"]:
            candidate["score"] = {
                "tokens": 5, "logp": -1.0, "mean_logp": -0.2, "min_logp": -1.0, "confidence": 0.8,
                "perplexity": 1.2, "truncated": False, "digest": "0" * 16,
            }  # fmt: skip
    path = tmp_path / "partly.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in plain + scored))
    rows = mapped(config(path, tmp_path), path, tmp_path)
    assert rows.features["rejected_confidence"].dtype == "float64"
    assert [confidence for confidence in rows["rejected_confidence"] if confidence is not None] == [0.8] * 3


def test_all_settings_of_mining_reach_it(pool, tmp_path):
    settings = {"strategy": "easiest", "chosen": "nearest", "max_candidates": 3, "hardness": {"steps": 0.9}}
    pairing = ours.WeightedDPOBlockConfig(**settings).pairing
    assert pairing == PairingConfig(
        strategy="easiest", chosen="nearest", max_candidates=3, hardness=HardnessConfig(steps=0.9)
    )
    with pytest.raises(ValueError, match=r"min_quantile is 0\.5 and max_quantile 0\.4"):
        ours.WeightedDPOBlockConfig(min_quantile=0.5, max_quantile=0.4)


def test_a_chat_template_renders_prompt_and_completions(pool, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    cfg = config(pool, tmp_path, system_prompt="Be exact.")
    row = mapped(cfg, pool, tmp_path, tokenizer=tokenizer)[0]
    assert row["prompt"].startswith("<|im_start|>system\nBe exact.<|im_end|>\n<|im_start|>user\n")
    assert row["prompt"].endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert row["chosen"].endswith("<|im_end|>")


@pytest.mark.parametrize("top", [False, True])
def test_variables_of_the_chat_template_reach_the_prompt(pool, tmp_path, top):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = QWEN3
    cfg = config(pool, tmp_path, **({} if top else {"chat_template_kwargs": '{"enable_thinking": false}'}))
    if top:
        cfg["chat_template_kwargs"] = {"enable_thinking": False}
    row = mapped(cfg, pool, tmp_path, tokenizer=tokenizer)[0]
    assert row["prompt"].endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_pairs_in_public_layouts_are_rendered_with_their_question(tmp_path):
    rows = [
        {"system": "S", "q": f"What is {n} x 3?", "chosen": f"{3 * n}", "rejected": "0", "extra": n} for n in (1, 2)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    cfg = config(path, tmp_path, column=["question=q"])
    ours.check_local_data(cfg)
    found = mapped(cfg, path, tmp_path).to_list()
    assert [(row["prompt"], row["chosen"], row["extra"]) for row in found] == [
        ("S\n\nWhat is 1 x 3?\n", "3", 1),
        ("S\n\nWhat is 2 x 3?\n", "6", 2),
    ]


def test_pools_as_people_have_them_are_mined(pool, tmp_path):
    expected = mapped(config(pool, tmp_path / "a"), pool, tmp_path / "a").to_list()
    rows = tiny_pool(12)
    for row in rows:
        row["query"], row["reference_answer"] = row.pop("problem"), int(row["reference_answer"])
        row["candidates"] = [candidate["solution"] for candidate in row["candidates"]]
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    cfg = config(other, tmp_path / "b", column=["problem=query"])
    ours.check_local_data(cfg)
    assert mapped(cfg, other, tmp_path / "b").to_list() == expected
