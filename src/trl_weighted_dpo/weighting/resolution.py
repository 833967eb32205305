"""Which scheme is in force for a dataset, and which formula is behind it."""

from collections.abc import Collection, Sequence

from trl_weighted_dpo.core import schema
from trl_weighted_dpo.settings.weighting import CONTROLS, SCHEMES, WeightingConfig
from trl_weighted_dpo.weighting.schemes import NEEDED, RAW_WEIGHTS, RawWeightFunction

READY = ("uniform", "column")
"""Schemes that need no look at the whole training set."""


def check_scheme(name: str) -> str:
    """Check the name of a scheme, and return it.

    Raises:
        `ValueError`: If neither the package nor a plugin has it; names those that there are.
    """
    if name not in SCHEMES and name not in _of_plugins():
        names = ", ".join([*SCHEMES, *(other for other in _of_plugins() if other not in SCHEMES)])
        raise ValueError(f"Unknown weighting scheme {name!r}. Choose one of {names}.{_left_out()}")
    return name


def check_control_of(name: str) -> str:
    """Check the name of a scheme that a control may be of, and return it.

    Raises:
        `ValueError`: If it computes no weights from signals; names those that do.
    """
    if name not in RAW_WEIGHTS and name not in _of_plugins():
        raise ValueError(
            f"control_of is {name!r}, but a control ({', '.join(CONTROLS)}) turns weights from signals around. Choose "
            f"one of {', '.join(_of_plugins())}.{_left_out()}"
        )
    return name


def raw_weight_function(name: str) -> RawWeightFunction:
    """The raw-weight formula of a name, of the package or of a plugin.

    Raises:
        [`~plugins.PluginError`]: If there is none; names those that there are.
    """
    if name in RAW_WEIGHTS:
        return RAW_WEIGHTS[name]
    from trl_weighted_dpo import plugins

    function: RawWeightFunction = plugins.find("raw_weights", name)
    return function


def _of_plugins() -> Collection[str]:
    from trl_weighted_dpo import plugins

    return plugins.raw_weights()


def _left_out() -> str:
    from trl_weighted_dpo import plugins

    return plugins.left_out()


def resolve_scheme(config: WeightingConfig, column_names: Sequence[str], streaming: bool = False) -> str:
    """The scheme in force for a dataset with these columns.

    Args:
        config ([`WeightingConfig`]): Its `scheme` may be `"auto"`.
        column_names (`Sequence[str]`): Columns of the training set.
        streaming (`bool`, *optional*, defaults to `False`): Whether the dataset can be read only once, in order.

    Raises:
        `ValueError`: If the scheme needs columns that are not there, or the whole of a streaming dataset.
    """
    has_weight = schema.WEIGHT in column_names
    has_signals = any(name in column_names for name in schema.SIGNALS)
    scheme = config.scheme
    if scheme == "auto":
        scheme = "column" if has_weight else "verifier" if has_signals else "uniform"
    if scheme == "column" and not has_weight:
        raise ValueError(
            f"The weighting scheme is 'column' but the training set has no {schema.WEIGHT!r} column (it has: "
            f"{', '.join(column_names)}). Add the column, or choose the scheme 'auto'."
        )
    formula = config.formula(scheme)
    of = f" of {formula!r}" if formula != scheme else ""
    if formula == "verifier" and not has_signals:
        raise ValueError(
            f"The weighting scheme is {scheme!r}{of} but the training set has none of the signals "
            f"{', '.join(schema.SIGNALS)} (it has: {', '.join(column_names)}). Mine the pairs from a pool, or choose "
            "the scheme 'uniform'."
        )
    missing = [name for name in NEEDED.get(formula, ()) if name not in column_names]
    if missing:
        raise ValueError(
            f"The weighting scheme is {scheme!r}{of} but the training set has no column "
            f"{' and no '.join(map(repr, missing))} (it has: {', '.join(column_names)}). {way_out(formula)}"
        )
    if streaming and scheme not in READY:
        raise ValueError(
            "A streaming dataset takes ready weights only: weights from signals are normalised over the whole training "
            f"set, which a stream does not show. Bring a {schema.WEIGHT!r} column, load the pairs as a map-style "
            "dataset, or choose the scheme 'uniform'."
        )
    if streaming and scheme == "column" and config.normalize_column:
        raise ValueError("normalize_column needs the whole training set, which a streaming dataset does not show.")
    return scheme


def way_out(formula: str) -> str:
    """How a person gets the columns that a formula needs, as a sentence."""
    if formula in ("confidence_gap", "perplexity"):
        return "Score the pool before mining (`weighted-dpo score`), or choose another scheme."
    if formula == "reward_margin":
        return "Score both completions with a reward model and add the difference, or choose another scheme."
    if formula == "score_margin":
        return "Bring both scores of a judge, as UltraFeedback does, or choose another scheme."
    return "Mine the pairs from a pool, or choose another scheme."


def note_on_override(config: WeightingConfig, column_names: Sequence[str]) -> str | None:
    """What to tell a person whose ready weights are not used because another scheme is named."""
    if config.scheme in ("auto", "column") or schema.WEIGHT not in column_names:
        return None
    return (
        f"The training set has a {schema.WEIGHT!r} column, but the weighting scheme {config.scheme!r} is named and "
        "overrides it. Choose 'auto' or 'column' to use the column."
    )
