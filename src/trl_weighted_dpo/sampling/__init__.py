"""Problems → pool: solutions sampled from a model."""

from trl_weighted_dpo.sampling.config import SamplingConfig, read_few_shot
from trl_weighted_dpo.sampling.requests import Sample, SampleRequest

__all__ = ["Sample", "SampleRequest", "SamplingConfig", "read_few_shot"]
