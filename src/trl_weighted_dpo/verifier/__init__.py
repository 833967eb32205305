"""The verifier: rule-based error profiles of solutions to math problems."""

from trl_weighted_dpo.verifier.answers.equivalence import compare
from trl_weighted_dpo.verifier.answers.scalars import Decision
from trl_weighted_dpo.verifier.findings import KINDS, DimensionResult, Finding, Kind
from trl_weighted_dpo.verifier.many import VerificationReport
from trl_weighted_dpo.verifier.profile import DIMENSIONS, ErrorProfile, Verdict
from trl_weighted_dpo.verifier.verifier import VERIFIER_VERSION, MathVerifier
from trl_weighted_dpo.verifier.view import DimensionCheck, SolutionView

__all__ = [
    "DIMENSIONS",
    "KINDS",
    "VERIFIER_VERSION",
    "Decision",
    "DimensionCheck",
    "DimensionResult",
    "ErrorProfile",
    "Finding",
    "Kind",
    "MathVerifier",
    "SolutionView",
    "Verdict",
    "VerificationReport",
    "compare",
]
