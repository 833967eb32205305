"""Plugins: dimensions, hardnesses, raw-weight formulas and sampler backends that other packages bring.

A plugin is a module or an object with functions marked by [`hookimpl`], one for each hook of
[`hookspecs`][plugins.hookspecs] that it takes part in. Installed ones are found by the entry-point group
`trl_weighted_dpo`, with the first lookup; a script may [`register`] its own. Importing this loads no plugin.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trl_weighted_dpo.plugins.hookspecs import Sampler, SamplerFactory, hookimpl
from trl_weighted_dpo.plugins.manager import Plugin, PluginError, Registry

if TYPE_CHECKING:
    from trl_weighted_dpo.mining.hardness import HardnessFunction
    from trl_weighted_dpo.verifier.view import DimensionCheck
    from trl_weighted_dpo.weighting import RawWeightFunction

__all__ = [
    "Plugin",
    "PluginError",
    "Registry",
    "Sampler",
    "SamplerFactory",
    "dimensions",
    "find",
    "hardnesses",
    "hookimpl",
    "identity",
    "installed",
    "left_out",
    "raw_weights",
    "register",
    "samplers",
]

_registry = Registry()


def dimensions() -> "Mapping[str, DimensionCheck]":
    """The functions that check dimensions, by name: the package's own first, then those of plugins."""
    return _registry.get("dimensions")


def hardnesses() -> "Mapping[str, HardnessFunction]":
    """The hardness functions, by name: the package's own first, then those of plugins."""
    return _registry.get("hardnesses")


def raw_weights() -> "Mapping[str, RawWeightFunction]":
    """The raw-weight formulas, by name: the package's own first, then those of plugins."""
    return _registry.get("raw_weights")


def samplers() -> Mapping[str, SamplerFactory]:
    """The makers of samplers, by name: the package's own first, then those of plugins."""
    return _registry.get("samplers")


def installed() -> tuple[Plugin, ...]:
    """The plugins with what they bring, this package itself first; broken ones are among them, with the cause."""
    return _registry.plugins()


def left_out() -> str:
    """The plugins that are broken, with the cause, as sentences with a space before each; none gives `""`."""
    return _registry.left_out()


def find(kind: str, name: str) -> Any:
    """What a plugin brings by a name: see [`Registry.find`]."""
    return _registry.find(kind, name)


def identity(kind: str, name: str) -> str:
    """Where a name comes from, for the keys of caches: see [`Registry.identity`]."""
    return _registry.identity(kind, name)


def register(plugin: object, name: str) -> None:
    """Adds a plugin to this process: see [`Registry.register`]."""
    _registry.register(plugin, name)
