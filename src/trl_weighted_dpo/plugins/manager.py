"""The plugins of a process: found, validated, and looked up by what they bring."""

import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

import pluggy

from trl_weighted_dpo._version import __version__
from trl_weighted_dpo.core.checks import NAME_HINT, is_name
from trl_weighted_dpo.core.printing import described
from trl_weighted_dpo.plugins import hookspecs
from trl_weighted_dpo.plugins.hookspecs import PROJECT

logger = logging.getLogger(__name__)

_PREFIX = "weighted_dpo_"
_BUILT_IN, _DISTRIBUTION = "built-in", "trl-weighted-dpo"


class PluginError(ValueError):
    """A plugin that is not what the hooks ask for. The message names plugin, hook, argument and a way out."""


@dataclass(frozen=True, slots=True)
class _Kind:
    noun: str
    arguments: tuple[str, ...]
    call: str


KINDS: dict[str, _Kind] = {
    "dimensions": _Kind("dimension", ("view",), "check(view: SolutionView) -> DimensionResult"),
    "hardnesses": _Kind("hardness", ("signals",), "hardness(signals: HardnessSignals) -> float"),
    "raw_weights": _Kind(
        "raw weight", ("columns", "config"), "raw(columns: Mapping[str, Array], config: WeightingConfig) -> Array"
    ),
    "samplers": _Kind("sampler", ("model", "options"), "sampler(model: str, options: Mapping[str, Any]) -> Sampler"),
}
"""What plugins bring: the hook of each is `weighted_dpo_` and its name here."""


