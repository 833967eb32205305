"""Problems → pool: solutions sampled from a model."""

from trl_weighted_dpo.sampling.few_shot import read_few_shot
from trl_weighted_dpo.sampling.requests import Sample, SampleRequest
from trl_weighted_dpo.settings.sampling import SamplingConfig

SAMPLING_VERSION = "1"
"""Result version of samples: it changes whenever the same model, prompt, settings and seed may give another one."""

__all__ = ["SAMPLING_VERSION", "Sample", "SampleRequest", "SamplingConfig", "read_few_shot"]
