"""What Axolotl's YAML has no key for: several processes on CPUs."""

from typing import Any

from axolotl.integrations.base import BasePlugin


class CpuPlugin(BasePlugin):
    """Sets the training argument without which each process trains by itself."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"use_cpu": True}
