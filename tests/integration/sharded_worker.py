"""One process of two: `sharded_worker.py FOLDER`. Scores its half of the pairs with a model spread over both by torch's
`fully_shard`, and rank 0 writes the loss and the whole gradients of each case."""

import sys
from pathlib import Path

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tests.integration.pairs import PAIRS, collated
from tests.integration.sharding import CASES, loss_of, model_of


def main(folder: Path) -> None:
    mesh = init_device_mesh("cpu", (2,))
    rank = mesh.get_rank()
    share = slice(rank * PAIRS // 2, (rank + 1) * PAIRS // 2)
    for name, case in CASES.items():
        model = model_of(case)
        # As accelerate wraps it: each decoder layer, then what is left.
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        loss = loss_of(model, collated(share), case.path)
        loss.backward()
        loss = loss.detach()
        torch.distributed.all_reduce(loss)
        gradients = {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}
        sharded = {
            name: parameter.to_local().numel() / parameter.numel() for name, parameter in model.named_parameters()
        }
        if rank == 0:
            torch.save({"loss": loss / 2, "gradients": gradients, "share": sharded}, folder / f"{name}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
