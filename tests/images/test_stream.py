"""Volumes one by one: the right numbers, or an error, and a thread that always ends."""

from __future__ import annotations

import gzip
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.image.image import compute_mean
from numpy.typing import NDArray

from benchmarks.bitflips import count_verdicts, read_ours, verdict
from bidsmask.errors import BidsmaskError, DamagedFile, UnusableImage
from bidsmask.images import stream as stream_module
from bidsmask.images.image import Image, open_image
from bidsmask.images.stream import mean_volume, read_volume, stream, varying_voxels
from tests.make_images import (
    COMPRESSIONS,
    REAL_BOLD,
    SHARED,
    head_volumes,
    nifti_content,
    random_stored,
    write_image,
)

needs_real_data = pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
TYPES += ["float32", "float64"]


def all_volumes(image: Image) -> NDArray[Any]:
    """Return all scaled volumes as (i, j, k, volume)."""
    rows = [image.scale(volume).copy() for volume in stream(image)]
    return np.stack([row.reshape(image.grid.shape, order="F") for row in rows], axis=-1)


def assert_equals_nibabels(path: Path) -> None:
    """Compare values and types of values with `nibabel.load(path).dataobj`."""
    ours = all_volumes(open_image(path))
    theirs = np.asanyarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(ours, theirs.reshape(ours.shape))
    assert ours.dtype == theirs.dtype.newbyteorder("=")


def readers_alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read ")]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("slope", [np.nan, 1.0, 0.5, 0.0])
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_nibabels(tmp_path: Path, dtype: str, slope: float, order: str) -> None:
    path = write_image(
        tmp_path / "a.nii.gz",
        random_stored((3, 4, 5, 3), dtype),
        slope=slope,
        intercept=3.25 if slope == 0.5 else 0,
        order=order,
    )
    assert_equals_nibabels(path)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("shape", [(20, 30, 40, 5), (3, 4, 5), (7, 5, 1, 2), (3, 4, 5, 1)])
def test_every_kind_of_gzip_is_read_whole(
    tmp_path: Path, shape: tuple[int, ...], compression: str
) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored(shape), compression)
    ours = all_volumes(open_image(path))
    np.testing.assert_array_equal(ours, random_stored(shape).reshape(ours.shape))


@pytest.mark.parametrize("version", [1, 2])
def test_a_plain_file_is_read(tmp_path: Path, version: int) -> None:
    assert_equals_nibabels(
        write_image(tmp_path / "a.nii", random_stored((3, 4, 5, 6)), version=version)
    )


def test_an_extension_before_the_voxels_is_skipped(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6)), offset=200_000)
    np.testing.assert_array_equal(all_volumes(open_image(path)), random_stored((3, 4, 5, 6)))


@pytest.mark.parametrize("axes", ["RAS", "LAS", "PSL", "LSP"])
def test_orientation_changes_nothing_of_the_stored_order(tmp_path: Path, axes: str) -> None:
    affine = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(axes), (3, 4, 5))
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 2)), affine=affine)
    assert_equals_nibabels(path)
    np.testing.assert_array_equal(open_image(path).grid.affine, nib.load(path).affine)


def test_nan_and_inf_come_through(tmp_path: Path) -> None:
    stored = random_stored((3, 4, 5, 2), "float32")
    stored[0, 0, 0], stored[1, 1, 1], stored[2, 2, 2] = np.nan, np.inf, -np.inf
    assert_equals_nibabels(write_image(tmp_path / "a.nii.gz", stored))


def test_volumes_are_flat_and_cannot_be_changed(tmp_path: Path) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6))))
    for volume in stream(image):
        assert volume.shape == (60,)
        assert not volume.flags.writeable


def test_memory_is_that_of_three_volumes(tmp_path: Path) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 30))))
    places = {volume.ctypes.data for volume in stream(image)}
    assert len(places) <= 3


def test_a_volume_stays_until_the_next_is_asked_for(tmp_path: Path) -> None:
    stored = random_stored((3, 4, 5, 30))
    image = open_image(write_image(tmp_path / "a.nii.gz", stored))
    for number, volume in enumerate(stream(image)):
        threading.Event().wait(0.001)  # the reader goes on meanwhile
        np.testing.assert_array_equal(volume, stored[..., number].ravel(order="F"))


def test_the_thread_ends_with_the_last_volume(tmp_path: Path) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6))))
    assert len(list(stream(image))) == 6
    assert not readers_alive()


@pytest.mark.parametrize("n_taken", [1, 2, 5, 30])
def test_closing_early_ends_the_thread(tmp_path: Path, n_taken: int) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 30))))
    volumes = stream(image)
    for _ in range(n_taken):
        next(volumes)
    volumes.close()  # type: ignore[attr-defined]
    assert not readers_alive()


def test_an_error_of_the_consumer_ends_the_thread(tmp_path: Path) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 30))))

    def consume() -> None:
        for volume in stream(image):
            raise ZeroDivisionError(volume[0])

    with pytest.raises(ZeroDivisionError) as caught:
        consume()
    del caught  # its traceback holds the generator
    assert not readers_alive()


