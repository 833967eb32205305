"""How far loss and gradients are from those of the installed TRL, for each loss type, with all weights 1.

    python -m benchmarks.parity

Prints a Markdown table of relative differences: |Δ loss| / |loss|, and the largest ‖Δg‖ / ‖g‖ over all tensors.
"""

import tempfile
from importlib.metadata import version

import torch
from tests.arena import Arena, batch_of, loss_and_gradients, trl_in
from tests.parity.test_losses import LOSSES, SMOOTHING
from tests.tiny import tiny_model, tiny_pairs


def differences(loss_type: str, dtype: torch.dtype, folder: str) -> tuple[float, float]:
    arena = Arena(folder, tiny_pairs(4), tiny_model(0, dtype))
    settings = {"loss_type": [loss_type], "label_smoothing": SMOOTHING.get(loss_type, 0.0)}
    with trl_in(dtype):
        trainers = arena.trl(**settings), arena.ours(weight_scheme="uniform", **settings)
        (loss, gradients), (ours, our_gradients) = (loss_and_gradients(item, batch_of(item)) for item in trainers)
    gradient = max(float((our_gradients[name] - value).norm() / value.norm()) for name, value in gradients.items())
    return abs(ours - loss) / abs(loss), gradient


def main() -> None:
    print(f"trl {version('trl')}, torch {torch.__version__}, transformers {version('transformers')}\n")
    print("| loss type | float32 loss | float32 gradient | float64 loss | float64 gradient |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for loss_type in LOSSES:
            cells = [*differences(loss_type, torch.float32, folder), *differences(loss_type, torch.float64, folder)]
            print(f"| `{loss_type}` | " + " | ".join(f"{cell:.1e}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
