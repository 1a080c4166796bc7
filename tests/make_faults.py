"""A run of the program in which something happens before its n-th change of the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bidsmask.app import ledger
from bidsmask.bids import disk
from tests.make_app import run_app
from tests.make_group import run_group, write_outputs
from tests.make_images import write_image
from tests.make_runs import brain, contents, leftovers, write_atlas, write_dataset

# Every function through which the program changes the disk.
CALLS_OF_DISK = (
    "make_folder",
    "create",
    "write",
    "truncate",
    "sync",
    "rename",
    "remove",
    "sync_folder",
)
CALLS = [*((disk, name) for name in CALLS_OF_DISK), (ledger, "append")]
ORIGINALS = {(module, name): getattr(module, name) for module, name in CALLS}


class Watch:
    """Counts the changes of the disk, and acts before the n-th."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.count = 0

    def before(self, n: int, act: Callable[[], object], *, and_after: bool = False) -> None:
        """Let `act` happen before the n-th change from now, and all after it; 0 for never."""
        self.count = 0

        def watched(original: Callable[..., object]) -> Callable[..., object]:
            def inner(*arguments: object) -> object:
                self.count += 1
                if self.count == n or (and_after and self.count > n):
                    act()
                return original(*arguments)

            return inner

        for (module, name), original in ORIGINALS.items():
            self._patch.setattr(module, name, watched(original))


# How the names of products begin, and those of their data end.
PRODUCTS = ("sub-", "task-", "desc-")
DATA = (".nii.gz", ".tsv", ".tsv.gz", ".h5")


@dataclass(frozen=True)
class Scene:
    """A dataset, an output that stands before the run, and the one that must come of it.

    `before` is empty for a first run; else it holds what was made of other input, and for the
    group level the outputs of the participant level.
    """

    root: Path
    options: tuple[object, ...]
    before: dict[str, str]
    after: dict[str, str]
    is_group: bool = False

    @property
    def output(self) -> Path:
        return self.root / "out"

    def reset(self) -> None:
        """Put the output back to what stands before the run."""
        shutil.rmtree(self.output, ignore_errors=True)
        if self.before:
            shutil.copytree(self.root / "before", self.output)

    def run(self) -> int:
        """Run the program."""
        if self.is_group:
            return run_group(self.output)
        return run_app(self.root / "in", self.output, *self.options)

    def assert_nothing_lies(self) -> None:
        """Hold each sidecar that is there to the data beside it: of one version, whole."""
        found = contents(self.output) if self.output.exists() else {}
        for name in found:
            if not name.startswith(PRODUCTS) or not name.endswith(".json"):
                continue
            versions = [v for v in (self.before, self.after) if v.get(name) == found[name]]
            stem = name.removesuffix(".json")
            for version in versions:
                parts = [f"{stem}{end}" for end in DATA]
                assert [found.get(one) for one in parts] == [version.get(one) for one in parts]
            assert versions, f"{name} belongs to no version"

    def assert_finished(self) -> None:
        """Hold the output to that of a run that nothing disturbed."""
        assert contents(self.output) == self.after
        assert leftovers(self.output) == []


# What stands in the output before the run, and how it differs from what comes of it.
CHANGES = ("nothing before", "other input before", "another format before")
GROUP_CHANGES = ("no group before", "another group before")


def write_scene(root: Path, change: str, *, with_regions: bool = False) -> Scene:
    """Write a dataset, run the program on it undisturbed, and before that as `change` says."""
    if change in GROUP_CHANGES:
        return write_group_scene(root, change)
    [run] = write_dataset(root / "in", with_events=True)
    options: tuple[object, ...] = ()
    if with_regions:
        options = ("--voxels", "--atlas", write_atlas(root), "--confounds", "simple", "24P")
    before: dict[str, str] = {}
    if change != "nothing before":
        assert run_app(root / "in", root / "before", *options) == 0
        before = contents(root / "before")
    if change == "other input before":
        table = run.table()
        run.write_table(table.assign(csf=table["csf"] + table["trans_x"], std_dvars=1.25))
        write_image(run.mask, np.roll(brain(), 1, axis=0).astype(np.uint8))
    if change == "another format before":
        options = (*options, "--format", "tsv.gz")
    assert run_app(root / "in", root / "after", *options) == 0
    return Scene(root, options, before, contents(root / "after"))


def write_group_scene(root: Path, change: str) -> Scene:
    """Write outputs, run the group level on them undisturbed, and before that as `change` says."""
    before = write_outputs(root / "before", ("01", "02"))
    if change == "another group before":
        assert run_group(before) == 0
        write_outputs(before, ("02", "04"), cleaning="simple", n_volumes=23)
    after = shutil.copytree(before, root / "after")
    shutil.rmtree(after / "logs", ignore_errors=True)
    assert run_group(after) == 0
    return Scene(root, (), contents(before), contents(after), is_group=True)
