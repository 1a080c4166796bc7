"""Template masks have nilearn's voxels where they are given nilearn's template."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel
import nilearn
import numpy as np
import pytest
from nilearn.masking import compute_brain_mask
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from bidsmask.images.grid import Grid
from bidsmask.masks.template import load_template_mask, read_template, template_mask
from tests.make_images import AFFINE, SHARED, write_image

PEERS = Path(nilearn.__file__).parent / "datasets/data"
MAPS = {"whole-brain": "t1", "gm": "gm", "wm": "wm"}
ROTATION = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]])


def affine_of(matrix: NDArray[Any], *offset: float) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, offset
    return affine


GRIDS = {
    "2009cAsym res-02": Grid((97, 115, 97), affine_of(np.diag([2, 2, 2]), -96.5, -132.5, -78.5)),
    "6Asym 3 mm": Grid((61, 73, 61), affine_of(np.diag([3, 3, 3]), -90, -126, -72)),
    "LAS 4 mm": Grid((46, 55, 46), affine_of(np.diag([-4, 4, 4]), 90, -126, -72)),
    "oblique": Grid((50, 60, 40), affine_of(ROTATION * 3.5, -80, -110, -60)),
    "permuted": Grid((40, 50, 45), affine_of(np.eye(3)[[2, 0, 1]] * 4, -90, -120, -70)),
    "cut": Grid((40, 40, 20), affine_of(np.diag([2, 2, 2]), -40, -60, 0)),
}


def template(mask_type: str) -> Path:
    return PEERS / f"mni_icbm152_{MAPS[mask_type]}_tal_nlin_sym_09a_converted.nii.gz"


def theirs(grid: Grid, mask_type: str, **options: Any) -> NDArray[np.bool_]:
    target = nibabel.Nifti1Image(np.zeros(grid.shape, np.uint8), grid.affine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mask = compute_brain_mask(target, mask_type=mask_type, **options)
    return np.asarray(mask.dataobj).astype(bool)


@pytest.mark.parametrize(("name", "mask_type"), list(zip(GRIDS, [*MAPS, *MAPS], strict=True)))
def test_every_grid_and_map_gives_nilearns_voxels(name: str, mask_type: str) -> None:
    values, source = read_template(template(mask_type))
    for options in (
        {"threshold": 0.5, "connected": True, "opening": 2},
        {"threshold": 0.2, "connected": False, "opening": 0},
    ):
        ours = template_mask(values, source, GRIDS[name], **options)
        np.testing.assert_array_equal(ours, theirs(GRIDS[name], mask_type, **options))


@pytest.mark.parametrize("level", [1, 26, 51, 128, 200])
def test_values_that_are_the_threshold_itself_are_inside_as_in_nilearn(level: int) -> None:
    values, source = read_template(template("whole-brain"))
    grid = GRIDS["6Asym 3 mm"]  # its voxel centres are voxel centres of the template
    options = {"threshold": level / 255, "connected": False, "opening": 0}
    ours = template_mask(values, source, grid, **options)
    np.testing.assert_array_equal(ours, theirs(grid, "whole-brain", **options))


def test_the_templates_own_grid_gives_nilearns_voxels() -> None:
    values, source = read_template(template("gm"))
    ours = template_mask(values, source, source, opening=2)
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs(source, "gm"))


def test_two_openings_destroy_most_of_the_grey_matter() -> None:
    values, source = read_template(template("gm"))
    grid = GRIDS["2009cAsym res-02"]
    plain, opened = (template_mask(values, source, grid, opening=n).sum() for n in (0, 2))
    assert 1000 < plain * grid.voxel_volume_mm3 / 1000 < 1200  # ml, as in an adult
    assert opened < plain / 2


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
def test_a_brain_mask_on_the_runs_own_grid_comes_back_as_it_is() -> None:
    name = "tpl-MNI152NLin2009cAsym/tpl-MNI152NLin2009cAsym_res-02_desc-brain_mask.nii.gz"
    values, grid = read_template(SHARED / "templateflow" / name)
    assert set(np.unique(values)) == {0, 1}
    np.testing.assert_array_equal(template_mask(values, grid, grid), values > 0)


@pytest.mark.parametrize("value", [0, -1, np.nan])
def test_a_template_of_nothing_is_refused(tmp_path: Path, value: float) -> None:
    path = write_image(tmp_path / "map.nii.gz", np.full((4, 5, 6), value, np.float32))
    with pytest.raises(UnusableImage, match=r"map\.nii\.gz is no template"):
        read_template(path)


def test_an_image_elsewhere_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "map.nii.gz", np.ones((4, 5, 6), np.uint8))
    grid = Grid((4, 5, 6), affine_of(np.eye(3), 500, 500, 500))
    arguments = {"threshold": 0.5, "connected": True, "opening": 0}
    with pytest.raises(UnusableMask, match=r"no voxel at 0\.5 or above in the field of view"):
        load_template_mask(path, grid, "gm-template", arguments)


def test_a_negative_opening_is_refused() -> None:
    grid = Grid((4, 5, 6), AFFINE)
    with pytest.raises(UsageError, match="cannot open -1 times"):
        template_mask(np.ones(grid.shape, np.float32), grid, grid, opening=-1)
