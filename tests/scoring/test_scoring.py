"""A score is what the model says of the trainer's tokens, however candidates are batched."""

import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from trl import DPOConfig, DPOTrainer

from tests.core.test_tokens import CHATML
from tests.tiny import exact_model, perturbed, tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo import Scorer, ScoringConfig, score_rows
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.checks import SchemaError
from trl_weighted_dpo.core.fingerprint import Fingerprint
from trl_weighted_dpo.core.rendering import render_completions, render_pair
from trl_weighted_dpo.core.tokens import tokenize_completions
from trl_weighted_dpo.scoring import scoring
from trl_weighted_dpo.scoring.logps import ForwardPass
from trl_weighted_dpo.scoring.reference_solution import render_reference

POOL = tiny_pool(12)


@pytest.fixture(scope="module")
def model():
    return tiny_model(3)


def scores_of(rows):
    return [candidate["score"] for row in rows for candidate in row["candidates"]]


def long_way(model, tokenizer, row, text, max_length=1024):
    """The log-probs of a solution's tokens, one sequence at a time, by log-softmax over everything in float64."""
    prompt, completions = render_completions(row["problem"], [text], tokenizer)
    (tokens,) = tokenize_completions(prompt, completions, tokenizer, max_length, "keep_start")
    with torch.no_grad():
        logits = model(torch.tensor([tokens.ids])).logits[0].double()
    places = torch.arange(tokens.first, len(tokens.ids))
    return logits.log_softmax(1)[places - 1, torch.tensor(tokens.ids)[places]].numpy()


def assert_same_scores(found, expected):
    for one, other in zip(found, expected, strict=True):
        exact = ("tokens", "truncated", "digest")
        assert [one[name] for name in exact] == [other[name] for name in exact]
        for name in one.keys() - {*exact}:
            assert one[name] == pytest.approx(other[name], abs=1e-4, rel=1e-5), name


def test_a_score_holds_what_its_columns_say(model):
    tokenizer = tiny_tokenizer()
    rows = Scorer(model, tokenizer)(POOL)
    for row, scored in zip(POOL, rows, strict=True):
        for candidate, with_score in zip(row["candidates"], scored["candidates"], strict=True):
            values, score = long_way(model, tokenizer, row, candidate["solution"]), with_score["score"]
            assert list(score) == list(schema.SCORE_COLUMNS)
            assert all(type(score[name]) is kind for name, kind in schema.SCORE_COLUMNS.items())
            assert score["tokens"] == len(values)
            assert score["logp"] == pytest.approx(values.sum(), abs=1e-4)
            assert score["mean_logp"] == pytest.approx(values.mean(), abs=1e-5)
            assert score["min_logp"] == pytest.approx(values.min(), abs=1e-5)
            assert score["confidence"] == pytest.approx(np.exp(values).mean(), rel=1e-5)
            assert score["perplexity"] == pytest.approx(math.exp(-values.mean()), rel=1e-5)
            assert score["truncated"] is False


def test_a_model_that_knows_nothing_gives_each_token_its_share():
    model = tiny_model()
    torch.nn.init.zeros_(model.lm_head.weight)
    for score in scores_of(Scorer(model, tiny_tokenizer())(POOL[:2])):
        assert score["confidence"] == pytest.approx(1 / 400, rel=1e-6)
        assert score["perplexity"] == pytest.approx(400, rel=1e-6)
        assert score["logp"] == pytest.approx(-score["tokens"] * math.log(400), rel=1e-6)


@pytest.mark.parametrize("template", [None, CHATML])
@pytest.mark.parametrize(("max_length", "mode"), [(1024, "keep_start"), (42, "keep_start"), (30, "keep_end")])
def test_logp_is_trls_own_reference_log_prob(tmp_path, model, template, max_length, mode):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    scored = Scorer(model, tokenizer, ScoringConfig(max_length, mode))(POOL)
    pairs = [
        {"prompt": row["problem"], "chosen": one["solution"], "rejected": other["solution"], "row": index}
        for index, row in enumerate(POOL)
        for one, other in zip(row["candidates"][::2], row["candidates"][1::2], strict=True)
    ]
    trainer = DPOTrainer(
        perturbed(model, scale=0.0),
        args=DPOConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], precompute_ref_log_probs=True,
            precompute_ref_batch_size=5, max_length=max_length, truncation_mode=mode,
        ),
        train_dataset=Dataset.from_list([render_pair(pair, tokenizer) for pair in pairs]),
        processing_class=tokenizer,
    )  # fmt: skip
    expected = {}
    for row in trainer.train_dataset:
        pair = next(p for p in pairs if p["row"] == row["row"] and p["chosen"] in row["chosen"])
        expected[row["row"], pair["chosen"]] = row["ref_chosen_logps"]
        expected[row["row"], pair["rejected"]] = row["ref_rejected_logps"]
    assert expected
    for index, row in enumerate(scored):
        for candidate in row["candidates"]:
            if (index, candidate["solution"]) in expected:
                assert candidate["score"]["logp"] == pytest.approx(expected[index, candidate["solution"]], abs=1e-4)
            else:
                assert candidate["score"]["tokens"] == 0


