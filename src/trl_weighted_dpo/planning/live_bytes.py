"""Bytes of tensors that are alive, counted as they are made and freed: exact, and the same each time."""

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """A context that counts the storages which operations inside it make, until they are freed.

    Views count once, with what they look at. Works on real tensors and on fake ones, which have sizes and no contents.
    What kernels use inside themselves is not seen.

    Args:
        known (`Iterable[Tensor]`): Tensors that were there before and do not count.

    Attributes:
        live (`int`): Bytes alive now.
        peak (`int`): Most bytes alive at once since the last [`~LiveBytes.restart`].
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}
        # Held, so that no other storage gets the address of one of these.
        self._known = {storage._cdata: storage for storage in (tensor.untyped_storage() for tensor in known)}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count a tensor that was made outside, until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes or key in self._known:
            return
        self._sizes[key] = storage.nbytes()
        weakref.finalize(storage, self._drop, key)
        self.live += self._sizes[key]
        self.peak = max(self.peak, self.live)

    def _drop(self, key: int) -> None:
        self.live -= self._sizes.pop(key)

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = self.live
