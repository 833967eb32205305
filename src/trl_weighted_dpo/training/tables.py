"""Gathers per-pair values of many micro-batches, with one collective per optimizer step."""

from collections.abc import Callable

import torch
from torch import Tensor

_KEPT = 512
"""Gathered tables that stay on the device before they are read, should nothing be logged."""


class PairTables:
    """Collects the (B, C) tables of micro-batches: gathered from all processes once an optimizer step, read when
    logged.

    Args:
        gather (`Callable`):
            Stacks a tensor of all processes along its first dimension; theirs are equally long.
        processes (`int`):
            How many there are.
    """

    def __init__(self, gather: Callable[[Tensor], Tensor], processes: int) -> None:
        self._gather, self._processes = gather, processes
        self._pending: list[Tensor] = []
        self._gathered: list[tuple[Tensor, list[int]]] = []
        self._read: list[Tensor] = []

    def add(self, rows: Tensor, end_of_step: bool) -> None:
        """Keep a micro-batch's rows on the device; at the end of an optimizer step, gather those of its
        micro-batches."""
        self._pending.append(rows)
        if end_of_step:
            sizes = [len(part) for part in self._pending]
            self._gathered.append((self._gather(torch.cat(self._pending)), sizes))
            self._pending = []
            self._limit()

    def add_gathered(self, rows: Tensor) -> None:
        """Keep rows of a batch that are those of all processes already."""
        self._gathered.append((rows, []))
        self._limit()

    def take(self) -> list[Tensor]:
        """For each micro-batch since the last call the rows of all processes, in float64 on the CPU."""
        self._fetch()
        batches, self._read = self._read, []
        return batches

    def _limit(self) -> None:
        if len(self._gathered) >= _KEPT:
            self._fetch()

    def _fetch(self) -> None:
        for rows, sizes in self._gathered:
            table = rows.cpu().double()
            if not sizes:
                self._read.append(table)
                continue
            of_process = table.view(self._processes, sum(sizes), table.size(1))
            self._read += [part.reshape(-1, table.size(1)) for part in of_process.split(sizes, dim=1)]
        self._gathered = []
