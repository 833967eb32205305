"""Problems → pool: solutions sampled from a model."""

from trl_weighted_dpo.sampling.few_shot import read_few_shot
from trl_weighted_dpo.sampling.requests import Sample, SampleRequest
from trl_weighted_dpo.settings.sampling import SamplingConfig

__all__ = ["Sample", "SampleRequest", "SamplingConfig", "read_few_shot"]
