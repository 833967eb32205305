"""Pairs → what is wrong with them: every check reads pairs of any source and names the rows that it finds."""

from trl_weighted_dpo.audit.auditing import audit_pairs
from trl_weighted_dpo.audit.report import AuditReport, CheckResult, Example
from trl_weighted_dpo.settings.audit import AuditConfig

__all__ = ["AuditConfig", "AuditReport", "CheckResult", "Example", "audit_pairs"]
