"""What a command does when a launcher starts it in several processes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState


def start_processes() -> "PartialState":
    """This process among those that a launcher has started; those that are done wait for the others, for hours if need
    be."""
    from datetime import timedelta

    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=30))
