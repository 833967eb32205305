"""Counting of living bytes, where every byte is known."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from trl_weighted_dpo.planning.live_bytes import LiveBytes


def test_bytes_are_counted_until_they_are_freed():
    known = torch.zeros(100)
    with LiveBytes([known]) as memory:
        a = torch.zeros(10)
        b = a + 1
        assert memory.live == 80
        view = a.view(2, 5)
        known.add_(1)
        assert memory.live == 80
        del a
        assert memory.live == 80  # the view holds it
        del view
        assert memory.live == 40
        memory.restart()
        assert memory.peak == 40
        for _ in range(3):
            torch.zeros(20, dtype=torch.float64)
        assert (memory.live, memory.peak) == (40, 200)
        del b
    assert memory.live == 0


def test_what_the_backward_pass_keeps_is_alive():
    for mode in (torch.enable_grad(), FakeTensorMode()):
        with mode:
            x = torch.ones(1000, requires_grad=True)
            with LiveBytes([x]) as memory:
                y = x.exp().sum()
                assert memory.live == 4000 + 4  # exp keeps its result
                y.backward()
                assert memory.live == 4 + 4000  # y and the gradient
