"""The mask doctor's numbers against their formulas and other programs', and its flags on
simulated heads."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import euler_number

from bidsmask.errors import GridMismatch, UnusableImage
from bidsmask.images.grid import Grid
from bidsmask.masks import shape
from bidsmask.masks.distance import agreement
from bidsmask.masks.doctor import Examination, examine
from bidsmask.masks.flags import THRESHOLDS, Bounds, find_flags
from bidsmask.masks.geometry import empty_slices, forms_apart_mm
from bidsmask.masks.lumps import tunnels_ml
from bidsmask.masks.mask import Mask
from bidsmask.masks.upright import Upright
from tests.make_heads import head_grid, head_image, true_brain
from tests.make_masks import FAULTS

# The simulated brain is an ellipsoid, and looks the same from all sides.
TURNS = {"upside-down", "back-to-front"}
# Its white matter is as much brighter than the grey as a brain than what is around it.
# It is about as wide as high.
UNLIKE_HEADS = {("brain-left-out", "T1w"), "rolled by +20 degrees"}


def on(voxels: np.ndarray, affine: np.ndarray | None = None) -> Mask:
    return Mask(voxels, Grid(voxels.shape, np.eye(4) if affine is None else affine), "file")


def brain() -> Mask:
    return Mask(true_brain(), head_grid(), "file")


def codes(exam: Examination, **options: object) -> set[str]:
    return {flag.code for flag in find_flags(exam, **options)}


# Shape


def test_parts_and_holes_are_counted_by_their_neighbours():
    voxels = np.zeros((12, 12, 12), bool)
    voxels[1:8, 1:8, 1:8] = True
    voxels[8, 8, 8] = True  # over a corner: the same part
    voxels[11, 11, 11] = True
    voxels[3:5, 3:5, 3:5] = False
    voxels[0, 4, 4] = True
    mask = on(voxels, np.diag([10.0, 10, 10, 1]))
    assert shape.part_volumes_ml(mask) == pytest.approx([337, 1])
    assert shape.hole_volumes_ml(mask) == pytest.approx([8])


def test_a_cavity_that_is_open_to_the_field_of_view_is_no_hole():
    voxels = np.ones((6, 6, 6), bool)
    voxels[2:4, 2:4, :4] = False
    assert shape.hole_volumes_ml(on(voxels)) == []


@pytest.mark.parametrize("seed", range(4))
def test_the_euler_number_is_that_of_scikit_image(seed):
    voxels = np.random.default_rng(seed).random((9, 8, 7)) < (0.1, 0.3, 0.6, 0.9)[seed]
    assert shape.euler_number(on(voxels)) == euler_number(voxels, connectivity=3)


def test_sides_are_named_by_the_affine_and_weighed_by_their_areas():
    voxels = np.zeros((5, 6, 7), bool)
    voxels[2:, 2:4, 2:4] = True  # 3 x 2 x 2 voxels against the end of i
    posterior_first = np.array([[0, 2.0, 0, 0], [-1, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]])
    area = {"i": 2 * 4, "j": 1 * 4, "k": 1 * 2}
    total = 2 * (4 * area["i"] + 6 * area["j"] + 6 * area["k"])
    shares = shape.side_shares(on(voxels, posterior_first))
    assert shares == pytest.approx(
        {"L": 0, "R": 0, "A": 0, "P": 4 * area["i"] / total, "I": 0, "S": 0}
    )


@pytest.mark.parametrize("degrees", [0, 9, -20])
def test_a_symmetric_mask_is_symmetric_however_it_is_tilted(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    mask = on(true_brain(), turn @ head_grid().affine)
    assert shape.asymmetry(Upright.of(mask, true_brain())) < 0.04


def ball(radius_mm: float) -> np.ndarray:
    """Return a ball within an image of 3 mm voxels."""
    places = 3.0 * (np.indices((60, 60, 60)) - 29.5)
    return (places**2).sum(axis=0) <= radius_mm**2


def upright(voxels: np.ndarray) -> Upright:
    return Upright.of(on(voxels, np.diag([3.0, 3, 3, 1])), np.ones(voxels.shape))


def test_a_ball_is_round_and_an_ellipsoid_as_long_as_its_axes_say():
    radii, power = np.array([60.0, 80, 50]), 1.6075
    places = 3.0 * (np.indices((60, 60, 60)) - 29.5) / radii[:, None, None, None]
    ellipsoid = upright((places**2).sum(axis=0) <= 1)
    # Knud Thomsen's surface of an ellipsoid, within 1.1 %.
    pairs = np.array([radii[0] * radii[1], radii[0] * radii[2], radii[1] * radii[2]]) ** power
    surface, volume = 4 * np.pi * pairs.mean() ** (1 / power), 4 / 3 * np.pi * radii.prod()
    expected = 36 * np.pi * volume**2 / surface**3
    assert shape.sphericity(ellipsoid) == pytest.approx(expected, abs=0.04)
    assert shape.elongation(ellipsoid) == pytest.approx(80 / 50, rel=0.01)
    assert shape.sphericity(upright(ball(70))) == pytest.approx(1, abs=0.02)
    assert shape.elongation(upright(ball(70))) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_flat_share_of_half_a_ball_is_that_of_its_disc(axis):
    half = ball(70) & (np.indices((60, 60, 60))[axis] < 30)
    image = upright(half)
    share, facing = shape.flat_share(image.surface(), image)
    # pi r^2 of 3 pi r^2, without the rim, where a lattice has no plane.
    assert 0.22 < share < 1 / 3
    assert shape.side_of(facing) == "RAS"[axis]


def test_a_ball_is_nowhere_flat():
    image = upright(ball(70))
    assert shape.flat_share(image.surface(), image)[0] < 0.032


def test_a_tunnel_counts_where_the_image_is_as_bright_as_inside():
    voxels, across = ball(70), np.indices((60, 60, 60))[:2] - 29.5
    tunnel = ((across * 3) ** 2).sum(axis=0) <= 100
    tunnel &= voxels & (np.indices(voxels.shape)[2] < 30)
    mask = on(voxels & ~tunnel, np.diag([3.0, 3, 3, 1]))
    bright, dark = np.ones(voxels.shape), np.where(tunnel, 0.2, 1)
    volume_ml = tunnel.sum() * 0.027
    assert tunnels_ml(Upright.of(mask, bright)) == pytest.approx(volume_ml, rel=0.2)
    assert tunnels_ml(Upright.of(mask, dark)) == 0
    assert tunnels_ml(upright(voxels)) == 0


# Agreement


def test_agreement_of_two_boxes_is_that_of_the_formulas():
    one, other = np.zeros((2, 30, 30, 30), bool)
    one[5:20, 5:20, 5:20] = True
    other[9:24, 5:20, 5:20] = True
    found = agreement(on(one, np.diag([2.0, 1, 1, 1])), on(other, np.diag([2.0, 1, 1, 1])))
    assert (found.dice, found.jaccard) == (pytest.approx(11 / 15), pytest.approx(11 / 19))
    assert found.hausdorff95_mm == 8.0


def test_the_hausdorff_distance_is_that_of_distance_transforms():
    rng = np.random.default_rng(0)
    one, other = (ndimage.gaussian_filter(rng.random((20, 22, 24)), 3) > 0.5 for _ in range(2))
    sizes = (1.0, 2.0, 1.5)
    rims = [voxels & ~ndimage.binary_erosion(voxels) for voxels in (one, other)]
    away = [ndimage.distance_transform_edt(~rim, sampling=sizes) for rim in rims]
    expected = max(np.percentile(away[0][rims[1]], 95), np.percentile(away[1][rims[0]], 95))
    found = agreement(on(one, np.diag([*sizes, 1])), on(other, np.diag([*sizes, 1])))
    assert found.hausdorff95_mm == pytest.approx(expected)


def test_masks_on_two_grids_are_not_compared():
    with pytest.raises(GridMismatch, match="shape"):
        examine(brain(), head_image("EPI"), others={"derivative": on(np.ones((3, 3, 3), bool))})


# Geometry


def test_forms_that_place_a_voxel_elsewhere_are_measured_in_mm(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((11, 5, 5), np.float32), np.eye(4))
    image.set_sform(np.eye(4), 1)
    path = tmp_path / "a.nii"
    image.set_qform(None, 0)
    image.to_filename(path)
    assert forms_apart_mm(path) is None
    turned = np.diag([-1.0, -1, 1, 1])
    image.set_qform(turned, 1)
    image.to_filename(path)
    assert forms_apart_mm(path) == pytest.approx(2 * np.hypot(10, 4))


def test_slices_without_signal_are_counted_along_each_axis():
    values = np.zeros((10, 4, 5))
    values[:4] = 1
    values[:, :, 4] = np.nan
    assert empty_slices(values) == (0.6, 0.0, 0.2)


# Intensities


def test_means_and_contrast_are_those_of_the_mask_and_of_6_mm_around():
    voxels = np.zeros((40, 40, 40), bool)
    voxels[15:25, 15:25, 15:25] = True
    away_mm = ndimage.distance_transform_edt(~voxels) * 2
    values = np.where(voxels, 100.0, np.where(away_mm <= 6, 40, 900))
    values[20, 20, 20], values[21, 20, 20], values[22, 20, 20] = np.nan, 0, np.inf
    exam = examine(on(voxels, np.diag([2.0, 2, 2, 1])), values)
    inside = 100 * 997 / 998
    assert exam.mean_inside == pytest.approx(inside)
    assert exam.mean_shell == 40
    assert exam.contrast == pytest.approx(1 - 40 / inside)
    assert exam.no_signal_share == 3 / 1000


# Flags


@pytest.mark.parametrize("contrast", ["T1w", "EPI"])
def test_a_true_brain_has_no_flag(contrast):
    assert codes(examine(brain(), head_image(contrast))) == set()


@pytest.mark.parametrize("contrast", [pytest.param("T1w", marks=pytest.mark.slow), "EPI"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named(fault, contrast):
    if fault.code in TURNS or {(fault.code, contrast), fault.name} & UNLIKE_HEADS:
        pytest.skip("the simulated head does not show it")
    flags = find_flags(examine(fault.make(brain()), head_image(contrast)))
    assert fault.code in {flag.code for flag in flags if flag.is_bad}
    assert {flag.code for flag in flags} <= {*THRESHOLDS, "volume"}


def test_without_an_image_only_the_shape_is_told():
    (fault,) = [one for one in FAULTS if one.name == "left half"]
    exam = examine(fault.make(brain()), None)
    assert codes(exam) == {"half-a-brain"}
    with_image = examine(fault.make(brain()), head_image("EPI"))
    assert (exam.volume_ml, exam.asymmetry) == (with_image.volume_ml, with_image.asymmetry)
    assert np.isnan([exam.flat_share, exam.contrast, exam.fit, *exam.empty_slices]).all()


def test_a_displaced_mask_is_told_where_it_belongs():
    (fault,) = [one for one in FAULTS if one.name == "shifted by -10 mm along x"]
    exam = examine(fault.make(brain()), head_image("EPI"))
    assert np.abs(np.array(exam.shift_mm) - (10, 0, 0)).max() <= 3
    (flag,) = find_flags(exam)
    assert "mm farther right (more than 5 mm away)" in flag.sentence


def test_what_the_field_of_view_cuts_is_told_and_not_bad():
    values, voxels = head_image("EPI")[:, :, :33], true_brain()[:, :, :33]
    exam = examine(on(voxels, head_grid().affine), values)
    (flag,) = find_flags(exam)
    assert (flag.code, flag.is_bad) == ("cut-by-field-of-view", False)
    assert "top of the field of view" in flag.sentence


def test_a_head_stored_in_any_order_gives_the_same_numbers():
    values, affine = head_image("EPI"), head_grid().affine
    stored = [np.moveaxis(one, 0, 2)[:, :, ::-1] for one in (values, true_brain())]
    turned = np.zeros((4, 4))
    turned[:3, 0], turned[:3, 1] = affine[:3, 1], affine[:3, 2]
    turned[:3, 2], turned[:, 3] = -affine[:3, 0], affine @ [49, 0, 0, 1]
    one = examine(brain(), values)
    other = examine(on(stored[1], turned), stored[0])
    assert other.side_shares == pytest.approx(one.side_shares)
    assert other.asymmetry == pytest.approx(one.asymmetry, abs=1e-6)
    assert other.fit == pytest.approx(one.fit, abs=0.02)


def test_a_mask_unlike_that_of_the_preprocessing_is_flagged():
    smaller = Mask(ndimage.binary_erosion(true_brain(), iterations=3), head_grid(), "file")
    exam = examine(brain(), head_image("EPI"), others={"derivative": smaller})
    assert codes(exam) == {"unlike-derivative"}


def test_bounds_of_the_volume_can_be_set_and_are_told():
    exam = examine(brain(), head_image("EPI"))
    (flag,) = find_flags(exam, Bounds(100, 900))
    assert (flag.code, flag.threshold) == ("volume", 900)
    assert "1,485 ml, more than a brain (900 ml)" in flag.sentence
    with pytest.raises(ValueError, match="no volume"):
        Bounds(900, 100)


def test_a_mask_of_a_tissue_is_not_judged_as_a_brain():
    shell = true_brain() & ~ndimage.binary_erosion(true_brain(), iterations=2)
    exam = examine(Mask(shell, head_grid(), "gm-template"), head_image("EPI"))
    assert codes(exam, is_brain=False) == set()
    assert codes(exam)


@pytest.mark.parametrize(
    "number",
    ["no_signal_share", "forms_apart_mm", "empty_slices"],
)
def test_what_is_odd_about_the_image_is_told_and_not_bad(number):
    exam = examine(brain(), head_image("EPI"))
    odd = {"no_signal_share": 0.3, "forms_apart_mm": 4.0, "empty_slices": (0.1, 0.6, 0.0)}
    (flag,) = find_flags(replace(exam, **{number: odd[number]}))
    assert not flag.is_bad


# Bad input


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(head_grid().shape),
        np.full(head_grid().shape, 7.0),
        np.full(head_grid().shape, np.nan),
        np.full(head_grid().shape, -np.inf),
        np.random.default_rng(0).random(head_grid().shape),
        -head_image("EPI"),
    ],
    ids=["empty", "constant", "NaN", "Inf", "noise", "negative"],
)
def test_an_image_without_a_brain_has_no_contrast(values):
    assert "no-contrast" in codes(examine(brain(), values))


@pytest.mark.parametrize(
    "voxels",
    [
        np.ones(head_grid().shape, bool),
        np.pad(np.ones((1, 1, 1), bool), [(9, 40), (9, 48), (9, 40)]),
        np.pad(np.ones((1, 1, 1), bool), [(0, 49), (0, 57), (0, 49)]),
    ],
    ids=["everything", "one voxel", "a corner"],
)
def test_a_mask_that_is_no_brain_has_the_wrong_volume(voxels):
    exam = examine(Mask(voxels, head_grid(), "file"), head_image("EPI"))
    assert "volume" in codes(exam)


@pytest.mark.parametrize("n_slices", [1, 2])
def test_an_image_of_two_slices_is_examined(n_slices):
    grid = Grid((50, 58, n_slices), head_grid().affine)
    mask = Mask(true_brain()[:, :, 24 : 24 + n_slices], grid, "file")
    assert "volume" in codes(examine(mask, head_image("EPI")[:, :, 24 : 24 + n_slices]))


def test_no_size_of_a_voxel_fills_the_memory():
    mask = on(np.ones((3, 3, 3), bool), np.diag([1e5, 1e-3, 1, 1]))
    assert examine(mask, np.ones((3, 3, 3))).volume_ml == pytest.approx(2.7)


@pytest.mark.parametrize("values", [np.ones((3, 3)), np.ones((3, 3, 3), complex)])
def test_what_is_no_image_of_the_mask_is_refused(values):
    with pytest.raises(UnusableImage):
        examine(on(np.ones((3, 3, 3), bool)), values)
