"""Models and what they answered → a report in plain JSON types, and a row for each problem."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.core import schema
from trl_weighted_dpo.core.identity import digest
from trl_weighted_dpo.evaluation import slices
from trl_weighted_dpo.evaluation.measures import GREEDY, SAMPLES, Measure, Model, measures
from trl_weighted_dpo.evaluation.outcomes import MEANING, NEAR, modal_class
from trl_weighted_dpo.evaluation.pools import Answered, check_same_problems
from trl_weighted_dpo.evaluation.statistics import difference, estimate, with_holm
from trl_weighted_dpo.settings.evaluation import EvaluationConfig
from trl_weighted_dpo.verifier.verifier import VERIFIER_VERSION

SCHEMA_NAME = "trl-weighted-dpo/evaluation"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """Models on the same problems.

    Args:
        models (`Sequence[Model]`): At least one; the first is the baseline that the others are compared with.
        config ([`EvaluationConfig`], *optional*): How.

    Raises:
        `ValueError`: If there is no model, two have the same name, the problems differ, or a greedy pool has more than
            one candidate for a problem.
    """

    models: Sequence[Model]
    config: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if not names:
            raise ValueError("there is no model to evaluate.")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two models are called {name!r}. Give each a name of its own: NAME=PATH.")
        for model in self.models:
            if not model.pools():
                raise ValueError(f"{model.name}: there is neither a greedy pool nor one of samples.")
            for key, outcomes in (model.greedy.outcomes if model.greedy else {}).items():
                if len(outcomes) != 1:
                    raise ValueError(
                        f"{model.greedy and model.greedy.source}: problem {key!r:.80} has {len(outcomes)} candidates, "
                        "but greedy decoding gives one. Name pools of samples by --pool."
                    )
        check_same_problems(self._pools())

    def _pools(self) -> list[Answered]:
        return [pool for model in self.models for pool in model.pools()]

    @property
    def problems(self) -> list[str]:
        """The ids of the problems, in the order of the first pool."""
        return list(self._pools()[0].problems)

    @property
    def k(self) -> int:
        """Samples that each problem has of all sampled models at least; 0 if none is sampled."""
        return min((model.samples.fewest for model in self.models if model.samples is not None), default=0)

    def report(self) -> dict[str, Any]:
        """Everything in plain JSON types; `docs/evaluation.md` describes it."""
        of_models = {model.name: measures(model, self.problems, self.k) for model in self.models}
        named = self._pools()[0].problems
        return {
            "schema": SCHEMA_NAME,
            "schema_version": SCHEMA_VERSION,
            "versions": {
                "trl-weighted-dpo": __version__,
                "verifier": VERIFIER_VERSION,
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "scipy")},
            },
            "settings": {**asdict(self.config), "k": self.k, "near": NEAR, "meaning": list(MEANING)},
            "problems": {
                "count": len(named),
                "digest": digest(sorted([key, own.text, own.reference_answer] for key, own in named.items())),
            },
            "baseline": self.models[0].name,
            "models": {model.name: self._model(model, of_models[model.name]) for model in self.models},
            "comparisons": self._comparisons(of_models),
            "slices": list(self._slices()),
        }

    def _model(self, model: Model, found: Mapping[str, Measure]) -> dict[str, Any]:
        pools = {GREEDY: model.greedy, SAMPLES: model.samples}
        return {
            "pools": {name: pool.source for name, pool in pools.items() if pool is not None},
            "candidates": {
                name: sum(map(len, pool.outcomes.values())) for name, pool in pools.items() if pool is not None
            },
            "measures": {name: self._estimate(measure) for name, measure in found.items()},
        }

    def _estimate(self, measure: Measure) -> dict[str, Any]:
        config = self.config
        summary = estimate(measure.values, measure.is_binary, config.confidence, config.resamples, config.seed)
        return {**summary, **({"verdicts": dict(measure.verdicts)} if measure.verdicts else {})}

    def _comparisons(self, of_models: Mapping[str, Mapping[str, Measure]]) -> list[dict[str, Any]]:
        """Each model against the first, for each measure that both have; p-values adjusted within a measure."""
        (first, baseline), *others = of_models.items()
        compared: list[dict[str, Any]] = []
        for measure, own in baseline.items():
            of_measure = [
                {"measure": measure, "model": name, "baseline": first, **self._difference(own, found[measure])}
                for name, found in others
                if measure in found
            ]
            compared += with_holm(of_measure)
        return compared

    def _difference(self, first: Measure, second: Measure) -> dict[str, Any]:
        config = self.config
        is_binary = first.is_binary and second.is_binary
        return difference(first.values, second.values, is_binary, config.confidence, config.resamples, config.seed)

    def _slices(self) -> Iterator[dict[str, Any]]:
        own = slices.basis(self.models)
        problems = self._pools()[0].problems
        column = self.config.difficulty or slices.difficulty_column(problems)
        if column == slices.ACCURACY and slices.ACCURACY not in next(iter(problems.values())).columns:
            yield self._slice("difficulty", "accuracy of the baseline", slices.by_accuracy(own.outcomes), own)
        else:
            is_counted = slices.counts_steps(problems, column)
            by = "steps of the reference solution" if is_counted else f"column {column}"
            yield self._slice("difficulty", by, slices.by_column(problems, column), None)
        yield self._slice("error class", "what the baseline did", slices.by_class(own.outcomes), own)

    def _slice(self, name: str, by: str, groups: Mapping[str, list[str]], basis: slices.Basis | None) -> dict[str, Any]:
        """Measures and differences in each group; `basis` is that of groups made from the baseline's outcomes."""
        models, summary = self.models, {"slice": name, "by": by}
        if basis is not None:
            models = basis.models
            summary |= {"made_from": basis.made_from, "measured_on": basis.measured_on}
        of_group = {group: self._group(models, ids) for group, ids in groups.items()}
        return {**summary, "is_independent": basis is None or basis.is_independent, "groups": of_group}

    def _group(self, models: Sequence[Model], ids: list[str]) -> dict[str, Any]:
        if not ids:
            return {"problems": 0, "measures": {}, "comparisons": []}
        found = {model.name: self._main(model, ids) for model in models}
        estimates = {name: {m: self._estimate(own) for m, own in of_model.items()} for name, of_model in found.items()}
        return {"problems": len(ids), "measures": estimates, "comparisons": self._comparisons(found)}

    def _main(self, model: Model, ids: list[str]) -> dict[str, Measure]:
        """The measures that slices have: plain accuracies."""
        return {n: own for n, own in measures(model, ids, 0).items() if n in (GREEDY, "accuracy")}

    def problem_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each problem, in order: `id`, `problem`, and for each model what became of its candidates."""
        problems = self._pools()[0].problems
        of_models = {model.name: measures(model, self.problems, self.k) for model in self.models}
        for index, (key, problem) in enumerate(problems.items()):
            yield {
                schema.ID: key,
                schema.PROBLEM: problem.text,
                schema.REFERENCE_ANSWER: problem.reference_answer,
                "models": {
                    model.name: {
                        **_candidates(model, key),
                        "measures": {name: float(own.values[index]) for name, own in of_models[model.name].items()},
                    }
                    for model in self.models
                },
            }


def _candidates(model: Model, key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, pool in ((GREEDY, model.greedy), (SAMPLES, model.samples)):
        if pool is not None:
            outcomes = pool.outcomes[key]
            found[name] = {
                "verdicts": [one.verdict.value for one in outcomes],
                "answers": [one.answer for one in outcomes],
                "error_class": modal_class(outcomes),
            }
    return found
