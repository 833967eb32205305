"""Layouts of a batch of pairs: where tokens lie, what they see and which positions are scored."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trl_weighted_dpo.training.layout import lay_out, with_layout
from trl_weighted_dpo.training.masks import FULL, SLIDING, LayerKinds, attention_masks, layer_kinds

TOKENS = st.lists(st.integers(1, 3), min_size=1, max_size=6)
PAIRS = st.lists(st.tuples(TOKENS, TOKENS, TOKENS), min_size=1, max_size=5)


def collated(pairs, share, max_length=None, truncation_mode="keep_start"):
    """What the collator makes of pairs of token ids: chosen over rejected sequences, cut, padded and laid out."""
    kept = slice(max_length) if truncation_mode == "keep_start" else slice(max_length and -max_length, None)
    sequences = [(prompt, chosen) for prompt, chosen, _ in pairs] + [
        (prompt, rejected) for prompt, _, rejected in pairs
    ]
    rows = {
        "input_ids": [(prompt + completion)[kept] for prompt, completion in sequences],
        "attention_mask": [([1] * len(prompt + completion))[kept] for prompt, completion in sequences],
        "completion_mask": [([0] * len(prompt) + [1] * len(completion))[kept] for prompt, completion in sequences],
    }
    width = max(map(len, rows["input_ids"]))
    batch = {name: torch.tensor([row + [0] * (width - len(row)) for row in one]) for name, one in rows.items()}
    return {**batch, **lay_out(batch, share, 0)}


def scored_tokens(batch):
    """For each scored token its sequence, its place and itself."""
    mask = batch["completion_mask"].bool()
    mask[:, 0] = False
    return {(s, t): int(batch["input_ids"][s, t]) for s, t in mask.nonzero().tolist()}


def seen_by(batch, window=None):
    """For each scored token the (position, token) that its prediction may depend on, read off the shared layout."""
    positions, ids = batch["shared_position_ids"], batch["shared_input_ids"]
    mask = attention_masks(batch["shared_segments"], positions, LayerKinds(window), torch.float32)[:, 0] == 0
    width = ids.shape[1]
    seen = {}
    for (sequence, column), index in indices(batch):
        row, place = divmod(int(batch["shared_score_positions"][index]), width)
        keys = mask[row, place].nonzero().flatten()
        seen[sequence, column] = sorted(zip(positions[row, keys].tolist(), ids[row, keys].tolist(), strict=True))
    return seen


def indices(batch, kind="shared_score"):
    """Sequence and place of each token that is scored, and which score it is."""
    index = batch[f"{kind}_index"]
    places = (index < len(batch[f"{kind}_labels"])).nonzero().tolist()
    return [((sequence, column + 1), int(index[sequence, column])) for sequence, column in places]


@settings(max_examples=200, deadline=None)
@given(
    PAIRS, st.sampled_from([None, 1, 3]), st.sampled_from([(None, "keep_start"), (5, "keep_start"), (5, "keep_end")])
)
def test_a_scored_token_sees_its_own_sequence_and_nothing_else(pairs, window, cut):
    batch = collated(pairs, True, max_length=cut[0], truncation_mode=cut[1])
    seen = seen_by(batch, window)
    assert seen.keys() == scored_tokens(batch).keys()
    for (sequence, column), found in seen.items():
        before = list(enumerate(batch["input_ids"][sequence, :column].tolist()))
        assert found == (before if window is None else before[-window:])


@settings(max_examples=100, deadline=None)
@given(PAIRS)
def test_labels_are_the_scored_tokens(pairs):
    batch = collated(pairs, True)
    for kind in ("score", "shared_score"):
        labels = {place: int(batch[f"{kind}_labels"][index]) for place, index in indices(batch, kind)}
        assert labels == scored_tokens(batch)


def test_the_prompt_and_a_common_beginning_are_there_once():
    batch = collated([([1, 2, 3], [4, 5, 6, 7], [4, 5, 8])], True)
    # Trunk 1 2 3 4 (shared but for the last, 5); then 5 6 of the chosen and 5 of the rejected: 7 and 8 predict nothing.
    assert batch["shared_input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 5, 0]]
    assert batch["shared_position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 4, 0]]
    assert batch["shared_segments"].tolist() == [[0, 0, 0, 0, 1, 1, 2, -1]]
    assert batch["shared_score_positions"].tolist() == [2, 3, 4, 5, 6]
    assert batch["shared_score_labels"].tolist() == [4, 5, 6, 7, 8]
    assert batch["shared_score_index"].tolist() == [[5, 5, 0, 1, 2, 3], [5, 5, 0, 1, 4, 5]]


def test_short_pairs_share_a_row():
    long, short = ([1] * 20, [2] * 20, [3] * 20), ([1] * 4, [2] * 8, [3] * 8)
    batch = collated([short, long, short, short], True)
    assert len(batch["shared_input_ids"]) < 4
    real = int((batch["shared_segments"] >= 0).sum())
    assert real == 59 + 3 * 19
    assert batch["shared_input_ids"].numel() <= 1.2 * real


def test_the_layout_that_a_path_needs_is_made_where_it_is_missing():
    pairs = [([1, 2, 3], [4, 5], [4, 6, 7]), ([1], [2], [3])]
    shared, separate = collated(pairs, True), collated(pairs, False)
    plain = {name: shared[name] for name in ("input_ids", "attention_mask", "completion_mask")}
    for given_batch, path in ((plain, "shared"), (plain, "chunked"), (separate, "shared")):
        made = with_layout(given_batch, path, 0)
        names = [name for name in shared if name.startswith("shared_" if path == "shared" else "score_")]
        assert len(names) == (6 if path == "shared" else 3)
        assert all(torch.equal(made[name], shared[name]) for name in names)
    assert with_layout(plain, "model", 0) is plain
    # What the collator made for shared prompts serves both.
    assert with_layout(shared, "shared", 0) is with_layout(shared, "chunked", 0) is shared


def test_completions_that_are_cut_away_leave_nothing_to_score():
    batch = collated([([1, 2, 3], [4], [5])], True, max_length=3)
    for kind in ("score", "shared_score"):
        assert len(batch[f"{kind}_labels"]) == 0
        assert torch.equal(batch[f"{kind}_index"], torch.zeros(2, 2, dtype=torch.long))


class Config:
    def __init__(self, **values):
        vars(self).update(values)


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        ({}, LayerKinds()),
        ({"sliding_window": 8}, LayerKinds(8)),
        ({"sliding_window": 8, "use_sliding_window": False}, LayerKinds()),
        ({"sliding_window": 8, "layer_types": [FULL, FULL]}, LayerKinds()),
        ({"sliding_window": 8, "layer_types": [FULL, SLIDING]}, LayerKinds(8, True)),
    ],
)
def test_kinds_of_layers(config, kinds):
    assert layer_kinds(Config(**config)) == kinds


def test_layers_that_leak_are_named():
    with pytest.raises(ValueError, match="it has conv, linear_attention layers"):
        layer_kinds(Config(layer_types=[FULL, "linear_attention", "conv"]))


def test_masks_by_kind_of_layer():
    batch = collated([([1, 2, 3], [4, 5], [6, 7])], True)
    masks = attention_masks(batch["shared_segments"], batch["shared_position_ids"], LayerKinds(2, True), torch.bfloat16)
    assert masks.keys() == {FULL, SLIDING}
    assert masks[FULL].dtype == torch.bfloat16
    assert (masks[SLIDING] == 0).sum() < (masks[FULL] == 0).sum()
    assert masks[FULL].min() == torch.finfo(torch.bfloat16).min