@pytest.mark.parametrize("batch_tokens", [1, 100, 700, 100_000])
def test_batching_does_not_change_a_score(model, batch_tokens):
    tokenizer = tiny_tokenizer()
    expected = [score for row in POOL for score in scores_of(Scorer(model, tokenizer)([row]))]
    found = scores_of(Scorer(model, tokenizer, ScoringConfig(batch_tokens=batch_tokens))(POOL))
    assert_same_scores(found, expected)


def test_batches_hold_like_lengths_and_no_more_tokens_than_allowed(model):
    widths = []
    forward = model.forward

    def watched(input_ids, **given):
        widths.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **given)

    model.forward, kept = watched, ForwardPass(model, 300)
    try:
        tokenizer = tiny_tokenizer()
        texts = ["word " * count for count in (3, 70, 5, 66, 4, 400, 0)]
        kept.logps(tokenize_completions("Q\n", texts, tokenizer, None, "keep_start"))
    finally:
        model.forward = forward
    assert [width for _, width in widths] == sorted((width for _, width in widths), reverse=True)
    assert all(rows == 1 or rows * width <= 300 for rows, width in widths)
    assert [rows for rows, _ in widths] == [1, 1, 1, 4]


def test_a_float64_model_is_scored_in_float64():
    model, tokenizer = exact_model(), tiny_tokenizer()
    (scored,) = Scorer(model, tokenizer)(POOL[:1])
    values = long_way(model, tokenizer, POOL[0], POOL[0]["candidates"][0]["solution"])
    assert scored["candidates"][0]["score"]["logp"] == pytest.approx(values.sum(), rel=1e-12)
    assert Fingerprint.from_json(scored["fingerprint"]).dtype == "float64"


def test_bfloat16_logits_are_normalised_in_float32(model):
    tokenizer, half = tiny_tokenizer(), perturbed(model, scale=0.0).to(torch.bfloat16)
    scorer = Scorer(half, tokenizer)
    assert scorer.fingerprint.dtype == "bfloat16"
    for score, exact in zip(scores_of(scorer(POOL)), scores_of(Scorer(model, tokenizer)(POOL)), strict=True):
        assert score["mean_logp"] == pytest.approx(exact["mean_logp"], rel=0.02)
        # A value rounded to bfloat16 has at most 8 significant bits.
        assert torch.tensor(score["min_logp"]).bfloat16().item() != score["min_logp"]


def test_an_adapter_is_scored_with(model):
    tokenizer = tiny_tokenizer()
    adapted = get_peft_model(perturbed(model, scale=0.0), LoraConfig(r=4, target_modules="all-linear"))
    expected = scores_of(Scorer(model, tokenizer)(POOL))
    assert_same_scores(scores_of(Scorer(adapted, tokenizer)(POOL)), expected)
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    scorer = Scorer(adapted, tokenizer)
    found = scores_of(scorer(POOL))
    assert scorer.fingerprint.adapter is not None
    assert max(abs(a["logp"] - b["logp"]) for a, b in zip(found, expected, strict=True)) > 0.1
    merged = adapted.merge_and_unload()
    assert_same_scores(scores_of(Scorer(merged, tokenizer)(POOL)), found)


def test_virtual_tokens_of_a_prompt_adapter_are_not_scored(model):
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    adapted = get_peft_model(
        perturbed(model, scale=0.0), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    )
    text = POOL[0]["candidates"][0]["solution"]
    found = Scorer(adapted, tokenizer)(POOL)[0]["candidates"][0]["score"]
    prompt, completions = render_completions(POOL[0]["problem"], [text], tokenizer)
    (tokens,) = tokenize_completions(prompt, completions, tokenizer, 1024, "keep_start")
    with torch.no_grad():
        logits = adapted(input_ids=torch.tensor([tokens.ids]), attention_mask=torch.ones(1, len(tokens.ids))).logits[0]
    places = torch.arange(tokens.first, len(tokens.ids))
    expected = logits.log_softmax(1)[5 + places - 1, torch.tensor(tokens.ids)[places]].sum().item()
    assert found["logp"] == pytest.approx(expected, abs=1e-4)


def test_the_reference_solution_is_scored_in_the_candidates_form(model):
    tokenizer = tiny_tokenizer()
    without = {**POOL[1], "reference_solution": None}
    first, second = Scorer(model, tokenizer)([POOL[0], without])
    solutions = [candidate["solution"] for candidate in POOL[0]["candidates"]]
    text = render_reference(POOL[0]["reference_solution"], POOL[0]["reference_answer"], solutions)
    assert first["rendered_reference"] == text
    assert text.endswith(f"A: {POOL[0]['reference_answer']}")
    assert first["reference_score"]["logp"] == pytest.approx(long_way(model, tokenizer, POOL[0], text).sum(), abs=1e-4)
    assert second["rendered_reference"] is None
    assert second["reference_score"] is None


