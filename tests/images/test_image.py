"""Headers: what is read from them, and what is refused before a voxel is touched."""

from __future__ import annotations

import gzip
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bidsmask.errors import DamagedFile, DataError, UnusableImage
from bidsmask.images.image import open_image
from bidsmask.images.stream import stream
from tests.make_images import AFFINE, COMPRESSIONS, nifti_content, random_stored, write_image


def test_a_header_becomes_an_image(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 6)), slope=2, intercept=7)
    image = open_image(path)
    assert image.path == path
    assert image.grid.shape == (3, 4, 5)
    np.testing.assert_array_equal(image.grid.affine, AFFINE)
    assert (image.n_volumes, image.is_series) == (6, True)
    assert image.dtype == np.dtype("<i2")
    assert (image.slope, image.intercept, image.is_scaled) == (2, 7, True)
    assert image.offset == 352
    assert image.t_r_s == 2


def test_an_image_can_be_sent_to_another_process(tmp_path: Path) -> None:
    image = open_image(write_image(tmp_path / "a.nii", random_stored((3, 4, 5))))
    assert pickle.loads(pickle.dumps(image)).grid.is_same(image.grid)


@pytest.mark.parametrize(
    ("shape", "n_volumes", "is_series"),
    [
        ((3, 4, 5), 1, False),
        ((3, 4, 5, 1), 1, True),
        ((3, 4, 5, 2), 2, True),
        ((3, 4, 5, 2, 1), 2, True),
        ((3, 4, 5, 1, 1, 1), 1, True),
        ((3, 4, 1), 1, False),
        ((3, 4, 1, 2), 2, True),
    ],
)
def test_trailing_axes_of_one_are_no_axes(
    tmp_path: Path, shape: tuple[int, ...], n_volumes: int, is_series: bool
) -> None:
    image = open_image(write_image(tmp_path / "a.nii.gz", random_stored(shape)))
    assert (image.n_volumes, image.is_series) == (n_volumes, is_series)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders_are_read(tmp_path: Path, version: int, order: str) -> None:
    path = write_image(tmp_path / "a.nii", random_stored((3, 4, 5)), version=version, order=order)
    image = open_image(path)
    assert image.dtype == np.dtype("int16").newbyteorder(order)  # type: ignore[arg-type]
    np.testing.assert_array_equal(image.grid.affine, AFFINE)


@pytest.mark.parametrize(
    ("t_r", "unit", "expected"),
    [
        (2.0, "sec", 2.0),
        (0.8, "sec", 0.8),
        (2000, "msec", 2.0),
        (720, "msec", 0.72),
        (1500000, "usec", 1.5),
        (2.0, "unknown", 2.0),
        (0, "sec", None),
        (-2.0, "sec", None),
        (np.nan, "sec", None),
        (np.inf, "sec", None),
        (100, "hz", None),
    ],
)
def test_the_repetition_time_is_in_seconds(
    tmp_path: Path, t_r: float, unit: str, expected: float | None
) -> None:
    pixdim = [1, 2, 3, 4, t_r, 1, 1, 1]
    path = write_image(
        tmp_path / "a.nii", random_stored((3, 4, 5, 2)), time_unit=unit, fields={"pixdim": pixdim}
    )
    assert open_image(path).t_r_s == expected


def test_a_3d_image_has_no_repetition_time(tmp_path: Path) -> None:
    assert open_image(write_image(tmp_path / "a.nii", random_stored((3, 4, 5)))).t_r_s is None


