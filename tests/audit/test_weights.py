"""The weights that an audit looks at: plugins' schemes, impossible schemes, columns without values."""

import numpy as np
import pytest

from tests.audit.test_audit import audited, clean_pairs, found
from trl_weighted_dpo import plugins
from trl_weighted_dpo.audit import AuditConfig
from trl_weighted_dpo.audit.report import Status
from trl_weighted_dpo.verifier import MathVerifier
from trl_weighted_dpo.weighting import WeightingConfig

OF_WEIGHTS = ("weight_outliers", "weights_clipped", "effective_sample_size")


def with_scheme(scheme, **settings):
    return AuditConfig(weighting=WeightingConfig(scheme=scheme, **settings))


class Brought:
    @staticmethod
    @plugins.hookimpl
    def weighted_dpo_raw_weights():
        return {
            "test_length": lambda columns, config: columns["length"],
            "test_failing": lambda columns, config: 1 / 0,
        }


@pytest.fixture
def plugin(monkeypatch):
    monkeypatch.setattr(plugins, "_registry", plugins.Registry())
    plugins.register(Brought, "brought")


def test_a_plugins_scheme_reads_columns_that_are_none_of_the_packages(plugin):
    # More rows than are taken at once; one of them is left out.
    rows = [row | {"length": 1.0 + index % 3} for index, row in enumerate(clean_pairs(700))]
    rows[4]["length"], rows[9]["chosen"] = 400.0, ""
    report = audited(rows, with_scheme("test_length", lambda_=1.0))
    assert found(report) == {"malformed": [9], "weight_outliers": [4]}
    assert report["weight_outliers"].note == "scheme test_length"
    raw = np.array([row["length"] for index, row in enumerate(rows) if index != 9])
    u = np.clip(raw / raw.mean(), 0.2, 5)
    share = u.sum() ** 2 / (len(u) * (u**2).sum())
    assert report["effective_sample_size"].figures["share"] == pytest.approx(share)


def test_a_formula_that_fails_loses_no_other_check(plugin):
    rows = clean_pairs()
    rows[3] |= {"rejected": rows[3]["chosen"]}
    report = audited(rows, with_scheme("test_failing"))
    assert "identical" in found(report)
    assert {report[name].status for name in OF_WEIGHTS} == {Status.SKIPPED}
    assert "(of brought (no version): test_failing) failed: ZeroDivisionError" in report["weights_clipped"].note


def test_a_scheme_whose_column_is_all_null_is_skipped_with_the_reason():
    rows = [row | {"rejected_severity": None} for row in clean_pairs()]
    report = audited(rows, with_scheme("severity"))
    for name in OF_WEIGHTS:
        assert report[name].status is Status.SKIPPED
        assert report[name].note.startswith("pairs: the weighting scheme 'severity' needs values in 'rejected_sever")
    assert report["reference_logps"].status is Status.PASS


def test_a_scheme_that_cannot_be_is_refused_before_anything_is_verified(monkeypatch):
    monkeypatch.setattr(MathVerifier, "verify", lambda *given: pytest.fail("verified"))
    with pytest.raises(ValueError, match=r"^pairs: The weighting scheme is 'severity' but .* no column 'rejected_sev"):
        audited(clean_pairs(), with_scheme("severity"))


def test_a_column_that_begins_later_in_the_file_is_one():
    rows = clean_pairs()
    for row in rows[5:]:
        row["rejected_severity"] = 0.5
    assert audited(rows, with_scheme("severity"))["weight_outliers"].note == "scheme severity"


def test_a_pair_without_a_weight_among_others_that_have_one_is_found():
    rows = [row | {"weight": 1.0} for row in clean_pairs()]
    del rows[6]["weight"]
    report = audited(rows)
    assert found(report) == {"unusable_signals": [6]}
    assert report["unusable_signals"].examples[0].detail == "weight is None, but it is a finite number >= 0"


def test_the_two_bounds_count_together():
    rows = [row | {"rejected_severity": 0.03} for row in clean_pairs(20)]
    for index, value in enumerate([0.0, 0.0, 0.0, 1.0, 1.0]):
        rows[index]["rejected_severity"] = value
    check = audited(rows, with_scheme("severity"))["weights_clipped"]
    assert (check.status, check.note) == (Status.WARN, "15.0% at the lower bound, 10.0% at the upper one")
