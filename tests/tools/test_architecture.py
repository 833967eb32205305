"""The layout in docs/architecture.md is that of the modules."""

import re

import pytest

from tools import architecture


def test_every_module_is_named_once_in_its_folder():
    source = architecture.ROOT / "src" / "trl_weighted_dpo"
    named, folders = [], []
    for line in architecture.layout(source).splitlines()[1:]:
        branch, name = re.match(r"([│├└─ ]*)(\S+)", line).groups()
        folders[len(branch) // 4 - 1 :] = [name.rstrip("/")]
        named.append("/".join(folders))
    there = [path.relative_to(source) for path in source.rglob("*.py")]
    modules = {path.parent if path.name == "__init__.py" else path for path in there}
    assert sorted(named) == sorted(path.as_posix() for path in modules if path.name)
    assert len(named) > 150


def test_a_tree(tmp_path):
    files = {
        "p/__init__.py": '"""The whole.\n\nMore."""', "p/b.py": '"""B makes [`~p.x.Thing`]s."""',
        "p/a/__init__.py": '"""A part."""', "p/a/c.py": '"""See [`C`]."""', "p/a/data.json": "{}",
    }  # fmt: skip
    for name, content in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert architecture.layout(tmp_path / "src" / "p") == (
        "src/p/        The whole\n├── b.py      B makes `Thing`s\n└── a/        A part\n    └── c.py  See `C`"
    )


@pytest.mark.parametrize("docstring", ["", '"""No period"""', '"""Two lines that\nbelong together."""'])
def test_a_module_without_a_whole_first_line_is_an_error(tmp_path, docstring):
    (tmp_path / "m.py").write_text(docstring)
    with pytest.raises(ValueError, match=r"m\.py: the first docstring line is .* Write one sentence with a period"):
        architecture.summary(tmp_path / "m.py")
