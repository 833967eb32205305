"""Per-pair tables of many micro-batches, which cost a step one collective and no wait for the device."""

from collections.abc import Callable

import torch
from torch import Tensor

_KEPT = 512
"""Gathered tables that are kept before they are read, should nothing be logged."""


class PairTables:
    """Collects the (B, C) tables of micro-batches: gathered from all processes once an optimizer step, read when logged.

    Args:
        gather (`Callable`):
            Stacks a tensor of all processes along its first dimension, each as long.
        processes (`int`):
            How many there are.
    """

    def __init__(self, gather: Callable[[Tensor], Tensor], processes: int) -> None:
        self._gather, self._processes = gather, processes
        self._pending: list[Tensor] = []
        self._gathered: list[tuple[Tensor, list[int]]] = []

    def add(self, rows: Tensor, end_of_step: bool) -> None:
        """Keep a micro-batch's rows on the device; at the end of an optimizer step, gather those of all its micro-batches."""
        self._pending.append(rows)
        if end_of_step:
            sizes = [len(part) for part in self._pending]
            self._gathered.append((self._gather(torch.cat(self._pending)), sizes))
            self._pending = []

    def add_gathered(self, rows: Tensor) -> None:
        """Keep rows of a batch that are those of all processes already."""
        self._gathered.append((rows, []))

    @property
    def is_full(self) -> bool:
        """Whether so much is kept that it had better be read."""
        return len(self._gathered) >= _KEPT

    def read(self) -> list[Tensor]:
        """For each micro-batch since the last call the rows of all processes, in float64 on the CPU."""
        batches: list[Tensor] = []
        for rows, sizes in self._gathered:
            table = rows.cpu().double()
            if not sizes:
                batches.append(table)
                continue
            of_process = table.view(self._processes, sum(sizes), table.size(1))
            batches += [part.reshape(-1, table.size(1)) for part in of_process.split(sizes, dim=1)]
        self._gathered = []
        return batches
