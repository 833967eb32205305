"""The rows that flow through the package: pool, solution, profile, pair. Every column name stands here once.

A *pool row* is a problem with its candidates; a *solution row* is a problem with one solution; a *profile row* is what
the verifier says of a solution; a *pair row* is a prompt with a chosen and a rejected completion and the signals that
the weight is later computed from. Rows are plain dictionaries, so that every intermediate is a `datasets.Dataset`
(JSONL or Parquet) which a person can open.
"""

# Pool rows
ID = "id"
PROBLEM = "problem"
REFERENCE_ANSWER = "reference_answer"
REFERENCE_SOLUTION = "reference_solution"
CANDIDATES = "candidates"
SOLUTION = "solution"
TRUNCATED = "truncated"
"""Whether a candidate was cut at the maximum length of sampling, and so has no end of its own."""
GENERATOR = "generator"
"""What a candidate was sampled from, as its maker calls it."""

# Solution rows, which also have the columns above
STEPS = "steps"
PROFILE = "profile"

# Labels: of a solution row the first two, of a pool row's candidate the last
IS_CORRECT_ANSWER = "is_correct_answer"
FIRST_ERROR_STEP = "first_error_step"
IS_CORRECT = "is_correct"
"""True, false or null. Where the row has no reference answer, it is the verdict."""
REWARD = "reward"
"""A number that a reward function gave; a threshold makes it a label."""

# What others call them
SOLUTION_NAMES = (SOLUTION, "text", "completion", "response", "output")
"""Keys that a candidate's text may have; the first one that is there counts."""
LABEL_NAMES = (IS_CORRECT, "correct")
"""Keys that a label may have."""

# Scored pool rows: a candidate's score, and the row's own columns
SCORE = "score"
RENDERED_REFERENCE = "rendered_reference"
"""The reference solution in the candidates' own form, as it was scored."""
REFERENCE_SCORE = "reference_score"
FINGERPRINT = "fingerprint"
"""What the scores were computed with, as [`~core.fingerprint.Fingerprint.to_json`] writes it."""
TRAINED_ON = "trained_on"
"""What of a solution with a thought was scored: `"answer"` where it is not all of it."""
SCORE_COLUMNS: dict[str, type] = {
    "tokens": int,
    "logp": float,
    "mean_logp": float,
    "min_logp": float,
    "confidence": float,
    "perplexity": float,
    "truncated": bool,
    "digest": str,
}
"""What a score holds: completion tokens, their summed, mean and minimum log-prob (nats), mean token probability,
exp(-mean_logp), whether the maximum length cut the text, and the digest of the tokens. What needs a token is null where
there is none."""

# SFT rows: a rendered prompt, by the name that pairs have for it, and the text that is learnt
COMPLETION = "completion"

# Pair rows
PROMPT = "prompt"
CHOSEN = "chosen"
REJECTED = "rejected"
CHAT_TEMPLATE_KWARGS = "chat_template_kwargs"
"""A pair's own variables of the chat template, as TRL reads them."""
PROBLEM_ID = "problem_id"
CHOSEN_INDEX = "chosen_index"
REJECTED_INDEX = "rejected_index"
CHOSEN_ANSWER = "chosen_answer"
REJECTED_ANSWER = "rejected_answer"

KIND = "kind"
REJECTED_FIRST_FAULTY_STEP = "rejected_first_faulty_step"
REJECTED_DIMENSIONS = "rejected_dimensions"
HARDNESS = "hardness"
HARDNESS_CONFIDENCE = "hardness_confidence"
HARDNESS_PROXIMITY = "hardness_proximity"
HARDNESS_FLAW = "hardness_flaw"
HARDNESS_BAND = "hardness_band"
SHARED_PREFIX = "shared_prefix"
"""Share of the longer completion's text that both begin with."""
CHOSEN_LENGTH = "chosen_length"
REJECTED_LENGTH = "rejected_length"
"""Completion tokens if the pool is scored, else characters."""

# Reference log-probs of a pair: sums over the completion tokens, in nats, and what they were computed with
REF_CHOSEN_LOGPS = "ref_chosen_logps"
REF_REJECTED_LOGPS = "ref_rejected_logps"
REF_FINGERPRINT = "ref_fingerprint"
REF_DIGEST = "ref_digest"
"""The digests of the chosen and the rejected tokens, one after the other."""

# Error profiles
VERDICT = "verdict"
VERDICTS = ("correct", "incorrect", "undecided")
SCORES = "scores"

# Signals of a pair, and the weight that a user may bring instead
REJECTED_WRONGNESS = "rejected_wrongness"
REJECTED_ABSURDITY = "rejected_absurdity"
REJECTED_SEVERITY = "rejected_severity"
CHOSEN_CONFIDENCE = "chosen_confidence"
REJECTED_CONFIDENCE = "rejected_confidence"
REJECTED_NLL = "rejected_nll"
SIGNALS = (
    REJECTED_WRONGNESS,
    REJECTED_ABSURDITY,
    REJECTED_SEVERITY,
    CHOSEN_CONFIDENCE,
    REJECTED_CONFIDENCE,
    REJECTED_NLL,
)
REWARD_MARGIN = "reward_margin"
"""A reward model's score of the chosen less that of the rejected completion; mining leaves none."""
WEIGHT = "weight"
PAIR_WEIGHT = "pair_weight"
"""The weight that a pair is trained with; the trainer computes it anew and never reads it from data."""

# What a pair may bring for its loss
DPO_MARGIN = "dpo_margin"
"""δ, a finite number: how much larger the reward of the chosen than that of the rejected completion is to be."""
DPO_BETA = "dpo_beta"
"""β of the pair, > 0, in place of the configured one."""
LOSS_COLUMNS = (DPO_MARGIN, DPO_BETA)

REFERENCE_INDEX = -1
"""`chosen_index` of a pair whose chosen completion is the reference solution."""

SCORE_CHOSEN = "score_chosen"
SCORE_REJECTED = "score_rejected"
"""A judge's score of each completion, a finite number on any scale, as UltraFeedback has it."""

NUMBERS = frozenset((
    *SIGNALS, REWARD_MARGIN, WEIGHT, *LOSS_COLUMNS, SCORE_CHOSEN, SCORE_REJECTED, REWARD, HARDNESS,
    REF_CHOSEN_LOGPS, REF_REJECTED_LOGPS,
))  # fmt: skip
"""Columns of numbers, which a CSV file holds as text."""
