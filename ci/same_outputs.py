"""Compare two outputs of bidsmask byte by byte, one of them made in a container.

    same_outputs.py OUTSIDE INSIDE TYPE TAG

Two things may differ, and no third: `logs/`, which holds times; and in
dataset_description.json the Container, which must be there inside, as TYPE and TAG say, and
nowhere else. Prints what differs and ends with 1, or ends with 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DESCRIPTION = "dataset_description.json"


def products(output: Path) -> dict[str, bytes]:
    """Return the content of every file but those of logs/, by its path in the output."""
    files = (path for path in output.rglob("*") if path.is_file())
    named = {path.relative_to(output).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if name[:5] != "logs/"}


def without_container(description: bytes) -> tuple[str, Any]:
    """Return a description as text without its Container, and the Container; None without."""
    content = json.loads(description)
    container = content["GeneratedBy"][0].pop("Container", None)
    return json.dumps(content, indent=2), container


def differences(outside: Path, inside: Path, container: dict[str, str]) -> list[str]:
    """Return one sentence for each difference."""
    one, other = products(outside), products(inside)
    if DESCRIPTION not in one or DESCRIPTION not in other:
        return [f"{DESCRIPTION} is missing"]
    text, none = without_container(one.pop(DESCRIPTION))
    text_inside, found = without_container(other.pop(DESCRIPTION))
    said = [f"{name} is only in one of them" for name in sorted(one.keys() ^ other.keys())]
    said += [
        f"{name} differs" for name in sorted(one.keys() & other.keys()) if one[name] != other[name]
    ]
    if text != text_inside:
        said.append(f"{DESCRIPTION} differs in more than the Container")
    if none is not None:
        said.append(f"the Container outside is {none}")
    if found != container:
        said.append(f"the Container inside is {found}, not {container}")
    if not any(name.startswith("sub-") for name in one):
        said.append("there is no participant in them")
    return said


if __name__ == "__main__":
    outside, inside, kind, tag = sys.argv[1:]
    said = differences(Path(outside), Path(inside), {"Type": kind, "Tag": tag})
    sys.exit("\n".join(said) or 0)
