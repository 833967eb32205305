"""Why weights help or do not: each pair's weight beside its gradient, and beside what its gradient does to accuracy.

At the SFT model, where the policy is the reference, the gradient of a pair's loss is g = -β/2 · (∇ log π(chosen) -
∇ log π(rejected)). Its norm is what importance sampling for the least variance would draw in proportion to (Zhao and
Zhang, 1401.2753). The expected accuracy of a sampled solution has the gradient G = E[(correct - its mean for the
problem) · ∇ log π(solution)] (REINFORCE with a baseline; Williams, 1992), estimated on validation problems with samples
of their own. A step of plain gradient descent on the pair changes that accuracy by -⟨g, G⟩ per learning rate, to first
order.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trl_weighted_dpo import MathVerifier, WeightingConfig
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.weighting import compute_weights

from .arms import SIGNALS
from .data import Problem, load, mined, model_folder, problem_sets, read_pool
from .decoding import sample
from .running import fault

PROBLEMS, SAMPLES = 400, 8
BETA = 0.1
SCHEMES = ("verifier", *SIGNALS)


def measure(folder: Path, sft_seeds: Iterable[int]) -> None:
    """Writes FOLDER/why-SEED.json for each SFT model that has none yet."""
    for seed in sft_seeds:
        path = folder / f"why-{seed}.json"
        if not path.is_file():
            path.write_text(json.dumps(of_model(folder, seed)))


def of_model(folder: Path, sft_seed: int) -> dict[str, Any]:
    """For each strategy, values of each pair: weights by scheme, gradient norm, first-order gain, kind of fault."""
    torch.set_num_threads(1)
    model, tokenizer = load(model_folder(folder, sft_seed))
    model.config.use_cache = False
    direction = accuracy_gradient(model, tokenizer, problem_sets(sft_seed)["validation"][:PROBLEMS], sft_seed)
    told = {problem.text + "\n": problem for problem in problem_sets(sft_seed)["pool"]}
    pool = read_pool(folder, sft_seed)
    found: dict[str, Any] = {}
    for strategy in ("random", "hard"):
        pairs = mined(pool, strategy, "verified", seed=0)
        norms, gains = [], []
        for pair in pairs:
            gradient = pair_gradient(model, tokenizer, pair)
            norms.append(float(gradient.norm()))
            gains.append(-float(gradient @ direction))
        columns = {name: [pair[name] for pair in pairs] for name in schema.SIGNALS}
        found[strategy] = {
            "weights": {scheme: weights_of(columns, scheme) for scheme in SCHEMES},
            "hardness": [pair[schema.HARDNESS] for pair in pairs],
            "gradient_norm": norms,
            "gain": gains,
            "fault": [fault(told[pair[schema.PROMPT]], pair[schema.REJECTED]) for pair in pairs],
        }
    return found


def weights_of(columns: dict[str, list[float]], scheme: str) -> list[float]:
    """Weights with λ = 1."""
    size = len(columns[schema.REJECTED_NLL])
    weights, _, _ = compute_weights(columns, size, WeightingConfig(scheme=scheme, lambda_=1.0))
    return [float(weight) for weight in weights]


def flat_gradient(model: Any, value: torch.Tensor) -> torch.Tensor:
    gradients = torch.autograd.grad(value, list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def logps(model: Any, tokenizer: Any, prompt: str, solutions: list[str]) -> torch.Tensor:
    """log π of each solution with its EOS, shape (n,)."""
    texts = [prompt + solution + tokenizer.eos_token for solution in solutions]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    logits = model(**inputs).logits[:, :-1].log_softmax(-1)
    each = logits.gather(-1, inputs["input_ids"][:, 1:, None])[..., 0]
    # EOS pads too, so that the mask tells the solution's own EOS from padding.
    mask = inputs["attention_mask"][:, 1:].clone()
    mask[:, : len(tokenizer(prompt)["input_ids"]) - 1] = 0
    return (each * mask).sum(-1)


def pair_gradient(model: Any, tokenizer: Any, pair: dict[str, Any]) -> torch.Tensor:
    model.train()
    chosen, rejected = logps(model, tokenizer, pair[schema.PROMPT], [pair[schema.CHOSEN], pair[schema.REJECTED]])
    margin = chosen - rejected
    return flat_gradient(model, -torch.nn.functional.logsigmoid(BETA * (margin - margin.detach())))


def accuracy_gradient(model: Any, tokenizer: Any, drawn: list[Problem], seed: int) -> torch.Tensor:
    solutions = sample(model, tokenizer, [problem.text for problem in drawn], SAMPLES, seed=1000 + seed)
    total = torch.zeros(sum(parameter.numel() for parameter in model.parameters()))
    with MathVerifier() as verifier:
        for problem, texts in zip(drawn, solutions, strict=True):
            correct = np.array(
                [
                    verifier.verify(problem.text, text, reference_answer=str(problem.answer)).verdict.value == "correct"
                    for text in texts
                ]
            )
            if correct.all() or not correct.any():
                continue
            # Each sample's own correctness is left out of its baseline, so that the estimate has no bias.
            baseline = (correct.sum() - correct) / (SAMPLES - 1)
            advantage = torch.tensor(correct - baseline, dtype=torch.float32)
            value = (advantage * logps(model, tokenizer, problem.text + "\n", texts)).mean()
            total += flat_gradient(model, value)
    return total / len(drawn)
