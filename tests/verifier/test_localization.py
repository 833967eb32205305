import pytest

from trl_weighted_dpo.verifier import MathVerifier

BAKER = "A baker makes 15 trays of 8 rolls. He sells 3/4 of them. How many rolls are left?"
BAKED = "15*8=<<15*8=120>>120 rolls\n120*3/4=<<120*3/4=90>>90 are sold\n120-90=<<120-90=30>>30 are left\n#### 30"
SEEDS = (
    "Ann must collect x seeds. She has 4 apples of 6 seeds and 9 grapes of 3 seeds and still needs 9 seeds. "
    "What is the value of unknown variable x?"
)
COLLECTED = "Apples give 4 * 6 = 24 seeds.\nGrapes give 9 * 3 = 27 seeds.\nx = 24 + 27 + 9 = 60\n#### 60"
PENS = "Ann buys 4 packs of 6 pens, gives 8 away, finds 5 and sells the rest for $2 each. How many dollars is that?"
SOLD = "4*6=<<4*6=24>>24\n24-8=<<24-8=16>>16\n16+5=<<16+5=21>>21\n21*2=<<21*2=42>>42\n#### 42"
VANS = "2 vans carry 9 people each, 2 buses 30 people each. How many people do they carry?"
CARRIED = "2*9=<<2*9=18>>18\n2*30=<<2*30=60>>60\n18+60=<<18+60=78>>78\n#### 78"
ROWS = "A garden has 3 rows of 4 roses and 8 tulips. There is room for 32 plants. How many more fit?"
FITTED = "3*4=<<3*4=12>>12\n12+8=<<12+8=20>>20\n32-20=<<32-20=12>>12\n#### 12"
BOX = "A box is 8 by 10 by 12 inches. How many blocks of 24 cubic inches fill it?"
FILLED = "8*10*12=<<8*10*12=960>>960\n960/24=<<960/24=40>>40\n#### 40"

CASES = {
    "sound": (BAKER, BAKED, ["15 * 8 = 120", "120 * 3/4 = 90", "120 - 90 = 30. A: 30"], None),
    "sound, by another way": (BAKER, BAKED, ["1 - 3/4 = 1/4", "15 / 4 = 3.75", "3.75 * 8 = 30", "A: 30"], None),
    "right answer, wrong equation": (BAKER, BAKED, ["15 * 8 = 125", "120 - 90 = 30", "A: 30"], 0),
    "wrong equation": (BAKER, BAKED, ["We want what is left.", "15 * 8 = 130", "130 - 97.5 = 32.5", "A: 32.5"], 1),
    "wrong set-up": (BAKER, BAKED, ["15 * 8 = 120", "120 - 3/4 = 119.25", "A: 119.25"], 1),
    "other route, then a wrong equation": (BAKER, BAKED, ["15 / 4 = 3.75", "3.75 * 8 = 32", "A: 32"], 1),
    "number from nowhere": (BAKER, BAKED, ["15 * 8 = 120", "He sells 37 of them.", "120 - 37 = 83", "A: 83"], 1),
    "stopped early": (BAKER, BAKED, ["15 * 8 = 120", "120 * 3/4 = 90", "A: 90"], 1),
    "gone on": (BAKER, BAKED, ["15 * 8 = 120", "120 * 3/4 = 90", "120 - 90 = 30", "30 * 7 = 210", "A: 210"], 3),
    "taken away the wrong way round": (
        BAKER, BAKED, ["15 * 8 = 120", "120 * 3/4 = 90", "90 - 120 = -30", "A: -30"], 2),
    "only the answer": (BAKER, BAKED, ["Let us think.", "The answer is 77."], 1),
    "nothing at all": (BAKER, BAKED, [""], 0),
    "term in the unknown": (SEEDS, COLLECTED, ["4 * 6 = 24", "9 * 3 = 27", "x - 51 = 19", "A: 70"], 2),
    # Values of the reference, but come by in another way, so that the reference's next step goes wrong.
    "set-up with the result of a later step": (
        PENS, SOLD, ["4 * 6 - 8 = 16", "16 - 8 = 8", "8 + 5 = 13", "13 * 2 = 26", "A: 26"], 0),
    "set-up with the result of a step, two steps before": (
        PENS, SOLD, ["4 + 6 + 14 - 3 = 21", "21 - 8 = 13", "13 + 5 = 18", "18 * 2 = 36", "A: 36"], 0),
    "step done twice": (VANS, CARRIED, ["2 * 9 = 18", "2 * 9 = 18", "18 + 18 = 36", "A: 36"], 1),
    "step left out": (PENS, SOLD, ["4 * 6 = 24", "24 - 8 = 16", "16 * 2 = 32", "A: 32"], 2),
    "other result put in": (VANS, CARRIED, ["2 * 9 = 18", "2 * 30 = 60", "18 + 18 = 36", "A: 36"], 2),
    "answer that is a value on the way too": (ROWS, FITTED, ["3 * 4 = 12", "12 + 8 = 20", "32 + 20 = 52", "A: 52"], 2),
    "hundredth of a value of the reference": (BOX, FILLED, ["8 / 10 * 12 = 9.6", "9.6 / 24 = 0.4", "A: 0.4"], 0),
    "equation in the unknown": (SEEDS, COLLECTED, ["4 * 6 = 24", "9 * 3 = 27", "x + 24 + 27 = 9", "A: -42"], 2),
}  # fmt: skip


@pytest.mark.parametrize(("problem", "reference", "steps", "expected"), CASES.values(), ids=CASES)
def test_the_first_faulty_step_is_found(problem, reference, steps, expected) -> None:
    with MathVerifier() as verifier:
        assert verifier.verify(problem, steps, reference_solution=reference).first_faulty_step == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["15 * 8 = 120", "120 - 90 = 30", "A: 30"], None),
        (["15 * 8 = 125", "A: 125"], 0),
        (["15 * 8 = 120", "120 - 37 = 83", "A: 83"], None),
    ],
    ids=["sound", "wrong equation", "what only a reference would show"],
)
def test_without_a_reference_only_what_is_sure_is_named(steps, expected) -> None:
    with MathVerifier() as verifier:
        assert verifier.verify(BAKER, steps).first_faulty_step == expected


def test_steps_are_the_lines_of_a_text_and_the_items_of_a_list() -> None:
    lines = ["15 * 8 = 120", "", "120 - 80 = 50", "A: 50"]
    with MathVerifier() as verifier:
        assert verifier.verify(BAKER, "\n".join(lines), "30", BAKED).first_faulty_step == 1
        assert verifier.verify(BAKER, lines, "30", BAKED).first_faulty_step == 2
