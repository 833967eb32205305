"""What the documentation and the examples import is public, and their Python is Python."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

import trl_weighted_dpo

ROOT = Path(__file__).parents[1]
PUBLIC = ("trl_weighted_dpo", "trl_weighted_dpo.plugins")
"""The modules whose `__all__` is public."""
PAGES = [*sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("src/**/*.md")),
         *sorted(ROOT.glob("examples/**/*.md"))]  # fmt: skip
SCRIPTS = [*sorted(ROOT.glob("examples/**/*.py")), *sorted(ROOT.glob("recipes/**/*.py"))]
NOT_PUBLIC_YET = {("trl_weighted_dpo.verifier.facts", "answer_value")}
"""Imports of the example plugin that a view of a solution will take the place of."""

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ALL_PYTHON = re.compile(r"^ *```(?:python|py|pycon)\b", re.MULTILINE)


def blocks(page):
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        line = page.read_text(encoding="utf-8").count("\n", 0, match.start()) + 2
        code = match[1]
        if code.startswith(">>> "):
            code = "".join(example.source for example in doctest.DocTestParser().get_examples(code))
        yield pytest.param(code, id=f"{page.relative_to(ROOT)}:{line}")


BLOCKS = [block for page in PAGES for block in blocks(page)]
CODE = [*BLOCKS, *(pytest.param(path.read_text(encoding="utf-8"), id=str(path.relative_to(ROOT))) for path in SCRIPTS)]


def imports(code):
    """(module, name) of each import from the package; the name is `None` where a module is imported whole."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "trl_weighted_dpo":
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((one.name, None) for one in node.names if one.name.partition(".")[0] == "trl_weighted_dpo")


def is_public(module, name):
    if f"{module}.{name}" in PUBLIC or (name is None and module in PUBLIC):
        return True
    return module in PUBLIC and name in importlib.import_module(module).__all__


@pytest.mark.parametrize("code", CODE)
def test_it_compiles_and_imports_public_names_only(code):
    compile(code, "example", "exec")
    private = {(module, name) for module, name in imports(code) if not is_public(module, name)}
    assert private <= NOT_PUBLIC_YET


def test_every_block_is_found():
    """None is left out because it is indented or marked another way."""
    assert len(BLOCKS) == sum(len(_ALL_PYTHON.findall(page.read_text(encoding="utf-8"))) for page in PAGES) >= 15
    used = {pair for param in CODE for pair in imports(param.values[0])}
    assert len(used) >= 30
    assert ("trl_weighted_dpo", "MathVerifier") in used


@pytest.mark.parametrize(
    ("code", "public"),
    [
        ("from trl_weighted_dpo import MathVerifier", True),
        ("from trl_weighted_dpo import plugins", True),
        ("import trl_weighted_dpo", True),
        ("from trl_weighted_dpo.plugins import hookimpl", True),
        ("from trl_weighted_dpo.verifier import MathVerifier", False),
        ("from trl_weighted_dpo import nonsense", False),
        ("import trl_weighted_dpo.core.files", False),
    ],
)
def test_the_rule(code, public):
    assert [is_public(module, name) for module, name in imports(code)] == [public]


def test_what_is_exported_is_used_or_documented():
    """A name that no page and no example mentions has no reader."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*PAGES, *SCRIPTS])
    unused = [name for name in trl_weighted_dpo.__all__ if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert unused == []
    table = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"`(\w+)`", table[table.index("| for |") :])) == sorted(
        name for name in trl_weighted_dpo.__all__ if name != "hard_negatives"
    )
