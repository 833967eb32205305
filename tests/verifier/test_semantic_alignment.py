import pytest

from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier
from trl_weighted_dpo.verifier.findings import score_of

BAKER = "A baker makes 15 trays of 8 rolls. He sells 3/4 of them. How many rolls are left?"
BAKED = "15*8=<<15*8=120>>120 rolls\n120*3/4=<<120*3/4=90>>90 are sold\n120-90=<<120-90=30>>30 are left\n#### 30"
RUNS = "James runs 3 sprints 3 times a week. He runs 60 meters each sprint. How many meters does he run a week?"
RAN = "He sprints 3*3=<<3*3=9>>9 times\nSo he runs 9*60=<<9*60=540>>540 meters\n#### 540"
BOB = (
    "Bob runs 70 miles. On the first day he runs 20 percent of them, on the second 50 percent of what is left. How far?"
)
FISH = "A tank has 15 fish. The second has twice as many, the third a third of the second. How many has the third?"
TRIP = "A trip takes 3 hours. How many minutes are that?"


def profile(problem: str, solution: str, reference: str | None = None, answer: str | None = None) -> ErrorProfile:
    with MathVerifier() as verifier:
        return verifier.verify(problem, solution, answer, reference)


def kinds(result: ErrorProfile) -> set[str]:
    return {item.kind for item in result.evidence if item.dimension == "semantic_alignment"}


SOUND = {
    "reference's way": (BAKER, "15 * 8 = 120\n3/4 * 120 = 90\n120 - 90 = 30\nA: 30", BAKED),
    "other order": (BAKER, "8 * 15 = 120\n1 - 3/4 = 1/4\n120 / 4 = 30\nA: 30", BAKED),
    "other way": (BAKER, "3/4 of 15 trays is 11.25 trays.\n15 - 11.25 = 3.75\n3.75 * 8 = 30\nA: 30", BAKED),
    "all at once": (BAKER, "15 * 8 * (1 - 3/4) = 30\nA: 30", BAKED),
    "regrouped": (RUNS, "3 * 60 = 180 meters at a time\n180 * 3 = 540 meters\nA: 540", RAN),
    "percent as decimal": (BOB, "20% of 70 = 0.2 * 70 = 14\n70 - 14 = 56\n0.5 * 56 = 28\nA: 28", None),
    "rest of a percentage": (BOB, "70 * 0.8 = 56\n56 * 0.5 = 28\nA: 28", None),
    "words of the problem in digits": (FISH, "15 * 2 = 30\n30 / 3 = 10\nA: 10", None),
    "constant of time": (TRIP, "3 * 60 = 180 minutes\nA: 180", None),
    "constant of a week": ("She eats 3 eggs a day. How many in 4 weeks?", "3 * 7 = 21\n21 * 4 = 84\nA: 84", None),
    "numbered steps": (RUNS, "Step 1: 3 * 3 = 9\nStep 2: 9 * 60 = 540\nStep 4: So 540.\nA: 540", RAN),
    "reference to a step": (RUNS, "3 * 3 = 9\nBy step 17, 9 * 60 = 540\nA: 540", RAN),
    "rounded share": ("3 friends split 10 pounds.", "10 / 3 = 3.33 pounds\n3.33 pounds each.\nA: 3.33", None),
    "a distractor in words": ("Two men have 5 nets. Each net holds 6 fish.", "5 * 6 = 30\nA: 30", None),
    "product in words": ("Half of 14 pens cost $3 each.", "14 divided by 2 is 7.\n7 times 3 is $21.\nA: 21", None),
    "ordinals": ("The third shop sells 8 cups, the fourth twice as many.", "8 * 2 = 16\nThe fourth sells 16.", None),
    "year": ("In 2010, a team won 70 games, then 5 more. How many?", "70 + 5 = 75\nA: 75", None),
    "percentage of what is raised": ("A bill of $50 rises by 10%.", "50 * 110 / 100 = 55\nA: 55", None),
    "right, with nothing computed": (BAKER, "A quarter of the rolls is left, so 30.\nA: 30", BAKED),
    "asked unit": (TRIP, "3 * 60 = 180\nThe answer is 180 minutes.", None),
}  # fmt: skip


@pytest.mark.parametrize(("problem", "solution", "reference"), SOUND.values(), ids=SOUND)
def test_sound_solutions_are_left_alone(problem, solution, reference) -> None:
    result = profile(problem, solution, reference)

    assert kinds(result) == set()
    assert result.scores["semantic_alignment"] == 0.0


