"""Atlases of TemplateFlow: which files a name means, and which table names their regions."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsmask.bids.entities import Entities
from bidsmask.bids.template_atlases import find_template_atlas
from bidsmask.bids.templates import Template
from bidsmask.errors import GridMismatch, MissingCompanion, UnusableImage

ASYM = Template("MNI152NLin2009cAsym")
SIXTH = Template("MNI152NLin6Asym")


def put(home: Path, name: str, content: str = "x") -> Path:
    """Write a file where TemplateFlow has it."""
    path = home / name.split("_")[0] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def wanted(*pairs: str, suffix: str = "dseg") -> Entities:
    """Return what a word of the command line asks for."""
    return Entities(tuple(tuple(pair.split("-")) for pair in pairs), suffix)  # type: ignore[misc]


def test_of_images_that_a_name_fits_the_one_without_more_is_meant(tmp_path):
    stem = "tpl-SUIT_atlas-Buckner2011_seg-7n"
    image = put(tmp_path, f"{stem}_dseg.nii.gz")
    put(tmp_path, f"{stem}_stat-confidence_dseg.nii.gz")
    table = put(tmp_path, f"{stem}_dseg.tsv")
    found = find_template_atlas(
        tmp_path, Template("SUIT"), wanted("atlas-Buckner2011", "seg-7n"), ""
    )
    assert found == ([image], table)
    with pytest.raises(UnusableImage, match="is several in SUIT"):
        find_template_atlas(tmp_path, Template("SUIT"), wanted("atlas-Buckner2011"), "")


def test_what_was_not_fetched_is_named_also_where_it_lies_empty(tmp_path):
    stem = f"tpl-{ASYM}_res-02_atlas-Schaefer2018_desc-100Parcels7Networks_dseg"
    image = put(tmp_path, f"{stem}.nii.gz", "")
    table = put(tmp_path, f"{stem.replace('_res-02', '')}.tsv")
    schaefer = wanted("atlas-Schaefer2018", "desc-100Parcels7Networks")
    with pytest.raises(MissingCompanion) as told:
        find_template_atlas(tmp_path, ASYM, schaefer, "2")
    assert told.value.where == image.name
    assert "resolution=2, atlas='Schaefer2018'" in told.value.advice
    image.write_text("x")
    table.write_text("")
    with pytest.raises(MissingCompanion) as told:
        find_template_atlas(tmp_path, ASYM, schaefer, "2")
    assert told.value.where == table.name
    assert "extension='.tsv'" in told.value.advice


def test_a_table_of_the_template_itself_goes_before_one_of_another(tmp_path):
    image = put(tmp_path, f"tpl-{ASYM}_res-02_atlas-HOSPA_desc-th0_dseg.nii.gz")
    hospa = wanted("atlas-HOSPA", "desc-th0")
    theirs = put(tmp_path, f"tpl-{SIXTH}_atlas-HOSPA_dseg.tsv")
    assert find_template_atlas(tmp_path, ASYM, hospa, "") == ([image], theirs)
    less = put(tmp_path, f"tpl-{ASYM}_atlas-HOSPA_dseg.tsv")
    assert find_template_atlas(tmp_path, ASYM, hospa, "") == ([image], less)
    more = put(tmp_path, f"tpl-{ASYM}_atlas-HOSPA_desc-th0_dseg.tsv")
    assert find_template_atlas(tmp_path, ASYM, hospa, "") == ([image], more)
    put(tmp_path, f"tpl-{ASYM}_atlas-HOSPA_desc-th25_dseg.tsv")
    assert find_template_atlas(tmp_path, ASYM, hospa, "") == ([image], more)


def test_maps_take_the_table_of_their_labels(tmp_path):
    image = put(tmp_path, f"tpl-{SIXTH}_res-02_atlas-HOCPA_probseg.nii.gz")
    table = put(tmp_path, f"tpl-{SIXTH}_atlas-HOCPA_dseg.tsv")
    found = find_template_atlas(tmp_path, SIXTH, wanted("atlas-HOCPA", suffix="probseg"), "")
    assert found == ([image], table)


def test_an_atlas_of_ones_own_needs_no_table_and_is_not_in_other_templates(tmp_path):
    image = put(tmp_path, f"tpl-{ASYM}_atlas-Mine_dseg.nii")
    assert find_template_atlas(tmp_path, ASYM, wanted("atlas-Mine"), "2") == ([image], None)
    with pytest.raises(GridMismatch, match=f"is in TemplateFlow's {ASYM}, but not in {SIXTH}"):
        find_template_atlas(tmp_path, SIXTH, wanted("atlas-Mine"), "2")
