"""What is compared: each arm is a way to train on pairs of the same pool, one factor away from another one."""

from dataclasses import dataclass, replace

SFT_WEIGHT = 5.0
"""TRL's `sft` term is a mean over tokens, while DPO's log-probs are sums: a weight of 1 hardly counts."""
DPOP_LAMBDA = 5.0


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        method (`str`): `"dpo"`; `"sft"` on the chosen only (rejection-sampling fine-tuning); or `"none"`.
        strategy (`str`): Which negatives: `"random"` or `"hard"`.
        scheme (`str`): Weights; `"uniform"` is plain DPO.
        lambda_ (`float`): How far they go from 1.
        control_of (`str`): What the schemes `"shuffled"` and `"inverse"` turn around.
        sft (`float`): Weight of the `sft` term.
        dpop (`float`): λ of DPO-Positive.
        epochs (`int`), learning_rate (`float`), beta (`float`): Of training.
        labels (`str`): `"verified"`: a chosen solution shows no wrong step; `"outcome"`: a right answer is enough.
    """

    method: str = "dpo"
    strategy: str = "random"
    scheme: str = "uniform"
    lambda_: float = 1.0
    control_of: str = "verifier"
    sft: float = 0.0
    dpop: float = 0.0
    epochs: int = 1
    learning_rate: float = 1e-4
    beta: float = 0.1
    labels: str = "verified"

    @property
    def name(self) -> str:
        if self.method == "none":
            return "SFT"
        parts = ["SFT on the chosen" if self.method == "sft" else self.strategy]
        if self.method == "dpo":
            parts.append(self.scheme if self.scheme == "uniform" else f"{self._scheme} λ={self.lambda_:g}")
            parts += [f"{self.sft:g} sft"] * bool(self.sft) + [f"DPOP {self.dpop:g}"] * bool(self.dpop)
            parts += [f"β={self.beta:g}"] * (self.beta != Arm.beta)
        parts += [f"{self.epochs} epochs"] * (self.epochs != 1)
        parts += [f"lr={self.learning_rate:g}"] * (self.learning_rate != Arm.learning_rate)
        parts += [f"{self.labels} labels"] * (self.labels != Arm.labels)
        return ", ".join(parts)

    @property
    def _scheme(self) -> str:
        return f"{self.scheme} {self.control_of}" if self.scheme in ("shuffled", "inverse") else self.scheme


SFT = Arm(method="none")
CHOSEN = Arm(method="sft")
RANDOM, HARD = Arm(strategy="random"), Arm(strategy="hard")
SIGNALS = ("wrongness", "severity", "absurdity", "confidence_gap", "perplexity")


def weighted(arm: Arm, scheme: str = "verifier", lambda_: float = 1.0) -> Arm:
    return replace(arm, scheme=scheme, lambda_=lambda_)


def with_sft(arm: Arm) -> Arm:
    return replace(arm, sft=SFT_WEIGHT)


def faster(arm: Arm, learning_rate: float = 3e-4) -> Arm:
    return replace(arm, learning_rate=learning_rate)


def screening() -> list[Arm]:
    """One factor at a time from uniform DPO on random and on hard negatives; then what may mend what that shows."""
    arms = [SFT, CHOSEN, replace(CHOSEN, epochs=3), *(faster(CHOSEN, rate) for rate in (3e-4, 1e-3))]
    for base in (RANDOM, HARD):
        arms += [base, weighted(base, lambda_=0.3), weighted(base)]
        arms += [replace(base, epochs=3), replace(base, labels="outcome")]
        for mended in (with_sft(base), replace(base, dpop=DPOP_LAMBDA), faster(with_sft(base))):
            arms += [mended, weighted(mended)]
        arms += [replace(with_sft(base), epochs=3)]
    arms += [weighted(RANDOM, "shuffled"), weighted(RANDOM, "inverse")]
    arms += [weighted(RANDOM, signal) for signal in SIGNALS]
    arms += [weighted(mended, "confidence_gap") for mended in (with_sft(RANDOM), faster(with_sft(RANDOM)))]
    return list(dict.fromkeys([*arms, *second_pass(), *third_pass(), *fourth_pass()]))


def second_pass() -> list[Arm]:
    """Added after the first pass, on the same validation problems. It showed that DPO mends more misconceptions than
    SFT on the chosen does and makes more slips: these hold the model closer to what it could do."""
    arms = [faster(CHOSEN, 5e-4), replace(faster(CHOSEN), epochs=3)]
    for base in (RANDOM, HARD):
        held = faster(replace(base, sft=20.0))
        arms += [held, weighted(held), weighted(held, "absurdity")]
    held = faster(replace(HARD, sft=20.0))
    arms += [weighted(held, lambda_=0.3), replace(held, epochs=3), replace(weighted(held), epochs=3)]
    for held in (
        faster(replace(with_sft(HARD), dpop=DPOP_LAMBDA)),
        faster(replace(HARD, sft=20.0, dpop=DPOP_LAMBDA)),
        faster(replace(with_sft(HARD), beta=0.5)),
    ):
        arms += [held, weighted(held)]
    return arms


def third_pass() -> list[Arm]:
    """Added after the second pass, in which three epochs on hard negatives with a strong `sft` term did best: weights
    there, by the signals that are not nearly constant and by their inverse."""
    base = replace(faster(replace(HARD, sft=20.0)), epochs=3)
    arms = [weighted(base, lambda_=0.3), weighted(base, "perplexity"), replace(base, strategy="random")]
    arms += [replace(weighted(base, "inverse"), control_of=signal) for signal in ("absurdity", "perplexity")]
    return arms


def fourth_pass() -> list[Arm]:
    """Added after the finalists were named: `confidence_gap`, the one signal whose weights go with what a pair gains
    (`why.py`), without the concentration that λ = 1 gives it."""
    held = replace(faster(replace(HARD, sft=20.0)), epochs=3)
    return [weighted(base, "confidence_gap", 0.3) for base in (RANDOM, HARD, held)]
