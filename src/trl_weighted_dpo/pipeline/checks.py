"""`python -m trl_weighted_dpo.pipeline.checks KIND FILE`: what an engine says of its YAML before it trains.

A process of its own, since reading it imports the engine.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from trl_weighted_dpo.pipeline.reading import read_yaml


def check_trl_train(path: Path) -> None:
    """Check the keys and values of a YAML of `weighted-dpo train`.

    Raises:
        `ValueError`: If a key is neither TRL's nor ours nor accelerate's, or a value is wrong.
    """
    from trl_weighted_dpo.training.launch import parse_launch

    parse_launch(["--config", str(path)])


def check_trl_sft(path: Path) -> None:
    """Check the keys and values of a YAML of `trl sft`.

    Raises:
        `ValueError`: If a key is not TRL's, or a value is wrong.
    """
    from trl_weighted_dpo.pipeline.sft import parse

    parse(["--config", str(path)])


def check_axolotl(path: Path) -> None:
    """Check a YAML of Axolotl by its own validation, as `axolotl train` does first.

    Raises:
        `ValueError`: If a value is wrong.
    """
    from axolotl.cli.config import gpu_capabilities, prepare_plugins
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    cfg = DictDefault(read_yaml(path))
    prepare_plugins(cfg)
    validate_config(cfg, *gpu_capabilities())


CHECKS: dict[str, Callable[[Path], None]] = {
    "trl-train": check_trl_train,
    "trl-sft": check_trl_sft,
    "axolotl": check_axolotl,
}

if __name__ == "__main__":
    try:
        CHECKS[sys.argv[1]](Path(sys.argv[2]))
    except (ValueError, ImportError) as error:
        print("Error: " + " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(1) from None
