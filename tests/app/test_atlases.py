"""What `--atlas` names: an atlas of TemplateFlow that was not fetched is no wrong path."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsmask.app.atlases import atlas_requests
from bidsmask.errors import MissingInput

STEM = "tpl-MNI152NLin2009cAsym_res-02_atlas-Schaefer2018_desc-400Parcels7Networks_dseg"
FETCH = (
    "python -c \"from templateflow import api; api.get('MNI152NLin2009cAsym', resolution=2, "
    "atlas='Schaefer2018', desc='400Parcels7Networks', suffix='dseg')\""
)


@pytest.mark.parametrize("is_stub", [True, False])
def test_an_atlas_that_was_not_fetched_is_named_with_the_command_that_fetches_it(
    tmp_path: Path, is_stub: bool
) -> None:
    path = tmp_path / f"{STEM}.nii.gz"
    if is_stub:
        path.touch()
    with pytest.raises(MissingInput) as caught:
        atlas_requests((str(path),))
    assert str(path) == caught.value.where
    assert FETCH in caught.value.advice


def test_a_table_that_was_not_fetched_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / f"{STEM}.nii.gz"
    path.write_bytes(b"x")
    table = tmp_path / f"{STEM.replace('_res-02', '')}.tsv"
    table.touch()
    with pytest.raises(MissingInput) as caught:
        atlas_requests((str(path),))
    assert str(table) == caught.value.where
    assert FETCH.replace("resolution=2, ", "") in caught.value.advice


def test_of_another_atlas_the_path_may_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="Is its path right"):
        atlas_requests((str(tmp_path / "atlas.nii.gz"),))
