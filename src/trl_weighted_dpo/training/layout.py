"""How the sequences of a batch of pairs lie in rows, shared prefixes once, and which positions are scored.

Two layouts. *Separate*: chosen over rejected, a row each, as TRL's collator stacks them. *Shared*: what the two
sequences of a pair begin with goes through the model once,

    prefix (all shared tokens but the last) · chosen from the last shared token on · rejected from the last shared token
    on

with positions that restart in the second branch, and a mask that keeps the branches apart. Each branch has its own
copy of the last shared token, so that every position has one next token to score; final tokens, which predict nothing,
are left out. Pairs are packed into rows so that little is padding. Ours; exact, since a token sees the same tokens at
the same positions as in a row of its own.
"""

import heapq
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SCORES = ("score_positions", "score_labels", "score_index")
SHARED_SCORES = ("shared_score_positions", "shared_score_labels", "shared_score_index")
SHARED_IDS = "shared_input_ids"
SHARED_POSITIONS = "shared_position_ids"
SHARED_SEGMENTS = "shared_segments"
_SHARED_ROWS = (SHARED_IDS, SHARED_POSITIONS, SHARED_SEGMENTS)

PREFIX, CHOSEN, REJECTED = 0, 1, 2
BRANCHES = 3
_PADDING = -1
ROW_MULTIPLE = {"cuda": 64}
LEAST_ROW_MULTIPLE = 8
"""Row lengths are multiples of it, by type of device: attention kernels copy masks that are not aligned, and those of
cuDNN are built anew, in up to a second, for each shape that they have not seen."""
_ATTENTION_PARITY = 2048
"""Row length at which attention, whose cost for a token grows with it, is taken to cost as much as the rest of the
model. Ours: 6·hidden by operations, less since masked attention runs slower than matrix products; only decides between
packings."""


def lay_out(
    batch: Mapping[str, Tensor], share: bool, pad_token_id: int, multiple: int = LEAST_ROW_MULTIPLE
) -> dict[str, Tensor]:
    """Lay a batch of B pairs out.

    Args:
        batch (`Mapping[str, Tensor]`):
            `input_ids`, `attention_mask` and `completion_mask`, each (2B, T), right-padded, chosen over rejected.
        share (`bool`):
            Whether what a pair's sequences begin with is shared.
        pad_token_id (`int`):
            Fills the rows up.
        multiple (`int`, *optional*, defaults to `8`):
            What the length of shared rows is a multiple of.

    Returns:
        Of the separate layout, for N positions that score a completion token:

        * `score_positions` (N,): places in the flattened rows, whose hidden states predict the tokens,
        * `score_labels` (N,): the tokens,
        * `score_index` (2B, T−1): which of the N scores token t + 1 of each sequence; N where none does.

        If shared, the same of the shared layout under `shared_score_positions` and so on, and its R rows of length S:
        `shared_input_ids`, `shared_position_ids` and `shared_segments`, each (R, S). A segment is 3·pair + 0 (prefix),
        1 (chosen) or 2 (rejected); −1 is padding.
    """
    ids, attended, completion = (batch[name].numpy() for name in ("input_ids", "attention_mask", "completion_mask"))
    scored = (completion[:, 1:] > 0) & (attended[:, 1:] > 0)
    rows, columns = np.nonzero(scored)
    index = np.full(scored.shape, len(rows))
    index[rows, columns] = np.arange(len(rows))
    layout = _tensors(SCORES, rows * ids.shape[1] + columns, ids[rows, columns + 1], index)
    if share:
        layout |= _shared(ids, attended.sum(axis=1), scored, pad_token_id, multiple)
    return layout


def segment_branch(segments: Tensor) -> Tensor:
    """Whether each token of `shared_segments` is in a prefix (0), a chosen (1) or a rejected branch (2)."""
    return segments % BRANCHES


def score_names(path: str) -> tuple[str, str, str]:
    """Names of positions, labels and index of a path's layout."""
    return SHARED_SCORES if path == "shared" else SCORES


def row_multiple(device: str) -> int:
    """What the length of shared rows is a multiple of on a type of device."""
    return ROW_MULTIPLE.get(device, LEAST_ROW_MULTIPLE)


