"""Settings of `weighted-dpo plan`."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Interval
from typing_extensions import Doc

from trl_weighted_dpo.settings.setting import check


@dataclass(frozen=True)
class PlanConfig:
    """The GPUs that a run is planned for, and its pairs.

    The default of `mfu` is ours. Long sequences on many GPUs reach 0.38 to 0.43 (Llama 3, arXiv 2407.21783, table 4)
    and 0.42 to 0.56 (Korthikanti et al., arXiv 2205.05198, table 5); pairs are short rows, in code that is not fused.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    gpus: Annotated[int, Ge(1), Doc("GPUs that train, over all machines.")] = 1
    gpu: Annotated[str, Doc("3090, 4090, A100-40, A100, L40S, H100 or H200.")] = "4090"
    gpu_memory: Annotated[float | None, Ge(0.1), Doc("GiB of a GPU, instead of those of `gpu`.")] = None
    gpu_tflops: Annotated[
        float | None, Ge(0.1), Doc("Peak of a GPU for dense bfloat16, in TFLOPS, instead of that of `gpu`.")
    ] = None
    pairs: Annotated[str, Doc("How many pairs there are, or a file of pairs, whose tokens are counted.")] = "10000"
    prompt_tokens: Annotated[float, Ge(1), Doc("Mean tokens of a prompt, if `pairs` is a number.")] = 150.0
    completion_tokens: Annotated[float, Ge(1), Doc("Mean tokens of a completion, if `pairs` is a number.")] = 250.0
    mfu: Annotated[
        float, Interval(ge=0.01, le=1), Doc("Share of the peak that is reached, with repeated operations counted.")
    ] = 0.3

    def __post_init__(self) -> None:
        check(self)
