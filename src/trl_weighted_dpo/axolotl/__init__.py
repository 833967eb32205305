"""Axolotl integration: `plugins: [trl_weighted_dpo.axolotl.WeightedDPOPlugin]` and `rl: weighted_dpo`."""

from trl_weighted_dpo.axolotl.plugin import WeightedDPOPlugin

__all__ = ["WeightedDPOPlugin"]
