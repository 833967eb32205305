"""`type: trl_weighted_dpo.axolotl.completions`, by Axolotl's own look-up of strategies."""

from axolotl.prompt_strategies import load
from axolotl.utils.dict import DictDefault

from tests.tiny import tiny_pool, tiny_tokenizer
from trl_weighted_dpo.cli.problems import completion_rows
from trl_weighted_dpo.core.tokens import tokenize_completions
from trl_weighted_dpo.settings import RenderingConfig


def test_the_tokens_are_those_of_scoring_and_dpo():
    tokenizer = tiny_tokenizer()
    strategy = load(
        "trl_weighted_dpo.axolotl.completions", tokenizer, DictDefault({"sequence_len": 512}), DictDefault({})
    )
    for row in completion_rows(tiny_pool(8), "pool", tokenizer, RenderingConfig()):
        (tokens,) = tokenize_completions(row["prompt"], [row["completion"]], tokenizer, None, "keep_start")
        found = strategy.tokenize_prompt(row)
        assert found["input_ids"] == tokens.ids
        assert found["labels"] == [-100] * tokens.prompt + tokens.ids[tokens.prompt :]
        assert found["attention_mask"] == [1] * len(tokens.ids)
        assert found["input_ids"][-1] == tokenizer.eos_token_id
