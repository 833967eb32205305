"""Thought and answer: which is which, in every mark-up, and what each of them counts for."""

import pytest

from trl_weighted_dpo.core.thinking import after_thought, split_thinking, without_thought
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier

PROBLEM = "Tom had 15 apples. He ate 3 of them and got 4 more. How many apples has he now?"
REFERENCE = "15 - 3 = 12\n12 + 4 = 16\n#### 16"
ANSWER = "15 - 3 = 12\n12 + 4 = 16\n\nThe answer is 16."
SLIP = "15 - 3 = 13\n13 + 4 = 17\n\nThe answer is 17."

# What stands before the thought, between it and the answer, and after that.
MARK_UPS = {
    "think": ("<think>\n", "\n</think>\n\n", ""),
    "no blank": ("<think>", "</think>", ""),
    "capitals": ("<Think>\n", "\n</THINK>\n", ""),
    "blanks within": ("< think >\n", "\n</ think >\n", ""),
    "line breaks of Windows": ("<think>\r\n", "\r\n</think>\r\n\r\n", ""),
    "an attribute": ('<think time="3">', "</think>\n", ""),
    "an escaped slash": ("<think>", "<\\/think>", ""),
    "opened by the prompt": ("", "\n</think>\n\n", ""),
    "in a turn": ("<|im_start|>assistant\n<think>\n", "\n</think>\n\n", "<|im_end|>\n<|endoftext|>"),
    "with an end token": ("<think>\n", "\n</think>\n\n", "</s>"),
    "thinking": ("<thinking>", "</thinking>\n", ""),
    "thought": ("<thought>\n", "\n</thought>\n\n", "[|endofturn|]"),
    "reasoning": ("<reasoning>\n", "\n</reasoning>\n", ""),
    "scratchpad": ("<scratchpad>\n", "\n</scratchpad>\n", ""),
    "Magistral": ("[THINK]", "[/THINK]", ""),
    "Kimi": ("\u25c1think\u25b7", "\u25c1/think\u25b7", ""),
    "Seed": ("<seed:think>", "</seed:think>", "<seed:eos>"),
    "LongCat": ("<longcat_think>", "</longcat_think>", ""),
    "Sky-T1": (
        "<|begin_of_thought|>\n\n", "\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n", "\n\n<|end_of_solution|>"
    ),
    "Sky-T1 without a solution": ("<|begin_of_thought|>", "<|end_of_thought|>", ""),
    "Sky-T1 without an end": ("<|begin_of_thought|>", "\n<|begin_of_solution|>\n", ""),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>", "<|END_RESPONSE|>"),
    "ERNIE": ("<think>\n", "\n</think>\n\n<response>\n", "\n</response>"),
    "Unsloth": ("<start_working_out>", "<end_working_out>\n<SOLUTION>", "</SOLUTION>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>", ""),
    "Granite": ("Here is my thought process:\n\n", "\n\nHere is my response:\n\n", ""),
    "gpt-oss": (
        "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"
    ),
    "gpt-oss with a tool": (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>",
        "<|end|><|start|>assistant<|channel|>final <|constrain|>text<|message|>", "<|return|>",
    ),
    "gpt-oss without special tokens": ("analysis", "assistantfinal", ""),
    "Gemma": ("<|channel>thought\n", "\n<channel|>", ""),
    "two thoughts": ("<think>\nLet me see.\n</think>\n<think>\n", "\n</think>\n", ""),
    "an opening mark within": ("<think>\n<think>\n", "\n</think>\n", ""),
    "a thought within": ("<think>Well. <think>First.</think> ", " </think>\n", ""),
    "another closing mark": ("<think>", "</thinking>\n", ""),
    "a stray closing mark at the end": ("<think>", "</think>\n", "\n</think>"),
}  # fmt: skip
# One closing mark ends a thought, however many opened it.
OPENED = sorted(set(MARK_UPS) - {"opened by the prompt", "a thought within"})

RIGHT = ("It is \\boxed{16}.", "The answer is 16.", "15 - 3 + 4 = 16\n#### 16")
WRONG = ("It is \\boxed{15}? No.", "The answer is 17.", "15 + 3 + 4 = 22\n#### 22", "<answer>18</answer>?")


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


@pytest.fixture(scope="module")
def verify(verifier):
    return lambda solution, reference=REFERENCE: verifier.verify(PROBLEM, solution, "16", reference)


def found(profile, *dimensions):
    return [
        (item.kind, item.step, item.part) for item in profile.evidence if not dimensions or item.dimension in dimensions
    ]


