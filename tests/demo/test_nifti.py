"""The bytes are images that nibabel reads."""

import gzip

import nibabel
import numpy as np
import pytest

from bidsmask.demo.head import TEMPLATE_HEAD, Scene
from bidsmask.demo.nifti import STEP, image_bytes, series_bytes
from bidsmask.demo.plan import TEMPLATE_GRID

SCENE = Scene.of(TEMPLATE_HEAD, TEMPLATE_GRID, native=False)
SERIES = np.random.default_rng(0).uniform(0, 1500, size=(5, TEMPLATE_GRID.n_voxels))
SERIES = SERIES.astype(np.float32)


@pytest.mark.parametrize(
    ("storage", "dtype", "unit"),
    [("int16", "int16", 1 / STEP), ("scaled int16", "int16", 1), ("float32", "float32", 1)],
)
def test_series_read_back_to_within_half_a_step(storage, dtype, unit):
    image = nibabel.Nifti1Image.from_bytes(
        gzip.decompress(series_bytes(SCENE, SERIES, 2.0, storage))
    )
    assert image.get_data_dtype() == dtype
    assert image.header.get_zooms()[3] == 2.0
    np.testing.assert_allclose(image.affine, TEMPLATE_GRID.affine)
    values = image.get_fdata().reshape(-1, 5, order="F").T
    np.testing.assert_allclose(values, SERIES * unit, atol=STEP / 2 * unit + 1e-6)


def test_gzip_header_holds_no_time_and_no_name():
    content = image_bytes(SCENE.brain, TEMPLATE_GRID, "uint8")
    assert content[3:8] == bytes(5)


def test_native_images_say_that_their_space_is_the_scanners():
    content = image_bytes(SCENE.brain, TEMPLATE_GRID, "uint8", native=True)
    header = nibabel.Nifti1Image.from_bytes(gzip.decompress(content)).header
    assert (header["qform_code"], header["sform_code"]) == (1, 1)