NO_AFFINE = {"sform_code": 0, "qform_code": 0}
QFORM_ONLY = {"sform_code": 0, "qform_code": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        QFORM_ONLY,
        NO_AFFINE,
        {**QFORM_ONLY, "pixdim": [0, 2, 3, 4, 1, 1, 1, 1]},
        {**QFORM_ONLY, "pixdim": [-1, 2, 3, 4, 1, 1, 1, 1]},
        {**QFORM_ONLY, "pixdim": [1, -2, 3, -4, 1, 1, 1, 1]},
        {**NO_AFFINE, "pixdim": [1, -2, 3, 4, 1, 1, 1, 1]},
        {**QFORM_ONLY, "quatern_b": 0.1, "quatern_d": 0.3},
        {"pixdim": [np.nan] * 8},
    ],
    ids=str,
)
def test_the_affine_is_nibabels(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = write_image(tmp_path / "a.nii", random_stored((3, 4, 5)), fields=fields)
    np.testing.assert_array_equal(open_image(path).grid.affine, nib.load(path).affine)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"srow_x": [np.nan, 0, 0, 0]}, "not finite"),
        ({"srow_y": [0, np.inf, 0, 0]}, "not finite"),
        ({"srow_y": [0, 1e30, 0, 0]}, "beyond 1 km"),
        ({"srow_z": [0, 0, 1e-30, 0]}, "singular affine"),
        ({"srow_x": [0, 0, 0, 0]}, "singular affine"),
        ({"srow_x": [0, 3, 0, 0]}, "singular affine"),
        ({**QFORM_ONLY, "pixdim": [1, np.nan, 3, 4, 1, 1, 1, 1]}, "not finite"),
        ({**QFORM_ONLY, "pixdim": [1, 0, 3, 4, 1, 1, 1, 1]}, "singular affine"),
        ({**NO_AFFINE, "pixdim": [1, 0, 0, 0, 1, 1, 1, 1]}, "singular affine"),
        ({**QFORM_ONLY, "quatern_b": 3.0}, "unusable affine"),
    ],
    ids=str,
)
def test_an_unusable_affine_is_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)), fields=fields)
    with pytest.raises(UnusableImage, match=message):
        open_image(path)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros((3, 4, 5), np.complex64), "complex"),
        (np.zeros((3, 4, 5), np.complex128), "complex"),
        (np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "RGB"),
        (np.zeros((3, 4), np.int16), "2D"),
        (np.zeros((3,), np.int16), "1D"),
        (np.zeros((3, 4, 5, 1, 3), np.int16), "5D"),
        (np.zeros((3, 4, 5, 2, 3), np.int16), "5D"),
        (np.zeros((3, 0, 5), np.int16), "length zero"),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, str) else "",
)
def test_another_kind_of_image_is_refused_by_name(
    tmp_path: Path, stored: np.ndarray[Any, Any], message: str
) -> None:
    content = bytearray(nifti_content(np.zeros((3, 4, 5), np.int16)))
    header: Any = nib.Nifti1Header(bytes(content[:348]))
    header.set_data_dtype(stored.dtype)
    header["dim"] = [stored.ndim, *stored.shape, *[1] * (7 - stored.ndim)]
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + bytes(4) + stored.tobytes())
    with pytest.raises(UnusableImage, match=message):
        open_image(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"dim": [0, 3, 4, 5, 1, 1, 1, 1]},
        {"dim": [9, 3, 4, 5, 1, 1, 1, 1]},
        {"dim": [-3, 3, 4, 5, 1, 1, 1, 1]},
        {"dim": [3, -3, 4, 5, 1, 1, 1, 1]},
        {"datatype": 77},
        {"vox_offset": 0},
        {"vox_offset": 348},
        {"vox_offset": -352},
        {"vox_offset": np.nan},
        {"vox_offset": np.inf},
        {"vox_offset": 352.5},
        {"vox_offset": 368},
        {"vox_offset": 1e30},
        {"scl_slope": 1, "scl_inter": np.nan},
        {"magic": b"n+3"},
        {"magic": b""},
        {"sizeof_hdr": 347},
    ],
    ids=str,
)
def test_a_damaged_header_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = write_image(tmp_path / "a.nii", random_stored((3, 4, 5)), fields=fields)
    with pytest.raises(DamagedFile):
        open_image(path)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_header_says_only_our_errors_come_out(
    tmp_path: Path, seed: int, version: int
) -> None:
    rng = np.random.default_rng(seed)
    words = [bytes(4), b"\xff" * 4, b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\x7f\x7f\xff\xff"]
    outcomes = set()
    for _ in range(200):
        codes = {"sform_code": 0} if rng.random() < 0.5 else {}
        content = bytearray(
            nifti_content(random_stored((3, 4, 5, 6)), version=version, fields=codes)
        )
        for place in rng.integers(0, 540 if version == 2 else 348, 3) // 4 * 4:
            content[place : place + 4] = words[rng.integers(len(words))]
        path = tmp_path / "a.nii.gz"
        path.write_bytes(gzip.compress(content, 1))
        try:
            outcomes.add(len(list(stream(open_image(path)))))
        except DataError as error:
            outcomes.add(error.code)
    assert {6, "damaged-file", "unusable-image"} <= outcomes


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_claim_of_2_to_the_40_voxels_allocates_nothing(
    tmp_path: Path, name: str, version: int
) -> None:
    side = 2**10
    dim = [4, side, side, side, side, 1, 1, 1]
    path = write_image(
        tmp_path / name, random_stored((3, 4, 5, 2)), version=version, fields={"dim": dim}
    )
    tracemalloc.start()
    with pytest.raises(DamagedFile, match="claims shape"):
        open_image(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_claim_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    dim = [7, *[2**62] * 4, 1, 1, 1]
    path = write_image(
        tmp_path / "a.nii.gz", random_stored((3, 4, 5, 2)), version=2, fields={"dim": dim}
    )
    with pytest.raises(DamagedFile, match="claims shape"):
        open_image(path)


@pytest.mark.parametrize("change", [-1, 1, -60, 400])
def test_a_plain_file_of_another_size_is_refused(tmp_path: Path, change: int) -> None:
    path = write_image(tmp_path / "a.nii", random_stored((3, 4, 5)))
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(DamagedFile, match="is cut off" if change < 0 else "is too long"):
        open_image(path)


@pytest.mark.parametrize("size", [1, 2, 17, 18, 40, 100])
def test_a_header_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedFile):
        open_image(path)


def test_a_plain_header_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(nifti_content(random_stored((3, 4, 5)))[:200])
    with pytest.raises(DamagedFile, match="cut off within its header"):
        open_image(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"/annex/objects/MD5E-s22849624--0123.nii.gz\n", "git-annex pointer"),
        (b"../.git/annex/objects/Zx/3f/MD5E-s2--01.nii.gz/MD5E-s2--01.nii.gz", "git-annex"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs"),
        (b"<html>404</html>", "not a gzip file"),
        (gzip.compress(b"some text"), "not a NIfTI file"),
        (gzip.compress(b"x" * 1000), "not a NIfTI file"),
        (gzip.compress(b""), "not a NIfTI file"),
        (nifti_content(random_stored((3, 4, 5))), "not a gzip file"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(DamagedFile, match=message):
        open_image(tmp_path / "a.nii.gz")


def test_a_gzipped_file_named_nii_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(gzip.compress(nifti_content(random_stored((3, 4, 5)))))
    with pytest.raises(DamagedFile, match="is gzipped, but not named"):
        open_image(tmp_path / "a.nii")


def test_a_link_into_the_annex_says_how_to_get_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to("../../.git/annex/objects/Zx/3f/KEY/KEY")
    with pytest.raises(DamagedFile) as caught:
        open_image(tmp_path / "a.nii.gz")
    assert "git-annex pointer" in str(caught.value)
    assert "datalad get" in caught.value.advice


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to("nowhere.nii.gz")
    with pytest.raises(DamagedFile, match="link to nowhere"):
        open_image(tmp_path / "a.nii.gz")


def test_a_link_to_an_image_is_an_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)))
    (tmp_path / "b.nii.gz").symlink_to("a.nii.gz")
    assert open_image(tmp_path / "b.nii.gz").n_volumes == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="does not exist"):
        open_image(tmp_path / "a.nii.gz")


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DamagedFile, match=r"a\.nii\.gz cannot be read \(Permission denied\)"):
        open_image(path)


def test_a_name_that_no_disk_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="cannot be read"):
        open_image(tmp_path / ("x" * 300 + ".nii.gz"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").mkdir()
    with pytest.raises(DamagedFile, match="is not a file"):
        open_image(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.hdr", "a.img", "a.img.gz"])
def test_a_pair_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableImage, match="half of a pair"):
        open_image(tmp_path / name)


def test_a_pairs_header_named_nii_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii", random_stored((3, 4, 5)), fields={"magic": b"ni1"})
    with pytest.raises(UnusableImage, match="header of a pair"):
        open_image(path)


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage, match="not named"):
        open_image(tmp_path / "a.mgz")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_kind_of_gzip_opens(tmp_path: Path, compression: str) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)), compression)
    assert open_image(path).grid.shape == (3, 4, 5)