@pytest.mark.parametrize("name", MARK_UPS)
def test_the_answer_part_decides(verify, name):
    before, between, after = MARK_UPS[name]
    for thought in WRONG:
        for answer in ("He has 16 apples.", "So he has **16** apples.", "\\boxed{16}", "16"):
            profile = verify(before + thought + between + answer + after)
            assert profile.verdict == "correct", (thought, answer)
    for thought in RIGHT:
        for answer in ("He has 17 apples.", "So he has **17** apples.", "\\boxed{17}", "17"):
            profile = verify(before + thought + between + answer + after)
            assert (profile.verdict, profile.answer_is_weak and answer == "17") == ("incorrect", False), (
                thought,
                answer,
            )


@pytest.mark.parametrize("name", OPENED)
def test_a_thought_that_never_ends_is_undecided(verify, name):
    before = MARK_UPS[name][0]
    for thought in (*RIGHT, *WRONG):
        profile = verify(f"{before}{thought} But wait, should I")
        assert (profile.verdict, profile.reason) == ("undecided", "unfinished thinking")
        assert ("cut_off", "thought") in [(kind, part) for kind, _, part in found(profile, "structural_integrity")]


# With a stray closing mark at the end, the second mark is the one that ends the thought.
@pytest.mark.parametrize("name", [name for name in MARK_UPS if name != "a stray closing mark at the end"])
def test_an_answer_in_the_thought_alone_is_none(verify, name):
    before, between, after = MARK_UPS[name]
    for thought in RIGHT:
        profile = verify(before + thought + between + after)
        assert (profile.verdict, profile.reason) == ("undecided", "no answer after thinking")


