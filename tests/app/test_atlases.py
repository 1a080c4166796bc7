"""What `--atlas` names, and the atlases that people have: each is read, or refused for a reason."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from bidsmask.app.atlases import atlas_requests, choice_of_path
from bidsmask.bids.atlases import read_names_of, region_columns
from bidsmask.errors import MissingInput, UnusableTable
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import read_volume
from bidsmask.masks.mask import Mask
from bidsmask.signals.atlas import read_atlas
from bidsmask.signals.maps import read_maps
from tests.make_images import SHARED

ATLASES = SHARED / "atlases"
TEMPLATE = SHARED / "templateflow/tpl-MNI152NLin2009cAsym"
needs_shared = pytest.mark.skipif(not ATLASES.exists(), reason="needs the atlases beside the code")

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
    fetch = FETCH.replace("resolution=2, ", "").replace("'dseg'", "'dseg', extension='.tsv'")
    assert fetch in caught.value.advice


def test_of_another_atlas_the_path_may_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="Is its path right"):
        atlas_requests((str(tmp_path / "atlas.nii.gz"),))


# Atlases as they are found: image, table (what is found beside it where none is named), number of
# labels, first column, labels without a name, and why the table is refused.
FOUND = {
    "aal": ("aal/aal", "", 116, "Precentral_L", 0, ""),
    "aal2": ("aal/AAL2_Atlas_Map", "aal/AAL2_Atlas_Labels.csv", 120, "Precentral_L", 0, ""),
    "aicha": ("aicha/AICHAmc", "", 192, "G_Frontal_Sup-1", 0, ""),
    "brodmann": ("brodmann/brodmann", "", 41, "label-1", 41, ""),
    "brodmann-json": ("brodmann/brodmann_grid", "brodmann/brodmann.json", 41, "", 0, "no index"),
    "brodmann-lut": ("brodmann/brodmann", "brodmann/brodmann.nii.lut", 41, "", 0, "binary"),
    "desikan": ("desikan-killiany/atlas-desikankilliany", "", 83, "bankssts_L", 0, ""),
    "native": (
        "native-desikan/9861_atlas-desikankilliany",
        "desikan-killiany/atlas-desikankilliany.csv",
        82,
        "bankssts_L",
        0,
        "",
    ),
    "dosenbach": (
        "dosenbach160/Dosenbach_Science_160ROIs_Radius5_Mask",
        "dosenbach160/dosenbach_2010.csv",
        160,
        "vmPFC_1",
        0,
        "",
    ),
    "glasser": ("glasser/glasser360MNI", "", 360, "label-1", 360, ""),
    "glasser-names": (
        "glasser/glasser360MNI", "glasser/glasser360NodeNames.txt", 360, "", 0, "cat -n"
    ),
    "harvardoxford": ("harvardoxford/HarvardOxfordMNI", "", 118, "label-10", 118, ""),
    "harvardoxford-names": (
        "harvardoxford/HarvardOxfordMNI", "harvardoxford/HarvardOxfordNodeNames.txt", 118, "", 0,
        "no index",
    ),
    "harvardoxford-fsl": (
        "harvardoxford/HarvardOxford-cort-maxprob-thr25-2mm", "", 48, "label-1", 48, ""
    ),
    "power": ("power264/power264MNI", "", 264, "label-1", 264, ""),
    "power-spheres": (
        "power264/Power_Neuron_264ROIs_Radius5_Mask", "power264/power_2011.csv", 264, "", 0,
        "no column for the name",
    ),
    "schaefer": (
        "schaefer-fsl/Schaefer2018_400Parcels_17Networks_order_FSLMNI152_2.5mm", "", 400,
        "label-1", 400, "",
    ),
    "tian": ("tian/Tian_Subcortex_S2_3T_2009cAsym", "", 32, "label-1", 32, ""),
    "tian-names": (
        "tian/Tian_Subcortex_S2_3T_2009cAsym", "tian/Tian_Subcortex_S2_3T_label.txt", 32, "", 0,
        "cat -n",
    ),
    "yeo": (
        "yeo7/Yeo2011_7Networks_MNI152_FreeSurferConformed1mm_LiberalMask",
        "yeo7/Yeo2011_7Networks_ColorLUT.txt", 7, "7Networks_1", 0, "",
    ),
}  # fmt: skip


@needs_shared
def test_every_image_that_people_have_is_among_them() -> None:
    maps = "probabilistic/MNI_JHU_tracts_prob"
    there = {str(p.relative_to(ATLASES))[:-7] for p in ATLASES.rglob("*.nii.gz")} - {maps}
    assert there == {image for image, *_ in FOUND.values()}


@needs_shared
@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_a_real_atlas_is_read_or_its_table_refused_for_what_it_lacks(
    found: tuple[str, str, int, str, int, str],
) -> None:
    image, table, n_labels, first, n_unnamed, reason = found
    word = f"{ATLASES / image}.nii.gz" + (f"={ATLASES / table}" if table else "")
    choice = choice_of_path(word, "labels")
    if reason:
        assert choice.table is not None
        with pytest.raises(UnusableTable, match=reason):
            read_names_of(choice.image, choice.table)
        return
    atlas = read_atlas(choice.image)
    there = nibabel.load(choice.image)
    expected = np.unique(np.asarray(there.dataobj))
    np.testing.assert_array_equal(atlas.values, expected[expected != 0])
    assert len(atlas.values) == n_labels
    np.testing.assert_allclose(atlas.grid.affine, there.affine)
    names = read_names_of(choice.image, choice.table)[0] if choice.table else {}
    columns = region_columns(atlas.values.tolist(), names)
    assert (columns.names[0], len(columns.missing)) == (first, n_unnamed)
    assert len(set(columns.names)) == n_labels
    assert not columns.is_shifted


@needs_shared
@pytest.mark.parametrize("image", sorted({image for image, *_ in FOUND.values()}))
def test_a_real_atlas_comes_to_a_runs_grid_by_the_nearest_voxel(image: str) -> None:
    """At voxels of the run, the label is that of the voxel of the atlas which holds its centre."""
    atlas = read_atlas(ATLASES / f"{image}.nii.gz")
    grid = Grid(
        (40, 48, 40),
        np.array([[-4, 0, 0, 78.7], [0, 4, 0, -112], [0, 0, 4, -70.3], [0, 0, 0, 1.0]]),
    )
    moved = atlas.on(grid)
    ijk = np.random.default_rng(0).integers(0, grid.shape, (2000, 3))
    back = np.linalg.inv(nibabel.load(atlas.path).affine)
    exact = grid.to_mm(ijk) @ back[:3, :3].T + back[:3, 3]
    nearest = np.rint(exact).astype(int)
    # Halfway between two voxels a rounding error decides.
    is_clear = (np.abs(exact - np.floor(exact) - 0.5) > 1e-6).all(axis=1)
    is_seen = ((nearest >= 0) & (nearest < atlas.grid.shape)).all(axis=1)
    expected = np.zeros(len(ijk), int)
    expected[is_seen] = atlas.labels[tuple(nearest[is_seen].T)]
    assert is_clear.sum() > 1500
    np.testing.assert_array_equal(moved[tuple(ijk.T)][is_clear], expected[is_clear])
    assert len(np.unique(moved)) > 0.8 * len(atlas.values)


@needs_shared
def test_real_maps_in_percent_come_to_the_mask_of_a_template() -> None:
    image = open_image(TEMPLATE / "tpl-MNI152NLin2009cAsym_res-02_desc-brain_mask.nii.gz")
    mask = Mask(read_volume(image) > 0.5, image.grid, "file", {})
    maps = read_maps(ATLASES / "probabilistic/MNI_JHU_tracts_prob.nii.gz", mask)
    assert maps.weights.shape == (20, mask.n_voxels)
    assert maps.coverage.min() > 0.9
    assert 50 < maps.weights.max() <= 97
