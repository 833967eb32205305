"""What is registered is validated: errors name plugin, hook, argument and a way out, and nothing of it is taken."""

import functools
import threading
from types import ModuleType
from typing import ClassVar

import pytest

from trl_weighted_dpo import plugins
from trl_weighted_dpo.mining.hardness import HARDNESSES
from trl_weighted_dpo.plugins import PluginError, Registry, hookimpl
from trl_weighted_dpo.verifier import DIMENSIONS
from trl_weighted_dpo.weighting import RAW_WEIGHTS


def check(facts):
    return None


def plugin(mark=hookimpl, **hooks):
    """A module with one marked function for each hook."""
    module = ModuleType("a_plugin")
    for name, function in hooks.items():
        setattr(module, name, mark(function))
    return module


def bringing(kind, things):
    return plugin(**{f"weighted_dpo_{kind}": lambda: things})


def test_the_package_itself_comes_first():
    registry = Registry()

    assert list(registry.get("dimensions"))[:6] == list(DIMENSIONS)
    assert dict(registry.get("hardnesses")).items() >= HARDNESSES.items()
    assert dict(registry.get("raw_weights")).items() >= RAW_WEIGHTS.items()
    assert registry.plugins()[0].distribution == "trl-weighted-dpo"


def test_a_plugin_may_bring_several_things_of_several_kinds():
    registry = Registry()
    registry.register(
        plugin(
            weighted_dpo_dimensions=lambda: {"style": check, "length": check},
            weighted_dpo_hardnesses=lambda: {"flat": lambda signals: 0.5},
        ),
        "mine",
    )

    assert list(registry.get("dimensions"))[-2:] == ["style", "length"]
    assert registry.find("hardnesses", "flat")(None) == 0.5
    assert registry.plugins()[-1].name == "mine"


def test_an_object_may_be_a_plugin():
    class Flat:
        def __init__(self, value):
            self.value = value

        @hookimpl
        def weighted_dpo_hardnesses(self):
            return {"flat": lambda signals: self.value}

    registry = Registry()
    registry.register(Flat(0.25), "flat")

    assert registry.find("hardnesses", "flat")(None) == 0.25


def test_what_is_looked_up_is_read_only():
    with pytest.raises(TypeError):
        plugins.hardnesses()["mine"] = check  # type: ignore[index]


def _method(facts, strict):
    return None


class _Sampler:
    takes: ClassVar = "no model"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (ModuleType("empty"), "has no hook, so it brings nothing: name the module or the object"),
        (None, r"None \(NoneType\) has no hook"),
        (
            plugin(weighted_dpo_dimension=lambda: {}),
            "there is no hook 'weighted_dpo_dimension'; the hooks are weighted_dpo_d",
        ),
        (plugin(dimensions=lambda: {}), "there is no hook 'dimensions'; the hooks are"),
        (
            plugin(mark=lambda function: function, weighted_dpo_samplers=lambda: {}),
            "weighted_dpo_samplers is no hook yet",
        ),
        (
            plugin(weighted_dpo_dimensions=lambda facts: {}),
            r"hook 'weighted_dpo_dimensions'.*Argument\(s\) \{'facts'\}.*Hooks take no arguments",
        ),
        (
            plugin(hookimpl(wrapper=True), weighted_dpo_dimensions=lambda: (yield)),
            "it wraps others, but brings its own",
        ),
        (bringing("dimensions", [check]), r"hook weighted_dpo_dimensions: it returned \[<.*\(list\), but .* a mapping"),
        (bringing("dimensions", None), r"it returned None \(NoneType\)"),
        (plugin(weighted_dpo_dimensions=lambda: 1 / 0), "hook weighted_dpo_dimensions: it failed: ZeroDivisionError"),
        (bringing("dimensions", {"Style": check}), r"the name 'Style' \(str\) will not do\. Names are lower-case"),
        (bringing("dimensions", {7: check}), r"the name 7 \(int\) will not do"),
        (
            bringing("dimensions", {"style": 0.5}),
            r"'style' is 0\.5 \(float\), but it is a function check\(view: SolutionView\)",
        ),
        (bringing("dimensions", {"style": _method}), "'style' has the parameter 'strict', for which nothing is passed"),
        (
            bringing("hardnesses", {"flat": lambda signals, *, scale: 1.0}),
            r"hook weighted_dpo_hardnesses: 'flat' has the parameter 'scale'.*called as hardness\(signals: Hardness",
        ),
        (bringing("raw_weights", {"flat": lambda columns: 1}), r"takes no argument 'config': it is called as raw\("),
        (
            bringing("samplers", {"mine": _Sampler}),
            r"takes no argument 'model': it is called as sampler\(model: str, options: Mapping",
        ),
    ],
)
def test_what_is_no_plugin_is_named_with_hook_and_argument(broken, message):
    registry = Registry()
    before = registry.plugins()

    with pytest.raises(PluginError, match=r"^the plugin 'odd' \(registered by a script\): .*" + message):
        registry.register(broken, "odd")

    assert registry.plugins() == before


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("dimensions", "final_answer", r"taken by the plugin 'built-in' \(trl-weighted-dpo .*\): rename one"),
        ("dimensions", "style", r"taken by the plugin 'first' \(registered by a script\): rename one"),
        ("hardnesses", "product", "taken by the plugin 'built-in'"),
        ("raw_weights", "shuffled", "the package has a scheme 'shuffled' of its own"),
    ],
)
def test_a_name_that_is_taken_is_refused_with_both_plugins(kind, name, owner):
    registry = Registry()
    registry.register(bringing("dimensions", {"style": check}), "first")
    value = RAW_WEIGHTS["verifier"] if kind == "raw_weights" else check

    with pytest.raises(PluginError, match=rf"the plugin 'second' .*hook weighted_dpo_{kind}: .*{owner}"):
        registry.register(bringing(kind, {name: value}), "second")


def test_a_plugin_is_registered_once():
    registry = Registry()
    module = bringing("dimensions", {"style": check})
    registry.register(module, "mine")

    for again in ((module, "other"), (bringing("dimensions", {"length": check}), "mine")):
        with pytest.raises(PluginError, match="it is there already, by this name or another: register it once"):
            registry.register(*again)


def test_a_mended_plugin_can_be_registered_after_the_broken_one():
    registry = Registry()
    module = bringing("dimensions", {"Style": check})
    with pytest.raises(PluginError):
        registry.register(module, "mine")
    module.weighted_dpo_dimensions = hookimpl(lambda: {"style": check})
    registry.register(module, "mine")

    assert registry.find("dimensions", "style") is check


@pytest.mark.parametrize(
    "function",
    [
        lambda columns, config, scale=1.0: columns,
        lambda *columns: columns,
        functools.partial(lambda scale, columns, config: columns, 2.0),
        max,
    ],
)
def test_what_can_be_called_as_asked_is_taken(function):
    registry = Registry()
    registry.register(bringing("raw_weights", {"mine": function}), "mine")

    assert registry.find("raw_weights", "mine") is function


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(PluginError, match=r"There is no hardness 'prodct'; there are: product"):
        Registry().find("hardnesses", "prodct")


def test_an_identity_says_where_a_name_comes_from():
    registry = Registry()
    registry.register(bringing("dimensions", {"style": check}), "mine")

    assert registry.identity("dimensions", "style") == "mine (no version): style"
    assert registry.identity("hardnesses", "product") == "trl-weighted-dpo: product"


def test_threads_see_all_plugins():
    registry, counts = Registry(), []
    threads = [threading.Thread(target=lambda: counts.append(len(registry.get("dimensions")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [len(registry.get("dimensions"))] * 8
