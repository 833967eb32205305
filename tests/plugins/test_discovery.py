"""Installed plugins are found by their entry points, and broken ones end no run that does not use them."""

import json
import logging
import subprocess
import sys

import pytest

from trl_weighted_dpo import plugins
from trl_weighted_dpo.plugins import PluginError, Registry
from trl_weighted_dpo.weighting import WeightingConfig

GOOD = """
from trl_weighted_dpo.plugins import hookimpl

@hookimpl
def weighted_dpo_hardnesses():
    return {NAME: lambda signals: 0.5}
"""
EXITING = GOOD.replace("return", "raise SystemExit(2)\n    return")
IMPORTING = """
import json, sys
import trl_weighted_dpo.plugins
heavy = ("torch", "trl", "datasets", "sympy", "numpy", "trl_weighted_dpo.verifier", "flat_hardness")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def install(folder, module, code, name=None, version="1.0"):
    """Puts a module and the metadata of its distribution into a folder, as an installer does."""
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[trl_weighted_dpo]\n{name or module} = {module}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path of imports; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def of(registry, name):
    return next(plugin for plugin in registry.plugins() if plugin.name == name)


def test_an_installed_plugin_is_found_with_its_version(site):
    install(site, "flat_hardness", GOOD.replace("NAME", "'flat'"), name="flat", version="1.2")
    registry = Registry()

    assert registry.find("hardnesses", "flat")(None) == 0.5
    assert registry.identity("hardnesses", "flat") == "flat-hardness 1.2: flat"
    assert str(of(registry, "flat")) == "the plugin 'flat' (flat-hardness 1.2)"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("def f(:", "SyntaxError"),
        (GOOD.replace("NAME", "'Flat'"), "hook weighted_dpo_hardnesses: the name 'Flat' (str) will not do"),
        (GOOD.replace("NAME", "'product'"), "the name 'product' is taken by the plugin 'built-in'"),
        ("", "has no hook, so it brings nothing"),
    ],
)
def test_a_broken_plugin_is_warned_about_once_and_left_out(site, caplog, code, cause):
    install(site, "broken_hardness", code)
    install(site, "flat_hardness", GOOD.replace("NAME", "'flat'"))
    registry = Registry()

    registry.plugins()
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert registry.get("hardnesses")["flat"](None) == 0.5
        registry.get("dimensions")
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("trl_weighted_dpo")]
    assert len(warnings) == 1
    assert warnings[0].startswith("the plugin 'broken_hardness' (broken-hardness 1.0) is broken and left out; ")
    assert cause in warnings[0]
    assert cause in of(registry, "broken_hardness").error


def test_a_name_that_a_broken_plugin_may_bring_is_refused_with_its_cause(site):
    install(site, "broken_hardness", "import not_there")

    with pytest.raises(PluginError, match=r"no hardness 'flat'.*Left out is the plugin 'broken_hardness'.*not_there"):
        Registry().find("hardnesses", "flat")


def test_of_two_plugins_with_one_name_the_first_is_taken_and_both_are_named(site):
    install(site, "a_hardness", GOOD.replace("NAME", "'flat'"))
    install(site, "b_hardness", GOOD.replace("NAME", "'flat'"))
    registry = Registry()

    assert registry.identity("hardnesses", "flat") == "a-hardness 1.0: flat"
    assert "'flat' is taken by the plugin 'a_hardness' (a-hardness 1.0)" in of(registry, "b_hardness").error


def test_a_plugin_may_look_names_up_while_it_is_imported(site):
    code = "from trl_weighted_dpo import plugins\nthere = list(plugins.hardnesses())\n" + GOOD.replace("NAME", "'flat'")
    install(site, "curious_hardness", code)
    command = "from trl_weighted_dpo import plugins; plugins.find('hardnesses', 'flat'); import curious_hardness; "
    command += "print(curious_hardness.there)"
    output = subprocess.run([sys.executable, "-c", command], cwd=site, capture_output=True, text=True, check=True)

    assert "product" in output.stdout


def test_importing_loads_no_plugin_and_nothing_heavy(site):
    install(site, "flat_hardness", GOOD.replace("NAME", "'flat'"))
    output = subprocess.run([sys.executable, "-c", IMPORTING], cwd=site, capture_output=True, text=True, check=True)

    assert json.loads(output.stdout) == []


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        (EXITING, "hook weighted_dpo_hardnesses: it failed: SystemExit: 2"),
    ],
)
def test_a_plugin_that_exits_is_broken_and_ends_nothing(site, code, cause):
    install(site, "exiting_hardness", code.replace("NAME", "'flat'"))
    registry = Registry()

    assert "product" in registry.get("hardnesses")
    assert of(registry, "exiting_hardness").error.startswith(cause)


def test_an_unknown_scheme_is_refused_with_the_cause_of_broken_plugins(site, monkeypatch):
    install(site, "broken_weights", "import not_there")
    monkeypatch.setattr(plugins, "_registry", Registry())

    for settings in ({"scheme": "flat"}, {"control_of": "flat"}):
        with pytest.raises(ValueError, match=r"'flat'.*Left out is the plugin 'broken_weights'.*not_there"):
            WeightingConfig(**settings)