def test_what_a_row_has_besides_is_carried_over(model):
    row = {**POOL[0], "note": {"kept": [1]}, "candidates": [{"solution": "A: 1", "profile": {"a": None}, "x": 1}]}
    (scored,) = Scorer(model, tiny_tokenizer())([row])
    assert scored["note"] == {"kept": [1]}
    assert {name: scored["candidates"][0][name] for name in ("profile", "x", "solution")} == row["candidates"][0]
    assert "score" not in row["candidates"][0]


def test_broken_surrogates_have_no_score(model):
    row = {**POOL[0], "candidates": [{"solution": "It is \udc80.\nA: 7"}, *POOL[0]["candidates"]]}
    broken_problem = {**POOL[1], "problem": "How \udfff many?"}
    first, second = Scorer(model, tiny_tokenizer())([row, broken_problem])
    assert first["candidates"][0]["score"] is None
    assert_same_scores(scores_of([first])[1:], scores_of(Scorer(model, tiny_tokenizer())(POOL[:1])))
    assert scores_of([second]) == [None] * 4
    assert second["reference_score"] is None


def test_a_prompt_that_fills_the_length_leaves_no_token(model):
    (scored,) = Scorer(model, tiny_tokenizer(), ScoringConfig(max_length=8))(POOL[:1])
    score = scored["candidates"][0]["score"]
    assert (score["tokens"], score["logp"], score["truncated"]) == (0, 0.0, True)
    assert [score[name] for name in ("mean_logp", "min_logp", "confidence", "perplexity")] == [None] * 4


def test_dropout_is_off():
    model = tiny_model(attention_dropout=0.5).train()
    scorer = Scorer(model, tiny_tokenizer())
    assert scores_of(scorer(POOL)) == scores_of(scorer(POOL))


def test_rows_without_candidates_stay(model):
    row = {**POOL[0], "candidates": []}
    (scored,) = Scorer(model, tiny_tokenizer())([row])
    assert scored["candidates"] == []
    assert scored["rendered_reference"] is None


def test_windows_depend_on_the_rows_alone(monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW_CHARACTERS", 700)
    found = list(scoring.windows(iter(POOL), "pool"))
    assert [row for _, window in found for row in window] == POOL
    assert [first for first, _ in found] == [sum(len(w) for _, w in found[:i]) for i in range(len(found))]
    assert len(found) > 3
    position = found[2][0]
    assert [len(w) for _, w in scoring.windows(POOL[position:], "pool")] == [len(w) for _, w in found[2:]]


def test_a_stream_is_scored_window_by_window(model, monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW_CHARACTERS", 700)
    scorer, read = Scorer(model, tiny_tokenizer()), []
    stream = score_rows((read.append(row["id"]) or row for row in POOL), scorer)
    next(stream)
    assert len(read) < len(POOL)
    rows = [*score_rows(POOL, scorer)]
    assert_same_scores(scores_of(rows), scores_of(scorer(POOL)))


def test_log_probs_that_are_not_finite_name_the_candidate():
    model = tiny_model()
    with torch.no_grad():
        model.model.embed_tokens.weight[tiny_tokenizer()("A: 7")["input_ids"][-1]] = float("nan")
    rows = [{"problem": "How many?", "candidates": [{"solution": text} for text in ("A: 1", "A: 7")]}]
    message = r"pool: row 0, column 'candidates\[1\]\.solution': got nan\. .*not finite in float32\. Try another dtype"
    with pytest.raises(SchemaError, match=message):
        Scorer(model, tiny_tokenizer())(rows)


def test_a_row_that_is_none_is_named(model):
    with pytest.raises(SchemaError, match=r"file\.jsonl: row 8, column 'candidates'"):
        Scorer(model, tiny_tokenizer())([POOL[0], {"problem": "p"}], first_row=7, source="file.jsonl")


def test_a_tokenizer_without_an_end_is_refused(model):
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="The tokenizer has no EOS token"):
        Scorer(model, tokenizer)


def test_a_tokenizer_of_another_model_is_refused():
    with pytest.raises(ValueError, match="but the model knows 60 only"):
        Scorer(tiny_model(vocab_size=60), tiny_tokenizer())(POOL[:1])


def test_a_template_that_loses_the_problem_is_refused(model):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages|length }}"
    with pytest.raises(ValueError, match="chat template does not write the text of a user message"):
        Scorer(model, tokenizer)(POOL[:1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 1}, "max_length is 1"),
        ({"truncation_mode": "middle"}, r"truncation_mode is 'middle'\. Give keep_start or keep_end"),
        ({"batch_tokens": 0}, "batch_tokens is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ScoringConfig(**settings)


def test_the_default_length_is_trls():
    fields = DPOConfig.__dataclass_fields__
    assert ScoringConfig().max_length == fields["max_length"].default
    assert ScoringConfig().truncation_mode == fields["truncation_mode"].default
