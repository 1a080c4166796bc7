"""What the group level advises for a damaged product mends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.make_app import run_app
from tests.make_group import change_sidecar, run_group
from tests.make_runs import write_atlas, write_dataset


def no_text(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"\xff" + content[-8:])


def no_header(path: Path) -> None:
    path.write_bytes(b"\n" * path.stat().st_size)


def ragged(path: Path) -> None:
    before, tab, after = path.read_bytes().rpartition(b"\t")
    path.write_bytes(before + b" " * len(tab) + after)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = (no_text, no_header, ragged, folder)
ENDINGS = ("dseg.tsv", "bold.tsv", "volumes.tsv", "timeseries.tsv")


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("remedy")
    write_dataset(root / "in", ("01", "02"))
    write_atlas(root)
    return root


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_removed_as_advised_is_made_again_and_joined(bids, tmp_path, capsys, ending):
    output = tmp_path / "out"
    options = ("--atlas", next(bids.glob("*.nii.gz")))
    assert run_app(bids / "in", output, *options) == 0
    [path] = output.glob(f"sub-02/func/*{ending}")
    for damage in DAMAGE:
        damage(path)
        capsys.readouterr()
        assert run_group(output, "--force") == 1
        told = capsys.readouterr().err.replace("\n", " ")
        assert re.search(
            rf"{re.escape(path.name)} [^/]*? Remove it\. Run the participant level", told
        )
        path.rmdir() if path.is_dir() else path.unlink()
        assert run_app(bids / "in", output, *options) == 0
        assert run_group(output) == 0


@pytest.mark.parametrize(("ending", "old"), [("dseg.tsv", b"block"), ("volumes.tsv", b"true")])
def test_of_two_that_contradict_each_other_both_are_removed(bids, tmp_path, capsys, ending, old):
    output = tmp_path / "out"
    options = ("--atlas", next(bids.glob("*.nii.gz")))
    assert run_app(bids / "in", output, *options) == 0
    [path] = output.glob(f"sub-02/func/*{ending}")
    [signals] = output.glob("sub-02/func/*timeseries.tsv")
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, b"false", 1))
    change_sidecar(path.with_suffix(".json"), Bytes=None)
    capsys.readouterr()
    assert run_group(output) == 1
    assert "Remove both. Run the participant level again." in capsys.readouterr().err
    path.unlink()
    signals.unlink()
    assert run_app(bids / "in", output, *options) == 0
    assert run_group(output) == 0