def with_layout(batch: Mapping[str, Tensor], path: str, pad_token_id: int) -> Mapping[str, Tensor]:
    """The batch with the layout that a path of [`~training.forward.score_tokens`] needs. What the collator has not
    made is made here, which waits for the device."""
    if path == "model" or score_names(path)[0] in batch:
        return batch
    names = ("input_ids", "attention_mask", "completion_mask")
    device = batch["input_ids"].device
    on_host = {name: batch[name].cpu() for name in names}
    layout = lay_out(on_host, path == "shared", pad_token_id, row_multiple(device.type))
    return {**batch, **{name: values.to(device) for name, values in layout.items()}}


def _shared(
    ids: NDArray[np.int64], lengths: NDArray[np.int64], scored: NDArray[np.bool_], pad_token_id: int, multiple: int
) -> dict[str, Tensor]:
    pairs = len(ids) // 2
    prefixes = [
        _shared_prefix(ids[pair, : lengths[pair]], ids[pairs + pair, : lengths[pairs + pair]]) for pair in range(pairs)
    ]
    # Tokens of each sequence that something is predicted from, past its prefix.
    branches = np.maximum(lengths - 1 - np.tile(prefixes, 2), 0)
    sizes = [prefixes[pair] + branches[pair] + branches[pairs + pair] for pair in range(pairs)]
    places, count, width = _pack(sizes, multiple)

    rows = np.full((count, width), pad_token_id, dtype=np.int64)
    positions = np.zeros((count, width), dtype=np.int64)
    segments = np.full((count, width), _PADDING, dtype=np.int64)
    # Flat place of each token of each sequence that something is predicted from; a prefix's are those of both.
    slots = np.full((2 * pairs, ids.shape[1]), _PADDING, dtype=np.int64)
    for pair, (row, start) in enumerate(places):
        prefix = prefixes[pair]
        parts = ((PREFIX, pair, 0, prefix), *(
            (branch, sequence, prefix, prefix + branches[sequence])
            for branch, sequence in ((CHOSEN, pair), (REJECTED, pairs + pair))
        ))  # fmt: skip
        for branch, sequence, begin, end in parts:
            target = slice(start, start + end - begin)
            rows[row, target] = ids[sequence, begin:end]
            positions[row, target] = np.arange(begin, end)
            segments[row, target] = BRANCHES * pair + branch
            owners = (pair, pairs + pair) if branch == PREFIX else (sequence,)
            for owner in owners:
                slots[owner, begin:end] = row * width + np.arange(target.start, target.stop)
            start = target.stop

    sequences, columns = np.nonzero(scored)
    # A prefix's position that scores a shared completion token does so once, for both sequences.
    flat, first, inverse = np.unique(slots[sequences, columns], return_index=True, return_inverse=True)
    index = np.full(scored.shape, len(flat))
    index[sequences, columns] = inverse
    scores = _tensors(SHARED_SCORES, flat, ids[sequences[first], columns[first] + 1], index)
    return scores | _tensors(_SHARED_ROWS, rows, positions, segments)


def _shared_prefix(chosen: NDArray[np.int64], rejected: NDArray[np.int64]) -> int:
    """How many tokens two sequences share at their beginning, less the last of them."""
    shorter = min(len(chosen), len(rejected))
    differ = np.flatnonzero(chosen[:shorter] != rejected[:shorter])
    shared = int(differ[0]) if len(differ) else shorter
    return max(shared - 1, 0)


def _pack(sizes: Sequence[int], multiple: int) -> tuple[list[tuple[int, int]], int, int]:
    """Row and start of each item, how many rows there are and how long they are. For a number of rows the longest item
    goes first to the row that is filled least; the cheapest number is taken."""
    order = sorted(range(len(sizes)), key=lambda item: (-sizes[item], item))
    total, longest = sum(sizes), max(sizes)
    # What each number of rows costs at least.
    bounds = sorted((_cost(count, max(longest, math.ceil(total / count))), count) for count in range(1, len(sizes) + 1))
    best: tuple[list[tuple[int, int]], int, int] = ([], 0, 0)
    least = math.inf
    for bound, count in bounds:
        if bound >= least:
            break
        filled = [(0, row) for row in range(count)]
        places = [(0, 0)] * len(sizes)
        for item in order:
            used, row = filled[0]
            places[item] = row, used
            heapq.heapreplace(filled, (used + sizes[item], row))
        width = -(-max(max(filled)[0], 1) // multiple) * multiple
        if _cost(count, width) < least:
            best, least = (places, count, width), _cost(count, width)
    return best


def _cost(rows: int, width: int) -> float:
    return rows * width * (1 + width / _ATTENTION_PARITY)


def _tensors(names: Sequence[str], *arrays: NDArray[np.int64]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}
