"""Reference log-probs from columns in half precision: what rounding moves is kept, what other weights move is found."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny import tiny_pairs
from tests.training.columns import PAIRS, make, with_columns
from trl_weighted_dpo import Scorer, ScoringConfig
from trl_weighted_dpo.core.fingerprint import Fingerprint


def bfloat16(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)


def scored_in_bfloat16(folder, tmp_path, batch_size):
    rows = with_columns(
        folder, tmp_path, tiny_pairs(PAIRS), bfloat16(folder), per_device_train_batch_size=batch_size,
        precompute_ref_batch_size=batch_size, model_init_kwargs={"dtype": "bfloat16"},
    )  # fmt: skip
    identity = replace(Fingerprint.from_json(rows[0]["ref_fingerprint"]), dtype="bfloat16").to_json()
    return [{**row, "ref_fingerprint": identity} for row in rows]


def test_rounding_of_other_batches_in_half_precision_keeps_the_columns(folder, tmp_path):
    scored = [scored_in_bfloat16(folder, tmp_path / str(size), size) for size in (1, 4)]
    assert any(one["ref_chosen_logps"] != two["ref_chosen_logps"] for one, two in zip(*scored, strict=True))
    for rows in scored:
        trainer = make(folder, tmp_path, rows, model=bfloat16(folder), ref_logps="columns")
        assert trainer.run_record["reference"] == "columns"


@pytest.mark.parametrize("scale", [1e-3, 3e-3])
def test_slightly_other_weights_in_half_precision_are_found_by_their_numbers(folder, tmp_path, scale):
    rows = scored_in_bfloat16(folder, tmp_path, 4)
    model = bfloat16(folder)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator).bfloat16()
    with pytest.raises(ValueError, match=r"pairs that were checked differ by more than 0\.06 nats times the root"):
        make(folder, tmp_path, rows, model=model, ref_logps="columns")


def test_autocast_from_full_weights_is_not_the_precision_of_rounded_ones(folder, tmp_path):
    rows = scored_in_bfloat16(folder, tmp_path, 4)
    with pytest.raises(ValueError, match=r"dtype: 'bfloat16 \(weights float32\)' here, 'bfloat16' there"):
        make(folder, tmp_path, rows, ref_logps="columns", bf16=True)
    init = {"model_init_kwargs": {"dtype": "bfloat16"}}
    assert make(folder, tmp_path, rows, bf16=True, **init).run_record["reference"] == "columns"


def test_scores_under_autocast_are_those_of_training_under_autocast(folder, tmp_path, rows):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    solutions = [{"solution": row[side]} for row in rows for side in ("chosen", "rejected")]
    pool = [
        {"problem": row["prompt"], "candidates": solutions[2 * place : 2 * place + 2]} for place, row in enumerate(rows)
    ]
    config = ScoringConfig(max_length=512, prompt_template="{problem}", autocast="bfloat16")
    pairs = []
    for row, scored in zip(rows, Scorer(model, tokenizer, config)(pool), strict=True):
        chosen, rejected = (candidate["score"] for candidate in scored["candidates"])
        assert "(weights float32)" in scored["fingerprint"]
        pairs.append(
            {
                **row,
                "ref_chosen_logps": chosen["logp"],
                "ref_rejected_logps": rejected["logp"],
                "ref_fingerprint": scored["fingerprint"],
                "ref_digest": chosen["digest"] + rejected["digest"],
            }
        )
    assert make(folder, tmp_path, pairs, ref_logps="columns", bf16=True).run_record["reference"] == "columns"
    plain = Scorer(model, tokenizer, replace(config, autocast=None))(pool)
    exact = [row["candidates"][0]["score"]["logp"] for row in plain]
    assert max(abs(pair["ref_chosen_logps"] - value) for pair, value in zip(pairs, exact, strict=True)) > 1e-3
