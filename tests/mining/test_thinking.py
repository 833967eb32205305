"""Pools of models that think: thoughts bar no solution, and may be left out of pairs."""

import pytest

from tests.tiny import tiny_model, tiny_tokenizer
from trl_weighted_dpo import MathVerifier, PairingConfig, Scorer, ScoringConfig, mine_pairs, score_rows
from trl_weighted_dpo.core.checks import SchemaError

RIGHT = "3 * 4 = 12\n12 + 2 = 14\n#### 14"
WRONG = "3 * 4 = 12\n12 - 2 = 10\n#### 10"
SLIP = "<think>\n3 * 4 = 13. No, wait, 3 * 4 = 12.\n</think>\n\n"
CHECKS = "<think>\n" + "Wait, let me double-check. 3 * 4 = 12. " * 6 + "\n</think>\n\n"
OPEN = "<think>\n3 * 4 = 12, then 14. The answer is 14. Hmm, but"


def row(*solutions, **more):
    return {
        "id": "p", "problem": "Ann has 3 bags of 4 apples and buys 2 more. How many apples does she have?",
        "reference_answer": "14", "candidates": [{"solution": solution} for solution in solutions], **more,
    }  # fmt: skip


def mine(*rows, **settings):
    return mine_pairs(rows, config=PairingConfig(**settings), progress=False)


@pytest.mark.parametrize("thought", [SLIP, CHECKS])
def test_what_a_thought_drops_does_not_bar_a_chosen_solution(thought):
    pairs, report = mine(row(thought + RIGHT, SLIP + WRONG))
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [(thought + RIGHT, SLIP + WRONG)]
    assert (pairs[0]["chosen_answer"], pairs[0]["rejected_answer"]) == ("14", "10")
    assert pairs[0]["rejected_first_faulty_step"] == 4
    assert not report.dropped["chosen is flagged"]


def test_a_fault_that_the_answer_repeats_bars_it():
    repeated = "<think>\n3 * 4 = 13\n</think>\n3 * 4 = 13\n12 + 2 = 14\n#### 14"
    pairs, report = mine(row(repeated, SLIP + WRONG))
    assert (pairs, report.problems_without_pairs) == ([], {"every correct candidate is flagged": 1})


def test_answers_alone_in_tags_make_pairs():
    solutions = [f"<think>\n3 * 4 = 12\n{work}\n</think>\n<answer>{n}</answer>" for work, n in
                 (("12 + 2 = 14", 14), ("12 - 2 = 10", 10))]  # fmt: skip
    (pair,), report = mine(row(*solutions))
    assert [pair["chosen"], pair["rejected"]] == solutions
    assert report.unusable == {}
    assert pair["rejected_first_faulty_step"] == 2


def test_unfinished_thinking_is_neither_chosen_nor_rejected():
    pairs, report = mine(row(RIGHT, OPEN, "<think>\nIs it 10? The answer is 10"))
    assert pairs == []
    assert report.unusable == {"unfinished thinking": 2}
    assert report.verdicts == {"correct": 1}


def test_pairs_of_answers_alone():
    chosen, rejected = SLIP + RIGHT, "<think>\n12 - 2 is 10.\n</think>\n" + WRONG
    (pair,), _ = mine(row(chosen, rejected), train_on="answer")
    assert (pair["chosen"], pair["rejected"]) == (RIGHT, WRONG)
    assert (pair["chosen_length"], pair["rejected_length"]) == (len(RIGHT), len(WRONG))
    # Steps are those of the text that is trained on.
    assert pair["rejected_first_faulty_step"] == 1
    expected = MathVerifier().verify(row()["problem"], WRONG, "14")
    assert pair["rejected_wrongness"] == expected.wrongness
    (whole,), _ = mine(row(chosen, rejected))
    assert whole["rejected_first_faulty_step"] == 4
    # Profiles of the whole text are not those of its answer.
    profile = MathVerifier().verify(row()["problem"], rejected, "14").to_dict()
    verified = row(chosen, rejected)
    verified["candidates"][1]["profile"] = profile
    assert mine(verified, train_on="answer")[0] == [pair]


def test_thoughts_alone_tell_no_answers_apart():
    pairs, report = mine(row(SLIP + RIGHT, CHECKS + RIGHT, SLIP + WRONG, CHECKS + WRONG), train_on="answer")
    assert len(pairs) == 1
    assert report.unusable == {"repeated": 2}


def test_scores_have_to_be_of_what_is_trained_on():
    pool = [row(SLIP + RIGHT, SLIP + WRONG)]
    model, tokenizer = tiny_model(), tiny_tokenizer()
    whole = list(score_rows(pool, Scorer(model, tokenizer)))
    answers = list(score_rows(pool, Scorer(model, tokenizer, ScoringConfig(train_on="answer"))))
    plain = list(score_rows([row(RIGHT, WRONG)], Scorer(model, tokenizer)))
    assert [one["score"] for one in answers[0]["candidates"]] == [one["score"] for one in plain[0]["candidates"]]
    assert (whole[0].get("trained_on"), answers[0]["trained_on"]) == (None, "answer")
    (pair,), _ = mine(*answers, train_on="answer")
    (other,), _ = mine(*plain)
    assert (pair["ref_chosen_logps"], pair["chosen_length"]) == (other["ref_chosen_logps"], other["chosen_length"])
    for scored, settings in ((whole, {"train_on": "answer"}), (answers, {})):
        with pytest.raises(SchemaError, match=r"trained_on.*score it again"):
            mine(*scored, **settings)
    assert mine(*plain, train_on="answer")[0][0]["chosen"] == RIGHT