FAULTY = {
    "number from nowhere": (BAKER, "15 * 8 = 120\n120 - 37 = 83\nA: 83", None, {"unknown_quantity", "unused_quantity"}),
    "said, not computed": ("He has 3 pens.", "There are 17 meals in a day.\n3 + 3 = 6\nA: 6", None,
                           {"unknown_quantity"}),
    "other percentage": (BOB, "0.2 * 70 = 14\n70 - 14 = 56\n60% of 56 = 33.6\nA: 33.6", None, {"misquoted_quantity"}),
    "other count of the same": ("Cartons have 15 servings. 60 servings?", "Each carton has 10 servings.\n60 / 10 = 6",
                                None, {"misquoted_quantity"}),
    "other multiple": (FISH, "15 * 2 = 30\nThe last has a quarter of it.\n30 / 4 = 7.5\nA: 7.5", None,
                       {"misquoted_quantity"}),
    "number never used": ("A pen is $3, a pad is $4. Both?", "3 + 3 = 6\nA: 6", None, {"unused_quantity"}),
    "off the route": (RUNS, "3 + 3 = 6\n6 * 60 = 360\nA: 360", RAN,
                      {"off_route", "route_not_reached", "dead_end"}),
    "too early": (BAKER, "15 * 8 = 120\nA: 120", BAKED,
                  {"route_not_reached", "unfinished", "unused_quantity"}),
    "last step missing": (RUNS, "3 * 3 = 9\nA: 9", RAN, set()),
    "last step wrong": (RUNS, "3 * 3 = 9\n9 + 60 = 69\nA: 69", RAN, {"off_route", "dead_end"}),
    "gone on from the answer": (RUNS, "3 * 3 = 9\n9 * 60 = 540\n540 * 7 = 3780\nA: 3780", RAN,
                                {"off_route", "left_behind"}),
    "answer that is a value on the way too": (
        "3 rows of 4 roses, 8 tulips, room for 32 plants. How many more fit?", "3 * 4 = 12\n12 + 8 = 20\nA: 20",
        "3*4=<<3*4=12>>12\n12+8=<<12+8=20>>20\n32-20=<<32-20=12>>12\n#### 12", set()),
    "other unit": (TRIP, "It takes 3 hours.\nThe answer is 3 hours.", None, {"other_unit"}),
    "cents for dollars": ("How many dollars are 300 cents?", "The answer is 300 cents.", None, {"other_unit"}),
}  # fmt: skip


@pytest.mark.parametrize(("problem", "solution", "reference", "expected"), FAULTY.values(), ids=FAULTY)
def test_faults_are_found(problem, solution, reference, expected) -> None:
    result = profile(problem, solution, reference)
    found = [item for item in result.evidence if item.dimension == "semantic_alignment"]

    assert kinds(result) == expected
    assert result.scores["semantic_alignment"] == score_of(found)


def test_a_misquoted_number_is_shown_beside_the_right_one() -> None:
    solution = "0.2 * 70 = 14\n70 - 14 = 56\n60% of 56 = 33.6\nA: 33.6"
    finding = next(item for item in profile(BOB, solution).evidence if item.kind == "misquoted_quantity")

    assert (finding.step, finding.expected, finding.found, finding.channel) == (2, "50", "60", "heuristic")
    assert solution[slice(*finding.span)] == "60"
    assert finding.message == "The problem says 50%, not 60%."


def test_what_was_not_there_is_said() -> None:
    assert {"problem", "reference solution", "reference answer"} <= set(profile("", "1 + 1 = 2").unavailable)
    assert profile("", "1 + 1 = 2").scores["semantic_alignment"] is None
    assert "reference solution" in profile(RUNS, "3 * 3 = 9").unavailable
    assert profile(RUNS, "3 * 3 = 9").scores["semantic_alignment"] is not None


def test_in_formulas_numbers_come_from_algebra() -> None:
    result = profile(r"Solve $x^2 = 34 - 9$.", r"\[ x^2 = 34 - 9 \] \[ 17 + 8 = 25 \] So \(x = 5\).", None)

    assert kinds(result) == set()


def test_a_number_too_long_to_be_written_is_shown_short() -> None:
    result = profile("How many?", "20^1999 * 20^1999 = 20^3998", "2 + 3 = 5\n#### 5", "5")

    assert any(item.kind == "off_route" and len(item.message) < 200 for item in result.evidence)
