"""The documentation's tables of kinds have every kind of the code."""

from tools.verifier_tables import kinds_table

from trl_weighted_dpo.verifier import KINDS


def test_the_tables_have_every_kind() -> None:
    assert len(KINDS) > 50
    for dimension, name, channel in KINDS:
        assert any(line.startswith(f"| `{name}` | {channel} |") for line in kinds_table(dimension))


def test_a_table_has_one_row_for_each_kind_and_channel() -> None:
    lines = kinds_table("step_ordering")

    assert lines[:2] == ["| kind | channel | severity | meaning |", "| --- | --- | --- | --- |"]
    assert lines[2] == "| `number_out_of_order` | rule | 0.8 | The number of a step is below one before it. |"
    assert len(lines) == 6
    assert kinds_table("final_answer")[:2] == ["| kind | channel | meaning |", "| --- | --- | --- |"]
    assert kinds_table("final_answer")[2].startswith("| `wrong_sign` |")
