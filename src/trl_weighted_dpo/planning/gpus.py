"""A few GPUs: memory, and peak of dense bfloat16 matrix products with float32 accumulation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Args:
        name (`str`): What people call it.
        memory (`float`): GiB that programs can have.
        tflops (`float`): Peak of dense bfloat16 matrix products, in 10¹² operations a second.
        source (`str`): Where the peak stands.
    """

    name: str
    memory: float
    tflops: float
    source: str


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("3090", 23.6, 71.0, "NVIDIA, Ampere GA102 GPU architecture whitepaper"),
        Gpu("4090", 23.6, 165.2, "NVIDIA, Ada GPU architecture whitepaper"),
        Gpu("A100-40", 39.4, 312.0, "NVIDIA, A100 Tensor Core GPU datasheet"),
        Gpu("A100", 79.1, 312.0, "NVIDIA, A100 Tensor Core GPU datasheet"),
        Gpu("L40S", 44.3, 362.0, "NVIDIA, L40S datasheet (half of its figure with sparsity)"),
        Gpu("H100", 79.1, 989.4, "NVIDIA, H100 Tensor Core GPU datasheet, SXM (half of its figure with sparsity)"),
        Gpu("H200", 139.7, 989.4, "NVIDIA, H200 Tensor Core GPU datasheet, SXM (half of its figure with sparsity)"),
    )
}
"""The memory is what torch reports as total capacity, somewhat less than the name says."""


def find_gpu(name: str) -> Gpu:
    """A GPU by its name, in any case.

    Raises:
        `ValueError`: If it is not known.
    """
    for known, gpu in GPUS.items():
        if known.lower() == name.lower():
            return gpu
    raise ValueError(
        f"The GPU {name!r} is not known; {', '.join(GPUS)} are. Give --gpu-memory (GiB) and --gpu-tflops (peak of "
        "dense bfloat16) instead."
    )
