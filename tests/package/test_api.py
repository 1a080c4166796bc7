"""What `import bidsmask` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bidsmask


@pytest.mark.parametrize("name", bidsmask.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    offered = getattr(bidsmask, name)
    assert name in dir(bidsmask)
    assert isinstance(offered, str) or (offered.__name__ == name and offered.__doc__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bidsmask' has no attribute 'compute_mask'"):
        _ = bidsmask.compute_mask


def test_importing_the_package_loads_no_science() -> None:
    code = (
        "import sys, bidsmask\n"
        "heavy = {'numpy', 'scipy', 'nibabel', 'pandas', 'bids'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_mask_is_made_without_pybids_pandas_or_nilearn() -> None:
    code = (
        "import sys, bidsmask\n"
        "bidsmask.compute_brain_mask, bidsmask.generate_brain_mask\n"
        "heavy = {'pandas', 'bids', 'nilearn', 'templateflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
