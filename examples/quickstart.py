"""The whole method on a CPU in minutes: sample, verify, score, mine, weigh, train in Axolotl, evaluate.

python examples/quickstart.py                        # the tiny world, with the SFT model that comes with it
python examples/quickstart.py --train-sft            # and train that SFT model first, from scratch: some half hour more
python examples/quickstart.py --datasets pool.jsonl  # candidates of your own in place of sampled ones
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from rich.console import Console

REPOSITORY = Path(__file__).resolve().parent.parent
WORLD = REPOSITORY / "examples" / "tiny_math"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/quickstart"))
    parser.add_argument("--train-sft", action="store_true", help="train the SFT model instead of taking the one here")
    parser.add_argument("--datasets", type=Path, help="a pool as JSONL: candidates of your own")
    options = parser.parse_args()
    folder = options.output_dir.resolve()
    console = Console()

    problems = folder / "problems"
    run(console, sys.executable, str(WORLD / "make_problems.py"), str(problems))
    model = WORLD / "sft_model"
    if options.train_sft:
        model, base = folder / "sft", folder / "base"
        script = str(WORLD / "train_sft.py")
        run(console, sys.executable, script, "base", "-o", str(base))
        run(console, sys.executable, script, "sft", "--base", str(base), "-o", str(model))
    recipe = write_recipe(folder, problems, model, options.datasets)
    run(console, str(Path(sys.executable).with_name("weighted-dpo")), "run", str(recipe))
    console.print(
        "The tiny world is a designed test bed: planted misconceptions, a model of a million parameters. It shows how "
        "the parts work together, and nothing about real models."
    )


def run(console: Console, *command: str) -> None:
    console.print(f"[bold]Running[/bold] {shlex.join(command)}\n", soft_wrap=True)
    environment = {"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    # So small a model gains nothing from more threads, and loses much where others use the machine.
    environment |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(command, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(done.returncode)


def write_recipe(folder: Path, problems: Path, model: Path, pool: Path | None) -> Path:
    """The recipe of the tiny world, with the paths filled in."""
    recipe = yaml.safe_load((REPOSITORY / "recipes" / "tiny_math.yaml").read_text())
    recipe |= {"output_dir": str(folder), "model": str(model)}
    recipe["train"]["recipe"] = str(REPOSITORY / "recipes" / "quickstart.yaml")
    recipe["problems"] = {"path": str(problems / "pool.jsonl")}
    if pool is None:
        recipe["evaluation"]["problems"] = {"path": str(problems / "test.jsonl")}
    else:
        recipe["sample"] = {"file": str(pool.resolve())}
        del recipe["evaluation"]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


if __name__ == "__main__":
    main()
