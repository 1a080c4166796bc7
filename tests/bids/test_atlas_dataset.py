"""BIDS-Atlas datasets: which image and table, for which space."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsmask.bids.atlas_dataset import atlas_images, in_space, table_in
from bidsmask.bids.entities import Entities
from bidsmask.bids.templates import Template
from bidsmask.errors import GridMismatch, UnusableImage
from tests.make_trees import write_tree

RUN = Path("sub-01_space-A_bold.nii.gz")
ANY = Entities()


def atlas(root: Path, *names: str) -> Path:
    """Write a BIDS-Atlas dataset of empty files."""
    return write_tree(root, ["dataset_description.json", *names])


def paths_in(folder: Path, space: str, wanted: Entities = ANY) -> list[str]:
    """Return the names of the images that a run in a space may take."""
    images = atlas_images(folder, wanted, "labels")
    template = Template.of(Entities.parse(f"space-{space}_bold" if space else "bold"))
    return [path.name for path in in_space(images, template, folder, RUN)]


def test_images_are_those_of_the_space_of_the_run_by_tpl_or_space(tmp_path):
    names = ["tpl-A_atlas-X_dseg.nii.gz", "atlas-X_space-B_res-1_dseg.nii", "atlas-X_dseg.json"]
    folder = atlas(tmp_path, *names, "tpl-A/tpl-A_atlas-X_res-2_dseg.nii.gz", "tpl-A_T1w.nii.gz")
    assert paths_in(folder, "A") == ["tpl-A_atlas-X_dseg.nii.gz", "tpl-A_atlas-X_res-2_dseg.nii.gz"]
    assert paths_in(folder, "B") == ["atlas-X_space-B_res-1_dseg.nii"]
    with pytest.raises(GridMismatch, match=r"has atlas-X in A, B, but .* is in C"):
        paths_in(folder, "C")
    with pytest.raises(GridMismatch, match="is in its own space"):
        paths_in(folder, "")


def test_an_image_that_says_no_space_is_taken_where_none_says_the_runs(tmp_path):
    folder = atlas(tmp_path, "atlas-X_dseg.nii.gz", "tpl-A_atlas-X_dseg.nii.gz")
    assert paths_in(folder, "A") == ["tpl-A_atlas-X_dseg.nii.gz"]
    assert paths_in(folder, "B") == ["atlas-X_dseg.nii.gz"]


@pytest.mark.parametrize("space", ["I_cohort-2", "I+2", "I_cohort-02"])
def test_a_cohort_is_a_space_of_its_own(tmp_path, space):
    names = [f"tpl-I/cohort-{n}/tpl-I_cohort-{n}_atlas-X_dseg.nii.gz" for n in (1, 2)]
    assert paths_in(atlas(tmp_path, *names), space) == ["tpl-I_cohort-2_atlas-X_dseg.nii.gz"]


def test_of_several_atlases_the_one_that_is_named_to_the_letter_is_taken(tmp_path):
    folder = atlas(tmp_path, "tpl-A_atlas-X_dseg.nii.gz", "tpl-A_atlas-X_desc-b_dseg.nii.gz")
    assert paths_in(folder, "A", Entities((("atlas", "X"),))) == ["tpl-A_atlas-X_dseg.nii.gz"]
    assert paths_in(folder, "A", Entities((("desc", "b"),))) == ["tpl-A_atlas-X_desc-b_dseg.nii.gz"]
    with pytest.raises(UnusableImage, match="several atlases: atlas-X, atlas-X_desc-b"):
        paths_in(folder, "A")


def test_the_table_is_beside_the_image_or_the_one_that_shares_most(tmp_path):
    image = tmp_path / "tpl-A/anat/tpl-A_atlas-X_res-2_desc-b_dseg.nii.gz"
    atlas(tmp_path, str(image.relative_to(tmp_path)), "atlas-Y_dseg.tsv", "atlas-X_desc-c_dseg.tsv")
    assert table_in(tmp_path, image) is None
    for name in (
        "atlas-X/atlas-X_dseg.tsv",
        "atlas-X_desc-b_dseg.tsv",
        "tpl-A/anat/tpl-A_atlas-X_res-2_desc-b_dseg.tsv",
    ):
        write_tree(tmp_path, [name])
        assert table_in(tmp_path, image) == tmp_path / name


def test_links_to_folders_and_what_is_hidden_are_left_alone(tmp_path):
    folder = atlas(tmp_path / "atlas", ".git/tpl-A_atlas-X_dseg.nii.gz")
    (folder / "loop").symlink_to(folder)
    with pytest.raises(UnusableImage, match="has no dseg image"):
        paths_in(folder, "A")
