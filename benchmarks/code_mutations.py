"""How many small changes of the code its tests notice.

    python -m benchmarks.code_mutations --count 200 --seed 0 [--workers 2] [--only TEXT] [--documented] [--list]

A mutation changes one number, or removes one word of a set, tuple or dict, one character of a set of characters, or one
alternative of a regular expression, in `verifier/`, `weighting/`, `mining/` or `training/health.py`. It is made in a
copy of `src/`. What is quick to run is run on it: of the verifier the profiles of `tests/verifier/corpus`, up to the
first difference, then the unit tests of its subject. A mutation that nothing of this notices has survived.
"""

import argparse
import ast
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src", "trl_weighted_dpo")
_WEIGHTING = ("tests/weighting/test_limits.py", "tests/weighting")
_MINING = (
    "tests/mining/test_limits.py",
    "tests/mining",
    "--ignore=tests/mining/test_real_pool.py",
    "-k",
    "not killed_and_run_again",
)
_VERIFIER = (
    "tests/verifier",
    *(
        f"--ignore=tests/verifier/test_{name}.py"
        for name in ("safety", "many", "mapping", "corpus", "properties", "added_dimension", "generated_pairs")
    ),
)
SUBJECTS: dict[str, tuple[str, ...]] = {
    "verifier": _VERIFIER,
    "core/thinking.py": _VERIFIER,
    "weighting": _WEIGHTING,
    "settings/weighting.py": _WEIGHTING,
    "mining": _MINING,
    "settings/mining.py": _MINING,
    "training/health.py": ("tests/training/test_health.py",),
}
"""Where is mutated, and the tests that are quick to run there, the quickest first."""

DOCUMENTED = re.compile(
    r"settings/(?:weighting|mining)\.py|weighting/(?:weights|schemes|diagnostics)\.py"
    r"|mining/(?:assessment|hardness|selection|lengths)\.py|training/health\.py"
)
"""Where the numbers stand that docs/mining.md, docs/weighting.md and docs/metrics.md name."""

SECONDS = 900
"""Longest time for one check of one mutation; what takes longer counts as noticed."""

_DIFFERENT = 3


class Mutation(NamedTuple):
    """One change of the code: the `number`-th that [`sites`] finds in a file."""

    path: Path
    number: int
    kind: str
    line: int
    name: str
    change: str
    word: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.line} {self.name}: {self.change}"


class Site(NamedTuple):
    """A place in a syntax tree that can be changed, and the function that changes it."""

    kind: str
    line: int
    name: str
    change: str
    word: str
    apply: Callable[[], None]


