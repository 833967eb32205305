"""Untrusted text, made safe to print."""

import unicodedata


def visible(text: str) -> str:
    """Returns `text` with what could act on a terminal, hide or reorder (control and format characters, broken
    surrogates) as escapes. Line breaks stay, other spaces become plain ones."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def one_line(text: str) -> str:
    """Returns `text` as [`visible`] gives it, with single spaces for line breaks and runs of spaces."""
    return " ".join(visible(text).split())


def _escaped(character: str) -> str:
    if character == "\n":
        return character
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