def test_a_failing_disk_is_an_error_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6))))

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stream_module, "fill", fail)
    with pytest.raises(DamagedFile, match=r"a\.nii\.gz cannot be read \(Input/output error\)"):
        list(stream(image))
    assert not readers_alive()


def test_any_other_error_of_the_thread_reaches_the_consumer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6))))

    def fail(*_: object) -> int:
        raise MemoryError

    monkeypatch.setattr(stream_module, "fill", fail)
    with pytest.raises(MemoryError):
        list(stream(image))


# ------------------------------------------------------------------------------ damage


@pytest.mark.parametrize("compression", ["single", "stored", "bgzip", "members", "named"])
def test_truncation_anywhere_is_an_error(tmp_path: Path, compression: str) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((5, 6, 7, 4)), compression)
    whole = path.read_bytes()
    ends = [*range(len(whole) - 40, len(whole)), *range(0, len(whole) - 40, 97)]
    # A file that was cut at the border of two members and lost only the empty last one of
    # bgzip has all its voxels: nothing is wrong with them.
    harmless = {len(whole) - 28} if compression == "bgzip" else set()
    for end in ends:
        path.write_bytes(whole[:end])
        if end in harmless:
            continue
        with pytest.raises(DamagedFile):
            list(stream(open_image(path)))


@pytest.mark.parametrize("garbage", [b"x", b"\x1f", b"\x1f\x8b", bytes(7) + b"x", b"garbage" * 99])
def test_bytes_after_the_last_member_are_an_error(tmp_path: Path, garbage: bytes) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6)))
    path.write_bytes(path.read_bytes() + garbage)
    with pytest.raises(DamagedFile):
        list(stream(open_image(path)))


@pytest.mark.parametrize("n_bytes", [1, 60, 120])
def test_voxels_beyond_those_of_the_header_are_an_error(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti_content(random_stored((3, 4, 5, 6))) + bytes(n_bytes)))
    with pytest.raises(DamagedFile, match="goes on after the 6 volumes"):
        list(stream(open_image(path)))


@pytest.mark.parametrize("n_bytes", [1, 120, 700])
def test_a_sound_gzip_of_too_few_voxels_is_an_error(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti_content(random_stored((3, 4, 5, 6)))[:-n_bytes]))
    with pytest.raises(DamagedFile, match="ends within volume"):
        list(stream(open_image(path)))


def test_an_offset_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6)), fields={"vox_offset": 100_000}
    )
    with pytest.raises(DamagedFile, match="ends before its first voxel"):
        list(stream(open_image(path)))


def test_two_whole_images_in_one_file_are_an_error(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6)))
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(DamagedFile, match="goes on after"):
        list(stream(open_image(path)))


def test_a_wrong_checksum_or_length_is_an_error(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6)))
    whole = path.read_bytes()
    for place in range(1, 9):
        damaged = bytearray(whole)
        damaged[-place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile):
            list(stream(open_image(path)))


@pytest.mark.parametrize("compression", ["single", "named", "bgzip", "members", "stored"])
def test_one_flipped_bit_is_noticed_or_harmless(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.nii.gz"
    volumes = head_volumes().astype(np.int16)
    write_image(path, volumes, compression)
    counts = count_verdicts(read_ours, BidsmaskError, path, 150, seed=1)
    assert counts["silently wrong"] == 0
    assert counts["error"] > 100


@pytest.mark.parametrize("compression", ["single", "named", "bgzip"])
def test_a_bit_flipped_in_the_gzip_header_is_noticed_or_harmless(
    tmp_path: Path, compression: str
) -> None:

    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 2)), compression)
    truth = read_ours(path)
    verdicts = Counter(verdict(read_ours, BidsmaskError, path, bit, truth) for bit in range(30 * 8))
    assert verdicts["silently wrong"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_real_data
def test_a_thousand_flipped_bits_of_a_real_run_are_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "bold.nii.gz"
    shutil.copyfile(REAL_BOLD, path)
    counts = count_verdicts(read_ours, BidsmaskError, path, 1000, seed=0)
    assert counts["silently wrong"] == 0
    assert counts["error"] > 990


@pytest.mark.slow
@needs_real_data
def test_a_real_run_cut_at_random_is_an_error(tmp_path: Path) -> None:
    content = REAL_BOLD.read_bytes()
    rng = np.random.default_rng(0)
    ends = [*(len(content) - np.arange(1, 12)), *rng.integers(0, len(content), 30)]
    path = tmp_path / "bold.nii.gz"
    for end in ends:
        path.write_bytes(content[:end])
        with pytest.raises(DamagedFile):
            list(stream(open_image(path)))


# ------------------------------------------------------------------ one volume, and means


def test_a_3d_image_is_read_scaled(tmp_path: Path) -> None:
    stored = random_stored((3, 4, 5))
    path = write_image(tmp_path / "a.nii.gz", stored, slope=0.5, intercept=-3)
    values = read_volume(open_image(path))
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, stored * 0.5 - 3)


