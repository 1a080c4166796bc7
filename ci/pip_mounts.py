"""Hand the machine's way to its package index into the build of an image, and nothing else.

    pip_mounts.py FOLDER

Writes pip's settings about where packages come from as FOLDER/pip.conf, and prints options for
`buildah build`, one word a line, that mount it with every file or folder that it names. A
Dockerfile that runs nothing in its last stage keeps no trace of them.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

SETTINGS = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert", "proxy")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def settings(lines: Iterable[str], environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the words of each setting that counts, from the lines of `pip config list`.

    The environment's win over those of files. A bundle of certificates that only the
    environment names is pip's too.
    """
    found: dict[str, list[str]] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in SETTINGS:
            found[key] = ast.literal_eval(value).split()
    bundle = next(filter(None, map(environment.get, BUNDLES)), None)
    if bundle:
        found.setdefault("cert", [bundle])
    return found


def paths(found: Mapping[str, list[str]]) -> set[Path]:
    """Return the files and folders of this machine that the settings name."""
    named = set()
    for key, words in found.items():
        for path in (Path(word.removeprefix("file://")) for word in words):
            if path.is_absolute() and path.exists():
                # The pages of an index link to files beside it.
                named.add(path.parent if key.endswith("index-url") else path)
    return named


def configuration(found: Mapping[str, list[str]]) -> str:
    """Return the text of a pip.conf."""
    # A value of one word must not begin with a line break, which would belong to it.
    lines = [f"{key} = " + "\n    ".join(words) + "\n" for key, words in found.items()]
    return "[global]\n" + "".join(lines)


def main(folder: Path) -> None:
    """Write pip.conf and print the options."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found = settings(done.stdout.splitlines(), os.environ)
    (folder / "pip.conf").write_text(configuration(found))
    mounts = {f"{folder / 'pip.conf'}:/etc/pip.conf:ro", *(f"{p}:{p}:ro" for p in paths(found))}
    for mount in sorted(mounts):
        print("--volume", mount, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
