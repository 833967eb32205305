"""The embedded world: problems have the answers they claim, planted misconceptions are wrong in meaning only, and the
tokenizer survives being loaded by AutoTokenizer."""

import itertools
from collections import Counter

import pytest
from examples.tiny_math.model import make_model, save, train_tokenizer
from examples.tiny_math.world import BASIC, HARDER, LARGER, MISCONCEPTIONS, Event, Problem, problems
from transformers import AutoTokenizer

from trl_weighted_dpo import MathVerifier


def drawn(count, seed=0, *arguments):
    return list(itertools.islice(problems(seed, *arguments), count))


def test_a_problem_and_its_misconceptions():
    events = (Event("packs_in", 3, 4), Event("lose", 5), Event("distractor", 30), Event("fewer", 7))
    problem = Problem(0, 5, "apples", 10, events, 0)
    assert problem.text == (
        "Tom has 10 apples. He buys 3 packs of 4 apples each. He loses 5. Ann is 30 years old. "
        "Ann has 7 fewer than Tom and they put all together. How many apples does Tom have now?"
    )
    assert problem.solution() == "3*4=12\n10+12=22\n22-5=17\n17-7=10\n17+10=27\n#### 27"
    assert problem.temptations == list(MISCONCEPTIONS)
    assert problem.solution(["loses_as_gain"]) == "3*4=12\n10+12=22\n22+5=27\n27-7=20\n27+20=47\n#### 47"
    assert problem.solution(["counts_distractor"]) == "3*4=12\n10+12=22\n22-5=17\n17+30=47\n47-7=40\n47+40=87\n#### 87"
    assert problem.solution(["forgets_to_sum"]) == "3*4=12\n10+12=22\n22-5=17\n17-7=10\n#### 10"
    assert problem.solution(["fewer_as_more"]) == "3*4=12\n10+12=22\n22-5=17\n17+7=24\n17+24=41\n#### 41"


def test_misconceptions_can_be_held_at_single_events():
    problem = Problem(0, 5, "apples", 50, (Event("lose", 5), Event("lose", 7)), 0)
    assert problem.solution({1: ["loses_as_gain"]}) == "50-5=45\n45+7=52\n#### 52"
    assert sorted(problem.misreadings()) == [
        "50+5=55\n55+7=62\n#### 62",
        "50+5=55\n55-7=48\n#### 48",
        "50-5=45\n45+7=52\n#### 52",
    ]


def test_the_same_seed_gives_the_same_problems_and_others_are_left_out():
    first = drawn(50)
    assert drawn(50) == first
    assert drawn(50, 1) != first
    taken = {problem.text for problem in first[:10]}
    assert drawn(40, 0, BASIC, taken) == first[10:]


@pytest.mark.parametrize(
    ("difficulty", "steps", "largest"), [(BASIC, {2, 3, 4}, 199), (LARGER, {2, 3, 4}, 249), (HARDER, {4, 5}, 299)]
)
def test_bounds(difficulty, steps, largest):
    for problem in drawn(200, 3, difficulty):
        equations = problem.equations()
        assert len(equations) in steps
        assert min(result for *_, result in equations) >= 1
        assert max(result for *_, result in equations) <= largest


def test_the_verifier_agrees():
    found = Counter()
    with MathVerifier() as verifier:
        for problem in drawn(300, 4):
            reference = {"reference_answer": str(problem.answer), "reference_solution": problem.solution()}
            sound = verifier.verify(problem.text, problem.solution(), **reference)
            assert (sound.verdict.value, sound.first_faulty_step) == ("correct", None)
            for misconception in problem.temptations:
                try:
                    text = problem.solution([misconception])
                except ValueError:
                    continue
                if text == problem.solution():
                    continue
                profile = verifier.verify(problem.text, text, **reference)
                found[profile.verdict.value] += 1
                # The equations are right: what is wrong is their meaning.
                assert profile.scores["numerical_validity"] == 0
    assert set(found) == {"incorrect"}
    assert found["incorrect"] > 200


def test_a_misconception_without_a_positive_result_is_an_error():
    problem = Problem(0, 1, "pens", 10, (Event("more", 3), Event("give", 15)), 0)
    assert problem.answer == 8
    with pytest.raises(ValueError, match=r"13-15 is -2"):
        problem.solution(["forgets_to_sum"])


def test_the_tokenizer_has_single_digits_and_whole_words_and_survives(tmp_path):
    texts = [problem.text + "\n" + problem.solution() for problem in drawn(2000)]
    tokenizer = train_tokenizer(texts)
    model = make_model(tokenizer)
    assert 0.7e6 < model.num_parameters() < 1.3e6
    save(model, tokenizer, tmp_path, texts[0])
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "Tom has 105 apples. How many apples are there now?\n105-12=93\n#### 93"
    words = ["Tom", "Ġhas", "Ġ", "1", "0", "5", "Ġapples", ".", "ĠHow", "Ġmany", "Ġapples", "Ġare", "Ġthere", "Ġnow"]
    assert again.tokenize(text) == [*words, "?Ċ", *"105-12=93", "Ċ", "####", "Ġ", "9", "3"]
    assert again.decode(again(text)["input_ids"]) == text
