"""Lengths of pairs, given and counted."""

import pytest

from tests.tiny import tiny_pairs, tiny_tokenizer
from trl_weighted_dpo.planning.pairs import PairLength, assumed_pairs, measured_pairs


def test_the_longest_assumed_pair_fills_the_length():
    pairs = assumed_pairs(7, 100, 200, 512)
    assert pairs.mean == PairLength(100, 200, 200)
    assert pairs.longest == PairLength(100, 412, 412)
    assert pairs.longest.rows(shared=True) == (99 + 2 * 412,)
    assert pairs.longest.rows(shared=False) == (512, 512)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((7, 300, 300, 512), "300 \\+ 300 tokens is longer than the 512"), ((7, 1, 1, None), "memory has no bound")],
)
def test_lengths_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        assumed_pairs(*arguments)


def test_pairs_of_a_file_are_counted_as_they_are_trained_on():
    tokenizer, rows = tiny_tokenizer(), tiny_pairs(12)
    pairs = measured_pairs(rows, tokenizer, None, shared=True)
    # As TRL makes them; pairs of a file hold bare problems, after which rendering puts a new line.
    lengths = [
        [len(tokenizer(text)["input_ids"]) for text in (row["prompt"] + "\n", row["chosen"], row["rejected"])]
        for row in rows
    ]
    assert pairs.count == 12
    assert pairs.mean.prompt == pytest.approx(sum(p for p, _, _ in lengths) / 12)
    assert pairs.mean.chosen == pytest.approx(sum(c + 1 for _, c, _ in lengths) / 12)
    assert pairs.longest.rows(shared=True) == (max(p - 1 + c + r + 2 for p, c, r in lengths),)
    assert pairs.have_reference is False
    cut = measured_pairs(rows, tokenizer, 40, shared=False)
    assert max(cut.longest.rows(shared=False)) == 40


def test_columns_of_reference_log_probs_are_seen():
    rows = [{**row, "ref_chosen_logps": -1.0, "ref_rejected_logps": -2.0} for row in tiny_pairs(3)]
    assert measured_pairs(rows, tiny_tokenizer(), None, shared=True).have_reference is True
    rows[1]["ref_chosen_logps"] = None
    assert measured_pairs(rows, tiny_tokenizer(), None, shared=True).have_reference is False