@dataclass(frozen=True)
class Plugin:
    """One plugin.

    Args:
        name (`str`):
            Name of its entry point, or the one that it was registered by.
        distribution, version (`str`, *optional*):
            The installed package that brings it; `None` if a script registered it.
        brings (`Mapping[str, Mapping[str, Any]]`):
            What it brings, by name, for each kind: `dimensions`, `hardnesses`, `raw_weights` and `samplers`.
        error (`str`, *optional*):
            Why it is left out, if it is broken.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    brings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str | None = None

    def __str__(self) -> str:
        origin = f"{self.distribution} {self.version}" if self.distribution else "registered by a script"
        return f"the plugin {self.name!r} ({origin})"


class Registry:
    """The plugins of a process. What is installed is found with the first lookup, in the order of the names.

    An installed plugin that is broken is left out, with one warning when a name is looked up: it must not end a run
    that does not use it.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: list[Plugin] = []
        self._to_warn_about: list[Plugin] = []
        self._is_complete = False
        self._lock = threading.RLock()

    def get(self, kind: str) -> Mapping[str, Any]:
        """What all plugins bring of one of `KINDS`, by name."""
        return MappingProxyType({name: value for plugin in self._used() for name, value in _of(plugin, kind).items()})

    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins, in the order of registration; the package itself is the first."""
        with self._lock:
            self._discover()
            return tuple(self._plugins)

    def find(self, kind: str, name: str) -> Any:
        """What a plugin brings of one of `KINDS` by a name.

        Raises:
            [`PluginError`]: If no plugin brings the name; names those that there are, and the plugins that are broken.
        """
        return self._bringing(kind, name).brings[kind][name]

    def identity(self, kind: str, name: str) -> str:
        """Where a name comes from, as `"distribution version: name"`: in the key of a cache it changes with the version
        of the plugin. What a script registered has no version; nor has what the package itself brings, which has result
        versions instead (see [`~core.identity`]).

        Raises:
            [`PluginError`]: As [`find`].
        """
        plugin = self._bringing(kind, name)
        if plugin.name == _BUILT_IN:
            return f"{_DISTRIBUTION}: {name}"
        return f"{plugin.distribution or plugin.name} {plugin.version or '(no version)'}: {name}"

    def left_out(self) -> str:
        """The plugins that are broken, with the cause, for the message that a name is not there."""
        return "".join(f" Left out is {plugin}: {plugin.error}" for plugin in self.plugins() if plugin.error)

    def _bringing(self, kind: str, name: str) -> Plugin:
        for plugin in self._used():
            if name in _of(plugin, kind):
                return plugin
        there = ", ".join(self.get(kind)) or "none"
        raise PluginError(f"There is no {KINDS[kind].noun} {name!r}; there are: {there}.{self.left_out()}")

    def _used(self) -> tuple[Plugin, ...]:
        plugins = self.plugins()
        with self._lock:
            broken, self._to_warn_about = self._to_warn_about, []
        for plugin in broken:
            logger.warning(
                "%s is broken and left out; `weighted-dpo plugins` lists all. Mend, update or uninstall it: %s",
                plugin,
                plugin.error,
            )
        return plugins

    def register(self, plugin: object, name: str) -> None:
        """Adds a plugin to this process, beside those that are installed.

        Args:
            plugin (`object`): A module or an object with functions marked by `hookimpl`.
            name (`str`): What messages and lists call it.

        Raises:
            [`PluginError`]: If it is not what the hooks ask for; nothing of it is taken then.
        """
        with self._lock:
            self._discover()
            described = Plugin(name)
            try:
                self._add(plugin, described)
            except PluginError as error:
                raise PluginError(f"{described}: {error}") from error.__cause__

    def _discover(self) -> None:
        if self._is_complete:
            return
        from trl_weighted_dpo.plugins import builtin

        self._add(builtin, Plugin(_BUILT_IN, _DISTRIBUTION, __version__))
        # A plugin that looks names up while it is imported finds those that came before it.
        self._is_complete = True
        for point in sorted(entry_points(group=PROJECT), key=lambda point: (point.name, point.value)):
            plugin = _described(point)
            try:
                self._add(point.load(), plugin)
            except (Exception, SystemExit) as error:
                # A plugin that exits must not end the program.
                cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
                self._plugins.append(Plugin(plugin.name, plugin.distribution, plugin.version, error=cause))
                self._to_warn_about.append(self._plugins[-1])

    def _add(self, plugin: object, described: Plugin) -> None:
        self._check_hooks(plugin)
        try:
            self._manager.register(plugin, described.name)
        except pluggy.PluginValidationError as error:
            self._manager.unregister(name=described.name)
            # The message of pluggy names the hook, its definition and the arguments, in several lines.
            raise PluginError(f"{' '.join(str(error).split())}. Hooks take no arguments: take them out.") from error
        except ValueError as error:
            raise PluginError("it is there already, by this name or another: register it once.") from error
        try:
            brings = {kind: dict(self._brought(plugin, kind)) for kind in KINDS}
        except Exception:
            self._manager.unregister(plugin)
            raise
        self._plugins.append(Plugin(described.name, described.distribution, described.version, brings))

    def _check_hooks(self, plugin: object) -> None:
        known = [_PREFIX + kind for kind in KINDS]
        hooks = []
        for attribute in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, attribute)
            if options is None and attribute.startswith(_PREFIX):
                raise PluginError(f"{attribute} is no hook yet: mark the function with @hookimpl.")
            if options is not None:
                hook = options.get("specname") or attribute
                if hook not in known:
                    raise PluginError(f"there is no hook {hook!r}; the hooks are {', '.join(known)}.")
                if options.get("wrapper") or options.get("hookwrapper"):
                    raise PluginError(f"hook {hook}: it wraps others, but brings its own only.")
                hooks.append(hook)
        if not hooks:
            raise PluginError(
                f"{described(plugin)} has no hook, so it brings nothing: name the module or the object that "
                f"has one of {', '.join(known)}, marked with @hookimpl."
            )

    def _brought(self, plugin: object, kind: str) -> Iterator[tuple[str, Any]]:
        hook = _PREFIX + kind
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin:
                try:
                    result = implementation.function()
                except (Exception, SystemExit) as error:
                    raise PluginError(f"hook {hook}: it failed: {type(error).__name__}: {error}") from error
                if not isinstance(result, Mapping):
                    raise PluginError(
                        f"hook {hook}: it returned {described(result)}, but it returns a mapping from names "
                        f"to functions {KINDS[kind].call}."
                    )
                for name, value in result.items():
                    self._check_name(name, kind)
                    _check_call(value, f"hook {hook}: {name!r}", KINDS[kind])
                    yield name, value

    def _check_name(self, name: object, kind: str) -> None:
        place = f"hook {_PREFIX}{kind}"
        if not is_name(name):
            raise PluginError(f"{place}: the name {described(name)} will not do. {NAME_HINT}")
        if kind == "raw_weights" and self._plugins:
            from trl_weighted_dpo.weighting import SCHEMES

            if name in SCHEMES:
                raise PluginError(f"{place}: the package has a scheme {name!r} of its own: rename this one.")
        for other in self._plugins:
            if name in _of(other, kind):
                raise PluginError(f"{place}: the name {name!r} is taken by {other}: rename one, or uninstall it.")


def _of(plugin: Plugin, kind: str) -> Mapping[str, Any]:
    return plugin.brings.get(kind, {})


def _described(point: EntryPoint) -> Plugin:
    distribution = point.dist
    return Plugin(point.name, *((distribution.name, distribution.version) if distribution is not None else ()))


def _check_call(value: object, place: str, kind: _Kind) -> None:
    """Checks that a value can be called with the arguments of its kind, by position."""
    if not callable(value):
        raise PluginError(f"{place} is {described(value)}, but it is a function {kind.call}.")
    parameters = _parameters(value)
    if parameters is None:
        return
    by_position = [item for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
    unfilled = [*by_position[len(kind.arguments) :], *(item for item in parameters if item.kind is item.KEYWORD_ONLY)]
    for item in unfilled:
        if item.default is item.empty:
            raise PluginError(
                f"{place} has the parameter {item.name!r}, for which nothing is passed: it is called as {kind.call}. "
                "Give it a default, or take it out."
            )
    takes_more = any(item.kind is item.VAR_POSITIONAL for item in parameters)
    if len(by_position) < len(kind.arguments) and not takes_more:
        missing = kind.arguments[len(by_position)]
        raise PluginError(f"{place} takes no argument {missing!r}: it is called as {kind.call}. Add the parameter.")


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Some callables written in C do not tell.
        return None