ODD = {
    "no thought": ("The answer is 16.", "correct", "same expression"),
    "calculator marks": ("15 - 3 = <<15-3=12>>12\n12 + 4 = <<12+4=16>>16\n#### 16", "correct", "same expression"),
    "analysis as a word": ("analysis of the apples: 15 - 3 + 4 = 16\n#### 16", "correct", "same expression"),
    "think as a word": ("I think [that] 12 < 16 and the answer is 16.", "correct", "same expression"),
    "opened after the answer": ("The answer is 16. <think>", "undecided", "unfinished thinking"),
    "opened again": ("<think>a</think>\nThe answer is 16.\n<think>\nWait", "undecided", "unfinished thinking"),
    "an answer between thoughts": ("<think>17?</think>\n#### 16\n<think>Yes.</think>", "correct", "same expression"),
    "an answer before the thought only": ("16 <think>17?</think>", "undecided", "no answer after thinking"),
    "an empty thought": ("<think>\n\n</think>\n\n#### 16", "correct", "same expression"),
    "a closing mark alone": ("</think>\n#### 16", "correct", "same expression"),
    "closing marks only": ("</think></think>", "undecided", "no answer after thinking"),
    "a broken mark": ("<think\n17\n</think>\n#### 16", "correct", "same expression"),
    "an answer tag in it": ("<think><answer>17</answer></think><answer>16</answer>", "correct", "same expression"),
    "a next question": ("<think>17</think>#### 16\n\nQuestion: What is 4 + 5?\n#### 9", "correct", "same expression"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_marks(verify, name):
    solution, verdict, reason = ODD[name]
    profile = verify(solution)
    assert (profile.verdict, profile.reason) == (verdict, reason)


def test_every_character_has_its_place():
    for before, between, after in MARK_UPS.values():
        text = before + "thinking of seven" + between + "says sixteen" + after
        thinking = split_thinking(text)
        assert thinking is not None
        for part, words in ((thinking.thought, "thinking of seven"), (thinking.answer, "says sixteen")):
            start = part.text.index(words)
            assert text[slice(*part.place((start, start + len(words))))] == words
            assert part.place((start, start)) == (part.place((start, start + 1))[0],) * 2


def test_findings_and_steps_are_those_of_the_whole_text(verify):
    solution = f"<think>\n15 - 3 = 13\n13 + 4 = 17\n</think>\n\n{SLIP}"
    profile = verify(solution)
    assert found(profile, "numerical_validity") == [("wrong_equation", 1, "thought"), ("wrong_equation", 4, "answer")]
    assert found(profile, "final_answer") == [("off_by_one", 6, "answer")]
    for item in profile.evidence:
        assert item.span is None or solution[slice(*item.span)] in ("15 - 3 = 13", "17")
    assert profile.first_faulty_step == 1
    steps = [line for line in solution.split("\n") if line]
    assert verify(steps).evidence == verify("\n".join(steps)).evidence


def test_profiles_name_parts_only_where_there_is_a_thought(verify):
    plain = verify(SLIP).to_dict()
    assert plain["evidence"]
    assert all("part" not in item for item in plain["evidence"])
    thinking = verify(f"<think>\n15 - 3 = 13\n</think>\n{SLIP}")
    assert {item.get("part") for item in thinking.to_dict()["evidence"]} == {"thought", "answer"}
    assert ErrorProfile.from_dict(thinking.to_dict()) == thinking


SOUND_THOUGHTS = {
    "corrected at once": "15 - 3 = 13. Oh wait, 15 - 3 is 12. So 12 + 4 = 16.",
    "corrected on a later line": "15 - 3 = 13\n13 + 4 = 17\nLet me recompute.\n15 - 3 = 12\n12 + 4 = 16",
    "taken back in words": "15 - 3 = 13. Hmm, that is wrong.",
    "taken back by one word": "First 15 - 3 = 13 -> no, 12.",
    "dropped": "15 - 3 = 13. So it is 17.",
    "another way": "Is it 15 + 3 = 18? Then 18 + 4 = 22. No.",
    "checked six times": "Wait, let me double-check. 12 + 4 = 16. " * 6,
    "checked six times on lines": "Wait, let me double-check.\n12 + 4 = 16.\n" * 6,
    "the same sentence again": "I should be careful with the apples here.\n\nSo 15 - 3 = 12.\n\n" * 5,
    "two values": "Let x = 12. Then x = 13. No, x = 12.",
    "a strange number": "Maybe he has 99 apples and eats 98 of them.",
    "steps out of order": "3. Add.\n1. Subtract.\n2. Say it.",
    "an answer first": "The answer is 17.\n15 - 3 = 12",
    "an open formula": "\\frac{1}{",
    "another question": "The answer is 16.\n\nQuestion: What is 3 + 4?\nThe answer is 7.",
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND_THOUGHTS)
def test_what_a_thought_tries_and_drops_is_no_fault(verify, name):
    profile = verify(f"<think>\n{SOUND_THOUGHTS[name]}\n</think>\n\n{ANSWER}")
    assert (profile.verdict, profile.first_faulty_step, found(profile)) == ("correct", None, [])


FAULTY = {
    "repeated": ("<think>\n15 - 3 = 13\n</think>\n15 - 3 = 13\n12 + 4 = 16\n#### 16", "wrong_equation", 1),
    "repeated in other signs": (
        "<think>\n15 - 3 = 13\n</think>\n$15-3=13$\n$12+4=16$\n#### 16", "wrong_equation", 1
    ),
    "in the answer alone": ("<think>\n15 - 3 = 12\n</think>\n15 - 3 = 13\n12 + 4 = 16\n#### 16", "wrong_equation", 3),
    "all work in it": ("<think>\n15 - 3 = 13\n12 + 4 = 16\n</think>\n<answer>16</answer>", "wrong_equation", 1),
    "checked and said again": (
        "<think>\n15 - 3 = 13. Wait, let me check: 15 - 3 = 13. Yes.\n</think>\n<answer>16</answer>",
        "wrong_equation", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_that_stays_counts(verify, name):
    solution, kind, step = FAULTY[name]
    profile = verify(solution)
    assert profile.verdict == "correct"
    assert kind in [item.kind for item in profile.evidence]
    assert profile.scores["numerical_validity"] >= 0.9
    assert profile.first_faulty_step == step


def test_a_thought_that_is_stuck_is_a_loop(verify):
    for count, is_loop in ((6, False), (12, False), (40, True), (400, True)):
        profile = verify("<think>\n" + "Wait, is it 12? " * count + f"\n</think>\n{ANSWER}")
        assert (("loop", 1, "thought") in found(profile)) is is_loop
    long = "<think>\n" + "".join(f"Now {n} + 1 = {n + 1}.\n" for n in range(2_000)) + "Hmm, again and again. " * 100
    assert "loop" in [kind for kind, _, _ in found(verify(long))]
    in_answer = verify(f"<think>\nHm.\n</think>\n{ANSWER}\n" + "Wait, let me double-check. 12 + 4 = 16. " * 6)
    assert [part for kind, _, part in found(in_answer) if kind == "loop"] == ["answer"]


def test_an_answer_may_use_what_its_thought_derived(verify):
    """Without the thought, 12 and 16 come from nowhere."""
    answer = "After eating he has 12.\n#### 16"
    thought = "<think>\n15 - 3 = 12\n12 + 4 = 16\n</think>\n"
    assert found(verify(thought + answer)) == []
    assert found(verify("<think>\n15 - 3 = 12\n</think>\nSo he has 16 apples.", None)) == []
    assert verify(thought + "He doubles nothing: 16 * 1 = 16\n#### 16").scores["logical_consistency"] == 0.0


def test_where_the_answer_part_computes_nothing_the_thought_is_the_solution(verify):
    wrong = verify("<think>\n15 + 3 = 18\n18 + 4 = 22\n</think>\n<answer>22</answer>")
    plain = verify("15 + 3 = 18\n18 + 4 = 22\n#### 22")
    assert wrong.first_faulty_step == 1
    assert plain.first_faulty_step == 0
    assert wrong.scores["semantic_alignment"] == plain.scores["semantic_alignment"] > 0
    slip = verify("<think>\n15 - 3 = 13\n13 + 4 = 17\n</think>\n<answer>17</answer>")
    assert (slip.first_faulty_step, slip.scores["numerical_validity"]) == (1, 0.9)


def test_a_wrong_answer_goes_back_to_the_thought_that_nothing_corrected(verify):
    kept = verify(f"<think>\n15 - 3 = 13\n</think>\n{SLIP}")
    assert kept.first_faulty_step == 1
    corrected = verify("<think>\n15 - 3 = 13\nNo, 15 - 3 = 12.\n</think>\n12 + 4 = 17\n#### 17")
    assert corrected.first_faulty_step == 4


def test_long_thoughts_are_read_in_part(verify):
    filler = "".join(f"Then {n} * 20 = {20 * n}.\n" for n in range(3_000))
    profile = verify(f"<think>\n{filler}So 15 - 3 = 12.\n</think>\n\n{ANSWER}")
    assert (profile.verdict, found(profile)) == ("correct", [])
    assert profile.unavailable == ("thought after 20000 characters",)
    profile = verify(f"<think>\n{filler}So 15 - 3 = 12.\n</think>\n\n{SLIP}")
    assert profile.first_faulty_step == 3_003
    assert found(profile, "final_answer") == [("off_by_one", 3_005, "answer")]
    # What is derived where nobody reads is still known.
    assert (
        found(
            verify(f"<think>\n{filler}So 15 - 3 + 400 = 412.\n</think>\nLess 396, 412 makes 412 - 396 = 16.\n#### 16")
        )
        == []
    )


def test_references_may_think(verifier):
    reference = f"<think>\n15 - 3 = 99. The answer is 99.\n</think>\n{REFERENCE}"
    assert verifier.verify(PROBLEM, ANSWER, None, reference) == verifier.verify(PROBLEM, ANSWER, None, REFERENCE)
    assert verifier.verify(PROBLEM, ANSWER, None, "<think>\n15 - 3 + 4 = 16\n</think>\n#### 16").verdict == "correct"
    assert verifier.compare(reference, "<think>17</think>#### 16").verdict == "correct"
    assert verifier.compare("16", "<think>16").reason == "unfinished thinking"


def test_added_dimensions_see_the_answer_part(verifier):
    from trl_weighted_dpo.verifier import DimensionResult, Finding

    def apples(view):
        start = view.solution.index("apples")
        item = Finding("apples", "apples", "heuristic", view.step_at(start), (start, start + 6), None, None, "Apples.")
        return DimensionResult(0.5, (item,))

    solution = "<think>\napples\n</think>\n\nHe has\n16 apples."
    with MathVerifier(checks={"apples": apples}) as own:
        (item,) = [item for item in own.verify(PROBLEM, solution, "16").evidence if item.dimension == "apples"]
    assert (solution[slice(*item.span)], item.span[0], item.step, item.part) == ("apples", 35, 4, "answer")
    view = verifier.view(PROBLEM, solution, "16")
    assert (view.solution.strip(), view.thought.strip()) == ("He has\n16 apples.", "apples")
    assert verifier.view(PROBLEM, "16").thought == ""


def test_what_is_left_without_a_thought():
    for before, between, after in MARK_UPS.values():
        assert without_thought(before + "17" + between + "So 16." + after) == "So 16."
    assert without_thought("So 16.\n") == "So 16.\n"
    assert without_thought("<think>So 16.") == ""


def test_a_prompt_that_opens_a_thought_is_closed():
    assert after_thought("<|User|>x<|Assistant|><think>\n") == "<|User|>x<|Assistant|><think>\n\n</think>\n\n"
    assert after_thought("x[THINK]") == "x[THINK]\n\n[/THINK]\n\n"
    assert after_thought("x\u25c1think\u25b7") == "x\u25c1think\u25b7\n\n\u25c1/think\u25b7\n\n"
    assert after_thought("x<seed:think>") == "x<seed:think>\n\n</seed:think>\n\n"
    for closed in (
        "<think>\n\n</think>\n\n",
        "<|im_start|>assistant\n",
        "{problem}\n",
        "<think> is a tag. Solve:\n",
        "",
    ):
        assert after_thought(closed) == closed
