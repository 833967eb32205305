"""Checks of a command's input and output files, before any work is done."""

import tempfile
from collections.abc import Iterable
from pathlib import Path


def check_paths(inputs: Iterable[Path], output: Path | None = None, sources: Iterable[str | Path] = ()) -> None:
    """Check the files that a command reads, and the one that it writes with `.journal` and `.partial` beside it.

    Args:
        inputs (`Iterable[Path]`): Files.
        output (`Path`, *optional*): A file.
        sources (`Iterable[str | Path]`, *optional*): Files, folders or names on the hub.

    Raises:
        `ValueError`: If an input is missing or no file, a source is a path where nothing is, or the output is one of
            the inputs or cannot be written.
    """
    from trl_weighted_dpo.core.sources import check_source

    inputs = list(inputs)
    for source in sources:
        check_source(source)
        if Path(source).exists() and not Path(source).is_dir():
            inputs.append(Path(source))
    for path in inputs:
        if path.is_dir():
            raise ValueError(f"{path}: this is a directory. Name a file in it.")
        if not path.exists():
            raise ValueError(f"{path}: there is no such file. Is the path right, as seen from {Path.cwd()}?")
        if output is not None and not path.is_file():
            raise ValueError(
                f"{path}: this is a pipe or device, but it is read more than once. Write it to a file first."
            )
    if output is None:
        return
    if not output.name or output.is_dir():
        raise ValueError(f"{output}: this is a directory. Name a file in it as output, such as {output / 'out.jsonl'}.")
    if output.exists() and not output.is_file():
        raise ValueError(f"{output}: this is a device and no file. Name a file as output.")
    for written in (output, *(output.with_name(output.name + end) for end in (".journal", ".partial"))):
        for path in inputs:
            if written.exists() and written.samefile(path):
                raise ValueError(
                    f"{output}: writing there would replace the input {path}. Name another file as output."
                )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise ValueError(
            f"{output}: nothing can be written there ({error.strerror}). Name a file in a folder that you may write to."
        ) from error
