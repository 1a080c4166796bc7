"""Files are opened by name only where that cannot keep the program waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bidsmask.app.products import Product
from bidsmask.bids.dataset import read_description
from bidsmask.bids.inheritance import read_sidecar
from bidsmask.bids.tables import read_table
from bidsmask.errors import UnusableTable
from bidsmask.images.source import read_regular


def test_a_regular_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"abc"


@pytest.mark.parametrize("reader", [read_table, read_sidecar])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(tmp_path, reader):
    path = tmp_path / "task-rest_bold.json"
    os.mkfifo(path)
    with pytest.raises(UnusableTable, match="not a regular file"):
        reader(path)


def test_a_device_is_refused():
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(Path("/dev/zero"))


def test_a_pipe_in_the_place_of_a_description_or_an_output_is_none(tmp_path):
    for name in ("dataset_description.json", "mask.json"):
        os.mkfifo(tmp_path / name)
    assert read_description(tmp_path) is None
    product = Product((tmp_path / "mask.nii.gz",), tmp_path / "mask.json", "1")
    assert not product.is_up_to_date()
