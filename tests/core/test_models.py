"""Models are loaded as asked for, or it is said what is wrong."""

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model

from tests.tiny import tiny_model, tiny_pool
from trl_weighted_dpo import Scorer
from trl_weighted_dpo.core.models import load_model, load_tokenizer


def test_auto_is_the_dtype_of_the_files(tmp_path, tiny_model_dir):
    tiny_model(dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    assert load_model(str(tiny_model_dir)).dtype == torch.float32
    assert load_model(str(tmp_path / "half")).dtype == torch.bfloat16
    assert load_model(str(tmp_path / "half"), "float32").dtype == torch.float32


def test_an_adapter_stays_apart(tmp_path, tiny_model_dir):
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear"))
    torch.nn.init.normal_(next(p for n, p in adapted.named_parameters() if "lora_B" in n))
    adapted.save_pretrained(tmp_path)
    loaded = load_model(str(tiny_model_dir), adapter=str(tmp_path))
    assert isinstance(loaded, PeftModel)
    tokenizer = load_tokenizer(str(tiny_model_dir))
    found, expected = Scorer(loaded, tokenizer), Scorer(adapted, tokenizer)
    assert found.fingerprint.adapter == expected.fingerprint.adapter is not None
    (one,), (two,) = found(tiny_pool(1)), expected(tiny_pool(1))
    assert one["candidates"][0]["score"]["logp"] == pytest.approx(two["candidates"][0]["score"]["logp"], abs=1e-4)


def test_an_adapter_is_not_taken_for_a_model(tmp_path, tiny_model_dir):
    base = type(tiny_model()).from_pretrained(tiny_model_dir)
    get_peft_model(base, LoraConfig(r=4, target_modules="all-linear")).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"this is an adapter\. Give its base as model \(--model\) and it as adapter"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("double", [False, True])
def test_four_bits_are_nf4_in_the_dtype_of_the_files(tmp_path, tiny_model_dir, double):
    # bitsandbytes quantises 64 numbers at a time, and no fewer on a CPU.
    tiny_model(hidden_size=64, intermediate_size=128).save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), load_in_4bit=True, double_quant=double)
    layers = [module for module in loaded.modules() if isinstance(module, Linear4bit)]
    assert layers
    assert {layer.compute_dtype for layer in layers} == {torch.float32}
    assert layers[0].weight.quant_state.nested is double
    tokenizer = load_tokenizer(str(tiny_model_dir))
    scorer, whole = Scorer(loaded, tokenizer), Scorer(load_model(str(tmp_path)), tokenizer)
    assert scorer.fingerprint.quantization == "bnb-nf4" + ("-double" if double else "")
    assert scorer.fingerprint.dtype == "float32"
    (one,), (two,) = scorer(tiny_pool(1)), whole(tiny_pool(1))
    difference = one["candidates"][0]["score"]["mean_logp"] - two["candidates"][0]["score"]["mean_logp"]
    assert 1e-4 < abs(difference) < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "no/where/at all"}, "no/where/at all: no model could be loaded from there"),
        ({"dtype": "int3"}, "Unknown dtype 'int3'. Choose one of auto, float32, bfloat16, float16"),
        ({"adapter": "no where"}, "no where: no adapter could be loaded from there"),
        ({"double_quant": True}, "double_quant .* goes with load_in_4bit"),
    ],
)
def test_what_cannot_be_loaded_is_explained(tiny_model_dir, settings, message):
    with pytest.raises(ValueError, match=message):
        load_model(**{"path": str(tiny_model_dir), **settings})


def test_an_empty_folder_is_explained(tmp_path):
    with pytest.raises(ValueError, match="no model could be loaded from there"):
        load_model(str(tmp_path), load_in_4bit=True)
    with pytest.raises(ValueError, match="no tokenizer could be loaded from there"):
        load_tokenizer(str(tmp_path))
