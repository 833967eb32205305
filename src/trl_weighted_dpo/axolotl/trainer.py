"""The trainer class that Axolotl builds, with the mixins that its own DPO trainer has."""

from typing import Any

from axolotl.core.trainers.mixins import DistributedParallelMixin, RngLoaderMixin, SchedulerMixin
from axolotl.core.trainers.mixins.optimizer import OptimizerInitMixin, OptimizerMixin
from axolotl.utils.collators.dpo import AxolotlDPODataCollatorWithPadding

from trl_weighted_dpo.training.trainer import TAGS, WeightedDPOTrainer
from trl_weighted_dpo.training.trl_seam import described


@described("Weighted DPO", ("axolotl", *TAGS))
class AxolotlWeightedDPOTrainer(
    RngLoaderMixin,
    SchedulerMixin,
    OptimizerMixin,
    OptimizerInitMixin,
    WeightedDPOTrainer,
    DistributedParallelMixin,
):
    """[`WeightedDPOTrainer`] with Axolotl's optimizers, schedulers and saving."""

    def __init__(
        self, model: Any, ref_model: Any = None, *, args: Any, data_collator: Any = None, **kwargs: Any
    ) -> None:
        if isinstance(data_collator, AxolotlDPODataCollatorWithPadding):
            # Axolotl's collator is written for column names that TRL no longer has; ours pads to the same multiple.
            args.pad_to_multiple_of = data_collator.pad_to_multiple_of
            data_collator = None
        super().__init__(model, ref_model, args=args, data_collator=data_collator, **kwargs)
        if self.reference_is_precomputed:
            # Axolotl loads a reference for full fine-tuning whatever the settings; nothing asks it any more.
            self.ref_model = None
