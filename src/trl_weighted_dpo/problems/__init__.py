"""Problems from files, folders and the hub, whatever their columns are called."""

from trl_weighted_dpo.problems.loading import load_problems

__all__ = ["load_problems"]
