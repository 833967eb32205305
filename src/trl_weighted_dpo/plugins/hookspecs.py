"""The hooks: each returns a mapping from names to objects, so that a plugin may bring several.

Names are lower-case identifiers. Hooks are called once, with the first lookup of any name: what is slow to import
belongs inside the functions that they return.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from trl_weighted_dpo.mining.hardness import HardnessFunction
    from trl_weighted_dpo.sampling import Sample, SampleRequest, SamplingConfig
    from trl_weighted_dpo.verifier.view import DimensionCheck
    from trl_weighted_dpo.weighting import RawWeightFunction

PROJECT = "trl_weighted_dpo"
"""Name of the project in pluggy, and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as one that the package calls."""


class Sampler(Protocol):
    """Something that samples solutions.

    Attributes:
        tokenizer (`PreTrainedTokenizerBase` or `None`):
            Renders problems by its chat template; without one, or for `None`, the prompt template does.
        identity (`str`):
            What samples are made with, such as model, precision and version: samples of another identity are not taken
            up.
    """

    tokenizer: Any
    identity: str

    def generate(self, requests: "Sequence[SampleRequest]", config: "SamplingConfig") -> "Iterator[tuple[int, Sample]]":
        """Yields position and sample of each request, in any order: each is on disk before the next is asked for.

        Args:
            requests (`Sequence[SampleRequest]`):
                Prompts as the model reads them, each with a seed of its own. A sample is to depend on those two alone,
                so that going on after a stop repeats a run that was not stopped.
            config (`SamplingConfig`):
                Its temperature, `top_p`, `top_k`, `max_new_tokens`, `stop` and `batch_tokens` are of use.
        """


SamplerFactory = Callable[[str, Mapping[str, Any]], Sampler]
"""From the path or name of a model, and options by name, to a sampler. From the command line options are text."""


@hookspec
def weighted_dpo_dimensions() -> "Mapping[str, DimensionCheck]":
    """Dimensions of the error profile beside the six: functions `check(view: SolutionView) -> DimensionResult`.

    `weighted-dpo verify --dimension NAME` and `MathVerifier(checks={name: check})` check them too. They have to be
    functions of a module, which other processes can import. Model text is hostile: bound every loop, and never
    evaluate it.
    """
    raise NotImplementedError


@hookspec
def weighted_dpo_hardnesses() -> "Mapping[str, HardnessFunction]":
    """What ranks negatives: functions `hardness(signals: HardnessSignals) -> float`, in [0, 1]."""
    raise NotImplementedError


@hookspec
def weighted_dpo_raw_weights() -> "Mapping[str, RawWeightFunction]":
    """Raw weights: functions `raw(columns: Mapping[str, Array], config: WeightingConfig) -> Array`.

    The columns are float64 arrays of shape `(n,)`, NaN where a value is not known: those of the pairs with a value
    somewhere, and `relative_nll`; they are not to be changed. What is returned has the same shape and is finite and at
    least 0; each pair's comes from its own row alone. The name is a scheme of weighting.
    """
    raise NotImplementedError


@hookspec
def weighted_dpo_samplers() -> Mapping[str, SamplerFactory]:
    """Sampler backends: functions or classes `sampler(model: str, options: Mapping[str, Any]) -> Sampler`.

    `weighted-dpo sample --backend NAME --option KEY=VALUE` uses them.
    """
    raise NotImplementedError
