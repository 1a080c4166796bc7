"""Images as bytes: what is written is read back, and always with the same bytes."""

from __future__ import annotations

import gzip
import io
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import read_volume
from bidsmask.images.write import Space, nifti_bytes, write_volumes
from tests.make_images import AFFINE, random_stored

GRID = Grid((3, 4, 5), AFFINE)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", ">i4", "float32"])
def test_what_is_written_is_read_back(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(random_stored((3, 4, 5), "int16") % 2, dtype=dtype, order=order)  # type: ignore[call-overload]
    path = tmp_path / "a.nii.gz"
    path.write_bytes(nifti_bytes(array, GRID))
    image = open_image(path)
    np.testing.assert_array_equal(read_volume(image), array)
    assert image.grid.is_same(GRID)
    assert not image.is_scaled
    expected = np.uint8 if dtype == "bool" else np.dtype(dtype).newbyteorder("<")
    assert nib.load(path).get_data_dtype() == expected


def test_the_bytes_hold_neither_time_nor_name(monkeypatch: pytest.MonkeyPatch) -> None:
    array = random_stored((3, 4, 5))
    now = nifti_bytes(array, GRID)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert nifti_bytes(array.copy(order="F"), GRID) == now
    assert now[3] == 0  # no name follows
    assert now[4:8] == bytes(4)  # no time


@pytest.mark.parametrize(("space", "code"), [("scanner", 1), ("aligned", 2), ("mni", 4)])
def test_both_codes_say_the_space(tmp_path: Path, space: Space, code: int) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(nifti_bytes(random_stored((3, 4, 5)), GRID, space=space))
    header = nib.load(path).header
    assert (header["sform_code"], header["qform_code"]) == (code, code)
    np.testing.assert_allclose(header.get_sform(), AFFINE)
    np.testing.assert_allclose(header.get_qform(), AFFINE, atol=1e-5)
    assert header.get_xyzt_units()[0] == "mm"


def test_a_series_keeps_its_repetition_time(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(nifti_bytes(random_stored((3, 4, 5, 6)), GRID, t_r_s=0.8))
    assert open_image(path).t_r_s == 0.8
    assert open_image(path).n_volumes == 6


def test_a_type_that_readers_may_not_know_is_not_written() -> None:
    with pytest.raises(ValueError, match="not float64"):
        nifti_bytes(np.zeros((3, 4, 5)), GRID)


def test_an_array_of_another_shape_is_not_written() -> None:
    with pytest.raises(ValueError, match="is not on a grid"):
        nifti_bytes(np.zeros((3, 4, 6), np.uint8), GRID)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_volumes", [1, 6])
def test_volume_by_volume_the_same_bytes_are_written(n_volumes: int, order: str) -> None:
    array = np.random.default_rng(0).random((3, 4, 5, n_volumes)).astype(np.float32)
    volumes = [np.asarray(array[..., one], order=order) for one in range(n_volumes)]  # type: ignore[call-overload]
    handle = io.BytesIO()
    write_volumes(handle, iter(volumes), n_volumes, GRID, space="mni", t_r_s=0.8)
    whole = array if n_volumes > 1 else array[..., 0]
    expected = gzip.decompress(nifti_bytes(whole, GRID, space="mni", t_r_s=0.8))
    assert handle.getvalue() == expected
