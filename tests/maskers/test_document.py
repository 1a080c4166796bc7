"""docs/maskers.md: its code runs, and the tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np

from tests.make_maskers import confounds, series

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/maskers.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch):
    nibabel.save(series(), tmp_path / "bold.nii.gz")
    np.savetxt(tmp_path / "confounds.csv", confounds(), delimiter=",", header="a,b,c", comments="")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    signals, image = names["signals"], names["image"]
    assert isinstance(signals, np.ndarray)
    assert signals.shape[0] == 60
    assert isinstance(image, nibabel.Nifti1Image)
    assert image.shape[3] == 60


def test_the_tests_that_show_the_exceptions_are_there():
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = re.findall(r"`(test_\w+)`", TEXT)
    assert len(named) > 8
    assert [one for one in named if f"def {one}(" not in tests] == []