def test_a_3d_image_of_integers_stays_one(tmp_path: Path) -> None:
    stored = random_stored((3, 4, 5))
    values = read_volume(open_image(write_image(tmp_path / "a.nii.gz", stored, order=">")))
    assert values.dtype == np.int16
    np.testing.assert_array_equal(values, stored)


def test_a_series_is_not_one_volume(tmp_path: Path) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6))))
    with pytest.raises(UnusableImage, match="has 6 volumes"):
        read_volume(image)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("slope", [np.nan, 0.3])
@pytest.mark.parametrize("dtype", TYPES)
def test_the_mean_is_nilearns_to_the_last_bit(
    tmp_path: Path, dtype: str, slope: float, order: str
) -> None:
    path = write_image(
        tmp_path / "a.nii.gz",
        random_stored((9, 8, 7, 37), dtype),
        slope=slope,
        intercept=0.7,
        order=order,
    )
    ours, (theirs, _) = mean_volume(open_image(path)), compute_mean(str(path))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("dtype", "extreme"), [("uint16", 65535), ("int16", -32768)])
def test_the_sum_of_the_longest_series_of_small_integers_does_not_overflow(
    tmp_path: Path, dtype: str, extreme: int
) -> None:
    path = write_image(tmp_path / "a.nii.gz", np.full((1, 2, 1, 32767), extreme, dtype))
    np.testing.assert_array_equal(mean_volume(open_image(path)), float(extreme))


def test_the_mean_of_non_finite_values_is_nilearns(tmp_path: Path) -> None:
    stored = random_stored((9, 8, 7, 5), "float32")
    stored[0, 0, 0, 1], stored[1, 1, 1, 2] = np.nan, np.inf
    stored[2, 2, 2, :2] = np.inf, -np.inf
    path = write_image(tmp_path / "a.nii.gz", stored)
    with np.errstate(invalid="ignore"):
        theirs, _ = compute_mean(str(path))
    np.testing.assert_array_equal(mean_volume(open_image(path)), theirs)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_the_mean_of_magnitudes_has_no_sign(tmp_path: Path, dtype: str) -> None:
    stored = random_stored((4, 5, 6, 7), dtype)
    stored[0, 0, 0] = -128  # int8 has no 128
    path = write_image(tmp_path / "a.nii.gz", stored)
    ours = mean_volume(open_image(path), absolute=True)
    np.testing.assert_allclose(ours, np.abs(stored.astype(float)).mean(axis=-1), rtol=1e-12)


def test_the_mean_of_a_3d_image_is_itself(tmp_path: Path) -> None:
    stored = random_stored((3, 4, 5))
    image = open_image(write_image(tmp_path / "a.nii.gz", stored))
    np.testing.assert_array_equal(mean_volume(image), stored)


@needs_real_data
def test_the_mean_of_a_real_run_is_nilearns() -> None:
    theirs, _ = compute_mean(str(REAL_BOLD))
    np.testing.assert_array_equal(mean_volume(open_image(REAL_BOLD)), theirs)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_the_mean_of_the_first_volumes_reads_no_further(tmp_path: Path, dtype: str) -> None:
    stored = np.random.default_rng(3).integers(0, 900, (6, 5, 4, 9)).astype(dtype)
    path = write_image(tmp_path / "x.nii", stored)
    theirs = stored[..., :4].astype(np.float64).mean(-1)
    np.testing.assert_allclose(mean_volume(open_image(path), most=4), theirs, rtol=1e-6)
    np.testing.assert_array_equal(
        mean_volume(open_image(path), most=50), mean_volume(open_image(path))
    )
    image = open_image(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4)
    with pytest.raises(DamagedFile):
        mean_volume(image)
    np.testing.assert_allclose(mean_volume(image, most=4), theirs, rtol=1e-6)


# Which voxels vary


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -3.0)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_voxels_that_vary_are_those_of_some_variance(
    tmp_path: Path, dtype: str, slope: float, intercept: float
) -> None:
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 2, (4, 5, 3, 6)).astype(dtype) * (rng.random((4, 5, 3, 1)) < 0.5)
    stored[0, 0, 0] = 0
    stored[0, 0, 0, -1] = 1  # in the last volume alone
    path = write_image(
        tmp_path / "x.nii.gz", stored.astype(dtype), slope=slope, intercept=intercept
    )
    variance = np.var(np.asarray(nib.load(path).dataobj, np.float64), axis=3)
    assert np.array_equal(varying_voxels(open_image(path)), variance > 0)


def test_a_voxel_of_nothing_but_nan_and_zero_does_not_vary(tmp_path: Path) -> None:
    stored = np.zeros((2, 2, 2, 4), np.float32)
    stored[0, 0, 0] = [np.nan, 0, np.inf, -np.inf]
    stored[1, 1, 1] = [np.nan, 2, 2, 2]
    varying = varying_voxels(open_image(write_image(tmp_path / "x.nii.gz", stored)))
    assert np.array_equal(np.argwhere(varying), [[1, 1, 1]])
