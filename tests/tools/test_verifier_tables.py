"""The documentation's tables of kinds are those of the code."""

import re

from tools.verifier_tables import PAGE, TABLES, kinds_table, main, rendered

from trl_weighted_dpo.verifier import KINDS


def test_the_page_is_up_to_date() -> None:
    assert main(["--check"]) == 0, "run python -m tools.verifier_tables"


def test_the_page_has_every_table_and_so_every_kind() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert re.findall(r"<!-- table: (kinds-\w+) -->", page) == list(TABLES)
    for dimension, name, channel in KINDS:
        assert f"| `{name}` | {channel} |" in kinds_table(dimension)


def test_a_table_has_one_row_for_each_kind_and_channel() -> None:
    lines = kinds_table("step_ordering").splitlines()

    assert lines[:2] == ["| kind | channel | severity | meaning |", "| --- | --- | --- | --- |"]
    assert lines[2] == "| `number_out_of_order` | rule | 0.8 | The number of a step is below one before it. |"
    assert len(lines) == 6
    assert kinds_table("final_answer").startswith("| kind | channel | meaning |\n| --- | --- | --- |\n| `wrong_sign` |")


def test_only_known_tables_are_written() -> None:
    page = "a\n<!-- table: kinds-step_ordering -->\nold\n<!-- end -->\n<!-- table: other -->\nkept\n<!-- end -->\n"

    new = rendered(page)
    assert "old" not in new
    assert new.startswith("a\n<!-- table: kinds-step_ordering -->\n| kind |")
    assert new.endswith("<!-- end -->\n<!-- table: other -->\nkept\n<!-- end -->\n")
