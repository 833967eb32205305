"""Hostile text is never executed, never hangs the verifier and always gets a profile."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.fuzz_verifier import Tally, check, made_up
from benchmarks.text_mutations import mutated

import trl_weighted_dpo.verifier
from tests.verifier.hostile import COSTLY, LONG_TEXT, STRANGE, executed
from trl_weighted_dpo.verifier import ErrorProfile, MathVerifier, Verdict

PACKAGE = Path(trl_weighted_dpo.verifier.__path__[0])
SOURCES = sorted(PACKAGE.rglob("*.py"))

EXECUTES = {
    *("eval", "exec", "compile", "__import__", "literal_eval", "execfile", "input", "breakpoint"),
    *("sympify", "parse_expr", "lambdify", "parse_latex", "latex2sympy", "parse_mathematica"),
    *("os.system", "os.popen", "os.spawnv", "os.execv", "os.execve", "os.fork", "os.posix_spawn"),
    *("Popen", "check_output", "check_call", "getoutput", "import_module", "run_path", "run_module"),
    *("loads", "Unpickler", "interact", "CDLL"),
}
"""Names that can turn text into something that runs."""

ALLOWED = {
    # A worker is a fresh interpreter with a fixed command; its task is named by our own code.
    "workers.py": {"Popen", "import_module"},
    # What is unpickled is what the parent process has pickled and sent through a pipe of its own.
    "processes.py": {"loads"},
}
TEXT_READERS = {"sympy", "math_verify", "latex2sympy2_extended", "mpmath", "pickle", "code", "importlib", "subprocess"}
READERS_ALLOWED = {
    "workers.py": {"importlib", "subprocess"},
    "answers/symbolic.py": {"math_verify", "mpmath"},
    "processes.py": {"pickle"},
    "files.py": {"pickle"},
}


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Name():
            return [node.id]
        case ast.Attribute(value=ast.Name(id="re" | "json"), attr="compile" | "loads"):
            return []
        case ast.Attribute(value=ast.Name(id="os")):
            return [f"os.{node.attr}"]
        case ast.Attribute():
            return [node.attr]
        case ast.ImportFrom():
            prefix = "os." if node.module == "os" else ""
            return [prefix + alias.name for alias in node.names]
    return []


def _modules(node: ast.AST) -> list[str]:
    match node:
        case ast.ImportFrom():
            return [(node.module or "").partition(".")[0]]
        case ast.Import():
            return [alias.name.partition(".")[0] for alias in node.names]
    return []


def _tree(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_evaluates_text(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    for node in _tree(path):
        found = EXECUTES.intersection(_names(node)) - ALLOWED.get(name, set())
        assert not found, f"{name}:{node.lineno} uses {found}"
        modules = TEXT_READERS.intersection(_modules(node)) - READERS_ALLOWED.get(name, set())
        assert not modules, f"{name}:{node.lineno} imports {modules}"
        if isinstance(node, ast.Call):
            assert not any(keyword.arg == "shell" for keyword in node.keywords), f"{name}:{node.lineno} uses a shell"


_FORBIDDEN_SOURCE = """
import pickle
from sympy import sympify as s
from os import popen
os.system("x")
re.compile("x")
system = json.loads("x")
pickle.loads(x)
eval(x)
ast.literal_eval(x)
"""


def test_the_walk_sees_what_it_forbids() -> None:
    nodes = list(ast.walk(ast.parse(_FORBIDDEN_SOURCE)))

    found = {name for node in nodes for name in _names(node)} & EXECUTES
    assert found == {"sympify", "os.system", "eval", "literal_eval", "os.popen", "loads"}
    assert {module for node in nodes for module in _modules(node)} == {"pickle", "sympy", "os"}


def test_math_verify_sees_only_text_that_we_print() -> None:
    calls = [
        node
        for node in _tree(PACKAGE / "answers" / "symbolic.py")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "parse"
    ]
    assert len(calls) == 1
    for call in calls:
        (text, configuration), options = call.args, {keyword.arg for keyword in call.keywords}
        assert ast.unparse(text) == "f'${_latex(node)}$'"
        assert isinstance(configuration, ast.Name)
        assert "fallback_mode" in options


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(timeout=60) as verifier:
        yield verifier


def _verify_everywhere(verifier: MathVerifier, text: str) -> list[ErrorProfile]:
    """`text` as solution, as list of steps, as problem, as reference answer and as reference solution."""
    half = len(text) // 2
    return [
        verifier.verify("Ann has 3 pens and 4 books. How many?", text, "42"),
        verifier.verify(text, [text[:half], text[half:], "", "3 + 4 = 7"], text, text),
        verifier.verify(text, "Ann has 3 + 4 = <<3+4=7>>7.\nA: 7", "7"),
        verifier.verify("How many?", "3 + 4 = 7\nA: 7", text),
        verifier.verify("How many?", "3 + 4 = 7\nA: 7", "7", text),
    ]


def _check(profile: ErrorProfile) -> None:
    assert profile.verdict in Verdict
    assert all(score is None or 0 <= score <= 1 for score in profile.scores.values())
    assert ErrorProfile.from_dict(profile.to_dict()) == profile
    json.dumps(profile.to_dict())


@pytest.mark.parametrize("name", executed(Path("x")))
def test_text_is_never_executed(verifier: MathVerifier, tmp_path: Path, name: str) -> None:
    sentinel = tmp_path / "executed"

    for profile in _verify_everywhere(verifier, executed(sentinel)[name]):
        _check(profile)
    assert not sentinel.exists()


def test_the_sentinel_would_be_made(tmp_path: Path) -> None:
    sentinel = tmp_path / "executed"
    eval(executed(sentinel)["import"])

    assert sentinel.exists()


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_text_gets_a_profile(verifier: MathVerifier, text: str) -> None:
    for profile in _verify_everywhere(verifier, text):
        _check(profile)


# Digits of every script count as digits.
_SAYS_42 = {"Arabic digits", "mixed scripts", "end of turn", "JSON"}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_text_hides_no_answer(verifier: MathVerifier, name: str) -> None:
    assert verifier.verify("", STRANGE[name], "4242").verdict is not Verdict.CORRECT
    assert (verifier.verify("", STRANGE[name], "42").verdict is Verdict.CORRECT) == (name in _SAYS_42)


def test_mutated_solutions_get_profiles(verifier: MathVerifier) -> None:
    rows = made_up(0)
    tally = Tally()
    for index in range(400):
        check(verifier, mutated(rows, 0, index), index, tally)

    assert tally.failures == []
    assert sum(tally.verdicts.values()) == 400
    assert set(tally.verdicts) == {verdict.value for verdict in Verdict}


CALLS = 3_000_000
"""Python and C calls that one text may cost in one call of `verify`; a sound solution costs a few thousand, and the
20 000 characters of an equation per line that are read at most, some hundred thousand."""


def _calls(verifier: MathVerifier, solution: str) -> int:
    count = 0

    def hook(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(hook)
    try:
        verifier.verify("Ann has 3 pens and 4 books. How many?", solution, "42", "3 + 4 = 7\n#### 42")
    finally:
        sys.setprofile(None)
    return count // 2


HOSTILE = COSTLY | LONG_TEXT


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_not_correct(verifier: MathVerifier, text: str) -> None:
    assert verifier.verify("", text, "42").verdict is not Verdict.CORRECT
    assert verifier.compare(text, "42").verdict is not Verdict.CORRECT


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_costs_a_bounded_number_of_calls(verifier: MathVerifier, text: str) -> None:
    assert _calls(verifier, text) < CALLS


CPU_SECONDS = 4
"""Processor time, rounded up to whole seconds, in which a text must be through in all its roles: the limit of a hang,
not a measure of speed."""

_CHILD = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from tests.verifier.hostile import COSTLY, LONG_TEXT
from tests.verifier.test_safety import _check, _verify_everywhere
from trl_weighted_dpo.verifier import MathVerifier
verifier = MathVerifier(timeout=60)
for name, text in (COSTLY | LONG_TEXT).items():
    print(name, flush=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + {CPU_SECONDS}
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    for profile in _verify_everywhere(verifier, text):
        _check(profile)
verifier.close()
print("done")
"""


@pytest.mark.long
def test_hostile_text_neither_hangs_nor_crashes() -> None:
    child = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True)

    assert child.stdout.splitlines()[-1:] == ["done"], child.stderr[-2000:]
