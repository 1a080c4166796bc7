"""Folders of BIDS names: small ones written here, real ones from the shared manifests."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

MANIFESTS = Path(__file__).parents[1].parent / "shared/data/bids_trees"

RAW: Mapping[str, Any] = {"Name": "A study", "BIDSVersion": "1.8.0", "DatasetType": "raw"}
DERIVATIVE: Mapping[str, Any] = {
    "Name": "fMRIPrep outputs",
    "BIDSVersion": "1.8.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.1.4"}],
}


def write_tree(root: Path, files: Mapping[str, Any] | Iterable[str]) -> Path:
    """Write files below `root` and return it.

    Contents that are no strings are written as JSON; a name alone gives an empty file, or `{}`
    where it ends with `.json`.
    """
    contents = files if isinstance(files, Mapping) else dict.fromkeys(files)
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            content = {} if name.endswith(".json") else ""
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def preprocessed(stem: str, *spaces: str, extension: str = ".nii.gz") -> list[str]:
    """Return the names that fMRIPrep gives to one run: `stem` is `sub-01/func/sub-01_task-a`."""
    names = [f"{stem}_desc-confounds_timeseries.tsv", f"{stem}_desc-confounds_timeseries.json"]
    for space in spaces or ("_space-MNI152NLin2009cAsym",):
        names += [
            f"{stem}{space}_desc-preproc_bold{extension}",
            f"{stem}{space}_desc-preproc_bold.json",
            f"{stem}{space}_desc-brain_mask{extension}",
            f"{stem}{space}_boldref{extension}",
        ]
    return names


def manifest_names() -> list[str]:
    """Return the names of all shared manifests; none where they are absent."""
    return sorted(path.stem for path in MANIFESTS.glob("*.json"))


@cache
def lay_out() -> ModuleType:
    """Return the program that writes the shared manifests."""
    spec = importlib.util.spec_from_file_location("lay_out", MANIFESTS / "lay_out.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
