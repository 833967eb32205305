"""Tables of settings and options in the documentation, made from the settings themselves.

`python -m tools.docs_tables` rewrites what stands between `<!-- table: NAME -->` and `<!-- end -->`; with `--check` it
fails where that differs. The tables are those of [`TABLES`].
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import typer
from tools.architecture import layout
from tools.layout_tables import pair_layouts, problem_layouts
from tools.verifier_tables import kinds_table

from trl_weighted_dpo.cli import app
from trl_weighted_dpo.settings import (
    AXOLOTL_BLOCK,
    HardnessConfig,
    PairingConfig,
    PairsConfig,
    ServerBackendConfig,
    Setting,
    TrainingConfig,
    VLLMBackendConfig,
    WeightingConfig,
    settings_of,
)
from trl_weighted_dpo.settings.training import WEIGHT_PREFIX
from trl_weighted_dpo.verifier import DIMENSIONS

ROOT = Path(__file__).resolve().parents[1]
FILES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "src/trl_weighted_dpo/axolotl/README.md")
_MARKED = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table(first: str, *configs: type) -> Iterator[str]:
    """A row for each setting: key, default, values, meaning."""
    yield from _head(first, "default", "takes", "")
    for setting in (setting for config in configs for setting in settings_of(config)):
        yield _row(f"`{setting.key}`", _default(setting), setting.expected, setting.help)


def block_table() -> Iterator[str]:
    """The `weighted_dpo:` block of an Axolotl YAML."""
    yield from _head("`weighted_dpo:`", "default", "takes", "")
    for setting in (setting for config in AXOLOTL_BLOCK for setting in settings_of(config)):
        if not setting.is_nested:
            yield _row(f"`{setting.key}`", _default(setting), setting.expected, setting.help)
            continue
        for inner in settings_of(setting.kind):
            yield _row(f"`{setting.key}:` `{inner.key}`", _default(inner), inner.expected, inner.help)


def weighting_table() -> Iterator[str]:
    """Weighting by all its names."""
    yield from _head("Axolotl (`weighted_dpo:`)", "`WeightedDPOConfig`", "`weighted-dpo weigh`", "default", "takes", "")
    for setting in settings_of(WeightingConfig):
        names = f"`{setting.key}`", f"`{WEIGHT_PREFIX}{setting.key}`", f"`{setting.flag}`"
        yield _row(*names, _default(setting), setting.expected, setting.help)


def options_table(command: str) -> Iterator[str]:
    """The options of one of our commands, as its help has them."""
    group: Any = typer.main.get_command(app)
    yield from _head("option", "default", "")
    for parameter in group.commands[command].params:
        if parameter.param_type_name != "option" or parameter.name == "help":
            continue
        names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len))
        shape = parameter.metavar or ""
        takes = f" `{shape}`" if shape else _choices(parameter)
        yield _row(names + takes, "required" if parameter.required else _shown(parameter.default), parameter.help or "")


def plain_table(rows: Callable[[], Iterator[tuple[str, ...]]]) -> Iterator[str]:
    """A table of rows of cells, the first of which is its head."""
    head, *body = rows()
    yield from _head(*head)
    yield from (_row(*cells) for cells in body)


def _choices(parameter: Any) -> str:
    # Newer versions of typer describe a parameter's type themselves, where older ones had click's.
    kind = parameter.type if hasattr(parameter, "type") else parameter.type_descriptor
    choices = getattr(kind, "choices", None) or ()
    return " " + ", ".join(f"`{getattr(choice, 'value', choice)}`" for choice in choices) if choices else ""


TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "weighting": weighting_table,
    "axolotl": block_table,
    "mining": partial(settings_table, "setting", PairingConfig),
    "hardness": partial(settings_table, "`hardness:`", HardnessConfig),
    "training": partial(settings_table, "field", TrainingConfig),
    "pairs": partial(settings_table, "flag or key", PairsConfig),
    "vllm": partial(settings_table, "option", VLLMBackendConfig),
    "server": partial(settings_table, "option", ServerBackendConfig),
    **{f"options-{name}": partial(options_table, name)
       for name in ("problems", "sample", "verify", "score", "audit", "evaluate", "plan")},
    **{f"kinds-{name}": partial(kinds_table, name) for name in DIMENSIONS},
    "problem-layouts": partial(plain_table, problem_layouts),
    "pair-layouts": partial(plain_table, pair_layouts),
    "layout": lambda: ["```", *layout().splitlines(), "```"],
}  # fmt: skip
"""What makes each table, by its name."""


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |".replace("|  |", "| |")


def _default(setting: Setting) -> str:
    if setting.is_nested:
        return "its defaults"
    return _shown(setting.none_as if setting.default is None and setting.none_as is not None else setting.default)


def _shown(value: Any) -> str:
    if value is None or value == () or value == []:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    text = str(getattr(value, "value", value)).replace("\n", "\\n")
    return text if isinstance(value, int) else f"`{text}`"


def rewritten(text: str) -> str:
    """A page with its tables as they should be.

    Raises:
        `KeyError`: If a marker names no table.
    """
    return _MARKED.sub(lambda found: f"{found[1]}{chr(10).join(TABLES[found['name']]())}\n{found[3]}", text)


def main() -> None:
    """Rewrite the tables, or with `--check` say which pages have others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a table is stale")
    check = parser.parse_args().check
    stale = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text:
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(new, encoding="utf-8")
    print("\n".join(f"{'stale' if check else 'rewritten'}: {name}" for name in stale) or "All tables are up to date.")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
