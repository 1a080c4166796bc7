"""The page about a masker: complete in itself, with true pictures."""

from __future__ import annotations

import base64
import pickle
import re
import struct
import zlib

import nibabel
import numpy as np
import pytest

from bidsmask import NiftiMasker
from bidsmask.maskers.report import COLOURS
from tests.make_images import AFFINE
from tests.make_maskers import SHAPE, series


def block() -> nibabel.Nifti1Image:
    inside = np.zeros(SHAPE, np.uint8)
    inside[3:7, 4:8, 2:6] = 1
    return nibabel.Nifti1Image(inside, AFFINE)


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [read_png(base64.b64decode(one)) for one in found]


def read_png(content: bytes) -> np.ndarray:
    """Return the pixels of a PNG file of 8-bit colours without filters, its checksums compared."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        named = content[place + 4 : place + 8 + length]
        (checksum,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(named)
        chunks[named[:4]] = named[4:]
        place += 12 + length
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 2, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    masker = NiftiMasker(block(), detrend=True).fit(None)
    masker.generate_report(title="<A & B>").save_as_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "&lt;A &amp; B&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "http" not in page
    assert "<td>detrend</td><td>True</td>" in page


def test_the_mask_is_outlined_on_the_mean_image():
    with pytest.warns(RuntimeWarning, match="Given mask"):
        masker = NiftiMasker(block()).fit(series(3))
    page = str(masker.generate_report())
    assert "64 voxels, 1.536 ml" in page
    [picture] = pictures(page)
    red = (picture == COLOURS[0]).all(-1)
    # Frames around a block of 8 x 12 x 16 mm, in pixels of 2/3 mm: three across each axis.
    assert red.sum() == 3 * sum(2 * (a + b) - 4 for a, b in ((18, 24), (12, 24), (12, 18)))
    grey = picture[~red]
    assert (grey == grey[:, :1]).all()
    assert grey.max() == 255


def test_outlines_stand_alone_where_there_were_no_images():
    page = str(NiftiMasker(block()).fit().generate_report())
    assert "No image provided to fit in NiftiMasker" in page
    [picture] = pictures(page)
    assert not picture[~(picture == COLOURS[0]).all(-1)].any()


@pytest.mark.parametrize(
    ("masker", "words"),
    [
        (NiftiMasker(), "has not been fitted yet"),
        (NiftiMasker(block(), reports=False).fit(), "No picture was kept"),
    ],
    ids=["unfitted", "not wanted"],
)
def test_a_page_without_pictures_says_why(masker, words):
    page = str(masker.generate_report())
    assert words in page
    assert not pictures(page)


def test_images_do_not_travel_with_a_pickled_masker():
    values = np.random.default_rng(0).normal(100, 1, (40, 40, 40, 30))
    image = nibabel.Nifti1Image(values, AFFINE)
    masker = NiftiMasker(mask_strategy="otsu").fit(image)
    content = pickle.dumps(masker)
    assert len(content) < values.nbytes / 20
    assert "outlines alone" in str(pickle.loads(content).generate_report())
