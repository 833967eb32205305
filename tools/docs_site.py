"""MkDocs hook: repository files that pages link to, such as recipes, become part of the site.

Pages link to them by their place in the repository (`../recipes/run.yaml`), which also works on GitHub.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
FOLDER = "repository"
_OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)")
_DOCS = re.compile(r"\]\(((?:\.\./)*)docs/")


def on_files(files: Any, config: Any) -> Any:
    """Adds every linked file, or raises `FileNotFoundError` if a page links to one that is not there."""
    pages = [page.content_string for page in files.documentation_pages()]
    for name in sorted({name for page in pages for name in _OUTSIDE.findall(page)}):
        if not (ROOT / name).is_file():
            raise FileNotFoundError(f"docs: a page links to ../{name}, which is not in the repository.")
        files.append(File.generated(config, f"{FOLDER}/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links at the copies on the site, and those of copied pages at the pages of the site."""
    if page.file.src_uri.startswith(FOLDER):
        return _DOCS.sub(r"](\1../", markdown)
    return _OUTSIDE.sub(rf"]({FOLDER}/\1", markdown)
