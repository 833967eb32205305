"""Runs the main job on a CPU: a pool of candidate solutions → scores → pairs → weighted DPO in Axolotl.

python examples/quickstart.py                               # a pool and a tiny model made on the spot
python examples/quickstart.py --datasets pool.jsonl         # your own pool
python examples/quickstart.py --base-model path/to/model    # your own model
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from rich.console import Console

from trl_weighted_dpo import schema
from trl_weighted_dpo.report.mining import mining_table
from trl_weighted_dpo.report.weighting import weights_table

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, help="pool as JSONL; made on the spot by default")
    parser.add_argument("--base-model", type=Path, help="model folder; a tiny untrained one by default")
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/quickstart"))
    options = parser.parse_args()
    folder = options.output_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()

    pool = options.datasets.resolve() if options.datasets else write_pool(folder / "pool.jsonl")
    model = options.base_model.resolve() if options.base_model else write_model(folder / "untrained_model", pool)
    scored = folder / "scored.jsonl"
    run(console, "weighted-dpo", "score", str(pool), "--model", str(model), "-o", str(scored), "--max-length", "2048")
    config = write_config(folder, scored, model)
    run(console, "axolotl", "train", str(config), "--launcher", "python")
    record = json.loads((folder / "model" / "weighted_dpo.json").read_text())
    prepared = yaml.safe_load(config.read_text())["dataset_prepared_path"]
    newest = max(Path(prepared).glob("*/pairs-*.report.json"), key=lambda path: path.stat().st_mtime)
    console.print(mining_table(json.loads(newest.read_text())))
    console.print(weights_table(record["weighting"]))
    console.print(f"Model, and what it was trained with (weighted_dpo.json): {folder / 'model'}", soft_wrap=True)
    console.print(f"Recipe: {config}", soft_wrap=True)
    if not options.base_model:
        console.print("The model is untrained and tiny: this run shows the path, not what weighting gains.")


def run(console: Console, program: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    console.print(f"[bold]Running[/bold] {shlex.join(command)}\n", soft_wrap=True)
    subprocess.run(command, check=True, env={**os.environ, "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"})


def write_pool(path: Path) -> Path:
    from tiny_world import make_pool

    schema.write_jsonl(path, make_pool(200))
    return path


def write_model(folder: Path, pool: Path) -> Path:
    from tiny_world import save_model

    rows = list(schema.read_jsonl(pool))
    texts = [row["problem"] for row in rows] + [item["solution"] for row in rows for item in row["candidates"]]
    save_model(folder, texts)
    return folder


def write_config(folder: Path, pool: Path, model: Path) -> Path:
    """The quickstart recipe with the paths filled in."""
    recipe = yaml.safe_load((REPOSITORY / "recipes" / "quickstart.yaml").read_text())
    recipe["base_model"] = str(model)
    recipe["datasets"][0]["path"] = str(pool)
    recipe["dataset_prepared_path"] = str(folder / "prepared")
    recipe["output_dir"] = str(folder / "model")
    path = folder / "quickstart.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


if __name__ == "__main__":
    main()
