"""The tables of the documentation are those of the settings."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tools import docs_tables


def test_no_table_is_stale_and_all_are_used():
    used = set()
    for path in docs_tables.FILES:
        text = path.read_text()
        used |= {found["name"] for found in docs_tables._MARKED.finditer(text)}
        assert docs_tables.rewritten(text) == text, f"{path.name}: run make docs-tables"
    assert used == set(docs_tables.TABLES)


def test_a_stale_table_is_rewritten():
    stale = "a\n<!-- table: weighting -->\n| old |\n<!-- end -->\nb\n"
    new = docs_tables.rewritten(stale)
    assert new.startswith("a\n<!-- table: weighting -->\n| Axolotl")
    assert new.endswith("\n<!-- end -->\nb\n")
    assert "| `severity` | `weight_severity` | `--severity` | 1 | a number of at least 0 | Coefficient a of" in new
    assert "old" not in new
    with pytest.raises(KeyError, match="nothing"):
        docs_tables.rewritten("<!-- table: nothing -->\n<!-- end -->")


def test_the_script_checks():
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs_tables", "--check"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "All tables are up to date.\n")
