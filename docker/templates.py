"""Fetch TemplateFlow files into TEMPLATEFLOW_HOME while the image is built.

    templates.py "MNI152NLin2009cAsym:resolution=2,desc=brain,suffix=mask ..."

Each word is a template and the entities of its files, as in desc=none for those without one;
`none` alone fetches nothing. Either way the
empty files that TemplateFlow's client expects are laid out, since nothing can write them later.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

Get = Callable[..., object]


def bake(words: str, get: Get) -> list[Path]:
    """Fetch the files of every word.

    Parameters
    ----------
    words : str
        As on the command line.
    get : callable
        `templateflow.api.get`: a template and its entities to one path or a list of paths.

    Raises
    ------
    SystemExit
        If a word cannot be read, or no file is what it says.
    """
    if words.strip() == "none":
        return []
    fetched: list[Path] = []
    for word in words.split():
        template, _, described = word.partition(":")
        found = get(template, **entities(word, described))
        paths = found if isinstance(found, list) else [found]
        if not paths:
            sys.exit(f"templates.py: TemplateFlow has no file {word!r}")
        fetched += paths
    return fetched


def entities(word: str, described: str) -> dict[str, str | int | None]:
    """Return what `key=value,key=value` says, as TemplateFlow wants it."""
    pairs = [pair.partition("=") for pair in described.split(",")]
    if not all(key and value for key, _, value in pairs):
        sys.exit(f"templates.py: {word!r} is not TEMPLATE:key=value,key=value")
    said = {key: int(value) if value.isdecimal() else value for key, _, value in pairs}
    return {key: None if value == "none" else value for key, value in said.items()}


if __name__ == "__main__":
    from templateflow import api

    for path in bake(sys.argv[1], api.get):
        print(path)
