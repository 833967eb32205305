"""The layout in `docs/architecture.md`, from the first docstring lines; `tools/docs_tables.py` writes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ORDER = (
    "core", "settings", "problems", "sampling", "verifier", "scoring", "mining", "audit", "weighting", "training",
    "planning", "evaluation", "pipeline", "axolotl", "plugins", "report", "cli",
)  # fmt: skip
"""Packages in the order in which a reader meets them; others follow by name."""
_REFERENCE = re.compile(r"\[(`)~?(?:\w+\.)*(\w+`)\]")


def summary(module: Path) -> str:
    """The first docstring line of a module, without its period and without links.

    Raises:
        `ValueError`: If there is none, or it is no whole sentence.
    """
    line, *_ = (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").split("\n")
    if not line.endswith("."):
        raise ValueError(f"{module}: the first docstring line is {line!r}. Write one sentence with a period.")
    return _REFERENCE.sub(r"\1\2", line.removesuffix("."))


def layout(package: Path = ROOT / "src" / "trl_weighted_dpo") -> str:
    """Every module of the package as a tree, each with its summary."""
    rows = [(f"{package.relative_to(package.parents[1]).as_posix()}/", summary(package / "__init__.py"))]
    rows += _below(package, "")
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {said}" for name, said in rows)


def _below(folder: Path, indent: str) -> Iterator[tuple[str, str]]:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    packages = [path.parent for path in folder.glob("*/__init__.py")]
    entries = [*sorted(modules), *sorted(packages, key=lambda path: (_place(path), path))]
    for entry in entries:
        branch, following = ("└── ", "    ") if entry == entries[-1] else ("├── ", "│   ")
        if entry.is_dir():
            yield f"{indent}{branch}{entry.name}/", summary(entry / "__init__.py")
            yield from _below(entry, indent + following)
        else:
            yield f"{indent}{branch}{entry.name}", summary(entry)


def _place(package: Path) -> int:
    return ORDER.index(package.name) if package.name in ORDER else len(ORDER)