def sites(tree: ast.Module) -> Iterator[Site]:
    """Every change of a module, in the order of the text."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            if _named(statement) != "__all__":
                yield from _values(statement, _named(statement))
        elif isinstance(statement, ast.ClassDef):
            for inner in statement.body:
                if isinstance(inner, ast.AnnAssign | ast.Assign) and inner.value is not None:
                    yield from _values(inner, f"{statement.name}.{_named(inner)}", "default")
                elif isinstance(inner, ast.FunctionDef):
                    yield from _function(inner, f"{statement.name}.{inner.name}")
        elif isinstance(statement, ast.FunctionDef):
            yield from _function(statement, statement.name)


def _named(statement: ast.Assign | ast.AnnAssign) -> str:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    return ast.unparse(target)


def _values(statement: ast.Assign | ast.AnnAssign, name: str, kind: str = "constant") -> Iterator[Site]:
    """The numbers, words and regular expressions of an assignment outside of functions."""
    assert statement.value is not None
    for node in ast.walk(statement.value):
        if _is_number(node):
            in_table = isinstance(statement.value, ast.Dict)
            yield from _number(node, name, "severity or table" if in_table else kind)
        elif isinstance(node, ast.Set | ast.Tuple | ast.List | ast.Dict):
            yield from _words(node, name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile":
            yield from _pattern(node.args[0], name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
            yield from _split(node, name)
    if isinstance(statement.value, ast.Constant | ast.JoinedStr):
        yield from _pattern(statement.value, name)


def _function(function: ast.FunctionDef, name: str) -> Iterator[Site]:
    """Numbers other than 0, 1 and 2, and members of sets, in a function; its decorators set cache sizes only."""
    parts = [node for part in (function.args, *function.body) for node in ast.walk(part)]
    indices = {
        id(node) for subscript in parts if isinstance(subscript, ast.Subscript) for node in ast.walk(subscript.slice)
    }
    for node in parts:
        if isinstance(node, ast.Constant) and _is_number(node) and id(node) not in indices:
            if isinstance(node.value, float) or abs(node.value) > 2:
                yield from _number(node, name, "constant")
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            for members in node.comparators:
                if isinstance(members, ast.Set | ast.Tuple | ast.List):
                    yield from _words(members, name)
                elif isinstance(members, ast.Constant) and isinstance(members.value, str) and len(members.value) > 1:
                    yield from _characters(members, name)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _number(node: ast.AST, name: str, kind: str) -> Iterator[Site]:
    assert isinstance(node, ast.Constant)
    old = node.value
    if isinstance(old, int):
        new: float = old + 1 if abs(old) <= 10 else old + max(2, old // 4)
    elif 0 < old <= 1:
        new = round(old * 1.25, 6) if old * 1.25 <= 1 else round(old * 0.8, 6)
    else:
        new = old * 1.25 + (old == 0)

    def apply() -> None:
        node.value = new

    yield Site(kind, node.lineno, name, f"{old} -> {new}", "", apply)


def _words(node: ast.Set | ast.Tuple | ast.List | ast.Dict, name: str) -> Iterator[Site]:
    members = node.keys if isinstance(node, ast.Dict) else node.elts
    if len(members) < 2 or not all(isinstance(item, ast.Constant) and isinstance(item.value, str) for item in members):
        return
    for place, item in enumerate(members):
        assert isinstance(item, ast.Constant)

        def apply(place: int = place) -> None:
            del members[place]
            if isinstance(node, ast.Dict):
                del node.values[place]

        yield Site("word", item.lineno, name, f"without {item.value!r}", item.value, apply)


def _split(node: ast.Call, name: str) -> Iterator[Site]:
    """The words of `"a b c".split()`."""
    assert isinstance(node.func, ast.Attribute)
    text = node.func.value
    if not (isinstance(text, ast.Constant) and isinstance(text.value, str)) or node.args:
        return
    words = text.value.split()
    for place, word in enumerate(words):

        def apply(place: int = place) -> None:
            text.value = " ".join(words[:place] + words[place + 1 :])

        yield Site("word", text.lineno, name, f"without {word!r}", word, apply)


def _characters(node: ast.Constant, name: str) -> Iterator[Site]:
    text = node.value
    assert isinstance(text, str)
    for place, character in enumerate(text):

        def apply(place: int = place) -> None:
            node.value = text[:place] + text[place + 1 :]

        yield Site("character", node.lineno, name, f"without {character!r} of {text!r}", character, apply)


def _pattern(node: ast.expr, name: str) -> Iterator[Site]:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    for part in parts:
        if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
            continue
        text = part.value
        for start, end in alternatives(text):
            # With the bar before it, or the one after it if it is the first.
            cut = (start - 1, end) if text[start - 1 : start] == "|" else (start, end + 1)

            def apply(part: ast.Constant = part, text: str = text, cut: tuple[int, int] = cut) -> None:
                part.value = text[: cut[0]] + text[cut[1] :]

            written = text[start:end]
            yield Site("alternative", part.lineno, name, f"without {written!r}", written, apply)


def alternatives(pattern: str) -> list[tuple[int, int]]:
    """Where the alternatives of a regular expression, or of a piece of one, stand that a bar separates from others."""
    found: list[tuple[int, int]] = []
    open_groups: list[list[int]] = [[0]]
    place = 0
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            place += 2
            continue
        if character == "[":
            place = _end_of_class(pattern, place)
            continue
        if character == "(":
            prefix = re.compile(r"\((?:\?(?:P<\w+>|<?[=!]|[:>]))?").match(pattern, place)
            assert prefix is not None
            place = prefix.end()
            open_groups.append([place])
            continue
        if character == "|":
            open_groups[-1].append(place + 1)
        elif character == ")":
            starts = open_groups.pop() if len(open_groups) > 1 else [place]
            found += _between(starts, place)
        place += 1
    found += _between(open_groups[-1], len(pattern)) if len(open_groups) == 1 else []
    return sorted(found)


def _between(starts: Sequence[int], end: int) -> list[tuple[int, int]]:
    if len(starts) < 2:
        return []
    return [(start, stop) for start, stop in zip(starts, [*(start - 1 for start in starts[1:]), end], strict=True)]


def _end_of_class(pattern: str, place: int) -> int:
    place += 2 if pattern[place + 1 : place + 2] == "^" else 1
    place += pattern[place : place + 1] == "]"
    while place < len(pattern) and pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    return place + 1


def mutations() -> list[Mutation]:
    """Every mutation, in the order of files and lines."""
    found = []
    for subject in SUBJECTS:
        place = ROOT / PACKAGE / subject
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            relative = path.relative_to(ROOT)
            for number, site in enumerate(sites(ast.parse(path.read_text(encoding="utf-8")))):
                found.append(Mutation(relative, number, *site[:-1]))
    return found


def mutated(mutation: Mutation) -> str:
    """The source of a file with one change."""
    tree = ast.parse((ROOT / mutation.path).read_text(encoding="utf-8"))
    list(sites(tree))[mutation.number].apply()
    return ast.unparse(tree)


class Copy:
    """A copy of `src/` in which mutations are made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder / "src"], check=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(folder / "src"), str(ROOT))),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def noticed_by(self, mutation: Mutation, failing: Sequence[str] = ()) -> str | None:
        """What notices a mutation: `"corpus"`, `"tests"`, or `None`."""
        path = self.folder / mutation.path
        original = path.read_text(encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
        try:
            path.write_text(mutated(mutation), encoding="utf-8")
            subject = subject_of(mutation)
            if SUBJECTS[subject] is _VERIFIER and not self.passes(
                ("benchmarks.code_mutations", "--compare", mutation.word)
            ):
                return "corpus"
            return None if self.passes(("pytest", "-x", *quick_tests(subject, failing))) else "tests"
        finally:
            path.write_text(original, encoding="utf-8")

    def passes(self, module: Sequence[str]) -> bool:
        command = [sys.executable, "-m", *module]
        try:
            done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def subject_of(mutation: Mutation) -> str:
    return next(name for name in SUBJECTS if mutation.path.is_relative_to(PACKAGE / name))


def quick_tests(subject: str, failing: Sequence[str] = ()) -> list[str]:
    """What to pass to pytest; `failing` are left out."""
    left_out = [argument for name in failing for argument in ("--deselect", name)]
    return ["-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *SUBJECTS[subject], *left_out]


def already_failing(subject: str) -> list[str]:
    """The quick tests that fail without a mutation."""
    command = [sys.executable, "-m", "pytest", "-rf", *quick_tests(subject)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)


def compare(word: str) -> bool:
    """Whether all profiles of the corpus are the stored ones: first of the texts with a word, then of short ones."""
    from tests.verifier.corpus import computed, read_stored, rows

    _, stored = read_stored()

    def order(row: dict[str, object]) -> tuple[bool, int]:
        text = str(row).lower()
        return word.lower() not in text, len(text)

    return all(profile == stored[profile.id] for profile in computed(sorted(rows(), key=order)))


def measure(chosen: Sequence[Mutation], workers: int) -> dict[Mutation, str | None]:
    """What notices each mutation."""
    failing = {subject: already_failing(subject) for subject in {subject_of(mutation) for mutation in chosen}}
    copies: SimpleQueue[Copy] = SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        for number in range(workers):
            copies.put(Copy(Path(folder, str(number))))

        def check(mutation: Mutation) -> str | None:
            copy = copies.get()
            try:
                noticed = copy.noticed_by(mutation, failing[subject_of(mutation)])
            finally:
                copies.put(copy)
            print(f"{noticed or 'SURVIVED'}: {mutation}", file=sys.stderr, flush=True)
            return noticed

        return dict(zip(chosen, pool.map(check, chosen), strict=True))


def report(results: dict[Mutation, str | None], options: argparse.Namespace, seconds: float) -> str:
    """The results in Markdown."""
    noticed = sum(by is not None for by in results.values())
    what = "all numbers that the docs name" if options.documented else f"{len(results)} at random (seed {options.seed})"
    lines = [
        f"{what}: **{noticed} of {len(results)} noticed ({noticed / max(1, len(results)):.1%})**, "
        f"{seconds / 60:.0f} minutes.",
        "",
        "| kind | mutations | by the corpus | by unit tests | survived |",
        "|---|---|---|---|---|",
    ]
    for kind in sorted({mutation.kind for mutation in results}):
        by = Counter(by for mutation, by in results.items() if mutation.kind == kind)
        lines.append(f"| {kind} | {by.total()} | {by['corpus']} | {by['tests']} | {by[None]} |")
    survivors = [str(mutation) for mutation, by in results.items() if by is None]
    if survivors:
        lines += ["", "Survived:", "", *(f"* `{survivor}`" for survivor in sorted(survivors))]
    return "\n".join(lines)


def is_documented(mutation: Mutation) -> bool:
    """A public number, or the default of a setting, of the modules whose numbers the docs name."""
    owner, _, _ = mutation.name.partition(".")
    is_setting = mutation.kind == "default" and owner.endswith(("Config", "Scale"))
    is_public = mutation.kind == "constant" and owner.isupper() and not owner.startswith("_")
    path = mutation.path.relative_to(PACKAGE).as_posix()
    return (is_setting or is_public) and bool(DOCUMENTED.search(path))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.code_mutations", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="mutations, drawn at random (default: 200; 0 is all)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutations whose description holds this text")
    parser.add_argument("--documented", action="store_true", help="only the numbers that the docs name, all of them")
    parser.add_argument("--list", action="store_true", help="print the mutations and run nothing")
    parser.add_argument("--compare", metavar="WORD", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare is not None:
        sys.exit(0 if compare(options.compare) else _DIFFERENT)
    chosen = [mutation for mutation in mutations() if options.only in str(mutation)]
    if options.documented:
        chosen = [mutation for mutation in chosen if is_documented(mutation)]
    elif 0 < options.count < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.count)
    if options.list:
        print("\n".join(f"{mutation.kind}: {mutation}" for mutation in chosen))
        return
    start = time.monotonic()
    results = measure(chosen, options.workers)
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPU cores, {options.workers} workers.\n")
    print(report(results, options, time.monotonic() - start))


if __name__ == "__main__":
    main()
