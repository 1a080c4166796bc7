"""How much memory a Job is said to need, held to its arithmetic and to what real processes took."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsmask.app.arguments import parse
from bidsmask.app.execute import Resources
from bidsmask.app.memory import PROCESS_MB, PROGRAM_MB, Need, need_of
from bidsmask.app.plan import plan
from bidsmask.app.preparation import Preparation
from bidsmask.app.prepare import prepare
from bidsmask.bids.dataset import find_dataset
from tests.make_app import run_app
from tests.make_demo import atlas_of, demo_dataset
from tests.make_images import REAL_BOLD, SHARED, write_image
from tests.make_regions import blob_maps
from tests.make_runs import brain, write_atlas, write_dataset

SHAPE = (30, 30, 30)
N_VOXELS = int(brain(SHAPE).sum())
GRID_MB = 42 * 30**3 / 1e6
# Of 10,000 volumes: all rows in float32; 2,048 columns in float32 and twice in float64.
ROWS_MB = 4 * N_VOXELS * 10_000 / 1e6
BLOCK_MB = (4 + 8 + 8) * 2_048 * 10_000 / 1e6


def prepared(root: Path, folder: Path, *words: object) -> Preparation:
    """Return the first Job of a dataset, worked out."""
    options = parse([str(root), str(folder / "out"), "participant", *map(str, words)])
    dataset = find_dataset(options.bids_dir, None, options.output_dir)
    [job] = [step.job for step in plan(dataset, ["01"], options) if step.job]
    return prepare(job)


@pytest.fixture
def needed(tmp_path) -> Callable[..., float]:
    """Return what a run of 10,000 volumes needs above a process and its grid, MB."""
    write_dataset(tmp_path / "in", shape=SHAPE)

    def above_grid(*words: object, n_volumes: int = 10_000, n_threads: int = 1) -> float:
        preparation = prepared(tmp_path / "in", tmp_path, *words)
        image = dataclasses.replace(preparation.image, n_volumes=n_volumes)
        preparation = dataclasses.replace(preparation, image=image)
        stale = [one for one in preparation.products if not one.is_up_to_date()]
        need = need_of(preparation, stale, keeps_censored="--keep-censored" in words)
        assert need.grid_mb == pytest.approx(GRID_MB)
        return need.process_mb(n_threads) - PROCESS_MB - GRID_MB

    return above_grid


def test_every_volume_of_every_voxel_is_held_once(needed):
    assert needed() == pytest.approx(ROWS_MB + BLOCK_MB)
    assert needed(n_volumes=5_000) == pytest.approx(needed() / 2)


def test_cleanings_but_the_last_need_a_copy(needed):
    two = needed("--confounds", "simple", "24P")
    assert two - needed() == pytest.approx(ROWS_MB)
    assert needed("--confounds", "simple", "24P", "none") == two


def test_rows_of_censored_volumes_need_a_copy(needed):
    assert needed("--keep-censored") - needed() == pytest.approx(ROWS_MB)


def test_the_voxels_of_a_mask_that_is_not_there_yet_are_guessed(needed):
    share = 0.25 * 30**3 / N_VOXELS
    assert needed("--mask-strategy", "epi") == pytest.approx(share * ROWS_MB + BLOCK_MB)


def test_regions_need_little(needed, tmp_path):
    atlas = write_atlas(tmp_path, shape=SHAPE)
    assert needed("--atlas", str(atlas)) < 4 * 8 * 10_000 * 10 / 1e6
    assert needed("--atlas", str(atlas), n_volumes=2) == pytest.approx(33 * 30**3 / 1e6)


def test_maps_are_held_at_the_voxels_of_the_mask(needed, tmp_path):
    maps = write_image(tmp_path / "maps.nii.gz", blob_maps(20, shape=SHAPE))
    need = needed("--maps", str(maps), n_volumes=2)
    assert need == pytest.approx((20 * 8 + 150) * N_VOXELS / 1e6, rel=0.2)


def test_an_eigenvariate_needs_the_voxels(needed, tmp_path):
    words = ("--atlas", str(write_atlas(tmp_path, shape=SHAPE)), "--region-statistic")
    assert needed(*words, "eigenvariate") == pytest.approx(needed())
    assert needed(*words, "eigenvariate", "median") > needed()


def test_a_matrix_between_regions_counts_where_it_is_the_largest(needed, tmp_path):
    maps = write_image(tmp_path / "maps.nii.gz", blob_maps(20, shape=SHAPE))
    words = ("--maps", str(maps), "--no-voxels")
    # The operator is that of the run's own 40 volumes.
    matrix_mb = 20 * (30 * 40 + 70 * 20) / 1e6
    assert needed(*words, "--connectivity", "partial") == needed(*words) > matrix_mb
    [run] = write_dataset(tmp_path / "other", n_volumes=40)
    preparation = prepared(run.root, tmp_path, *words, "--connectivity", "partial", "pearson")
    need = need_of(preparation, preparation.products[-2:], keeps_censored=False)
    assert need.after_mb == pytest.approx(matrix_mb)
    assert need.process_mb(1) == pytest.approx(PROCESS_MB + need.grid_mb + matrix_mb)


def test_masks_alone_need_their_grid(needed):
    assert needed("--mask-only") == pytest.approx(0)


def test_what_is_up_to_date_needs_nothing(needed, tmp_path):
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    assert needed(n_volumes=40) == pytest.approx(0)
    simple = needed("--confounds", "simple", "24P")
    assert simple == pytest.approx(needed("--confounds", "24P"))


def test_threads_clean_a_block_each(needed):
    assert needed(n_threads=2) == pytest.approx(ROWS_MB + 2 * BLOCK_MB)
    # There are no more than four blocks.
    assert needed(n_threads=64) == needed(n_threads=4) == pytest.approx(ROWS_MB + 4 * BLOCK_MB)


def test_processes_add_up():
    four = Resources(n_procs=4, n_threads=2, n_threads_alone=8)
    need = Need(grid_mb=10, rows_mb=100, block_mb=5, n_blocks=100)
    assert need.in_all_mb(1, four) == PROGRAM_MB + 10 + 100 + 8 * 5
    one = PROCESS_MB + 10 + 100 + 2 * 5
    assert need.in_all_mb(9, four) == PROGRAM_MB + PROCESS_MB + 4 * one
    assert need.in_all_mb(3, four) == PROGRAM_MB + PROCESS_MB + 3 * one


def test_a_dry_run_finds_a_mask_that_cannot_be_read(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    content = run.mask.read_bytes()
    run.mask.write_bytes(content[:-9] + b"\xff" + content[-8:])
    dry = run_app(tmp_path / "in", tmp_path / "out", "--dry-run")
    assert dry == run_app(tmp_path / "in", tmp_path / "out") == 65


def told_and_taken(*words: object) -> tuple[list[float], list[float], float]:
    """Return the need of each run by a dry run, what each took, and the need in all, MB."""
    command = [sys.executable, "-m", "bidsmask", *map(str, words)]
    said = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    told = re.findall(r"products, about (\d+) MB", said.stdout)
    [in_all] = re.findall(r"^memory: about (\d+) MB", said.stdout, re.MULTILINE)
    # A program counts the memory of whom it replaces: a shell's is small, that of the tests not.
    through_shell = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    subprocess.run(through_shell, capture_output=True, check=True)
    [ledger] = Path(str(words[1])).glob("logs/*/ledger.jsonl")
    taken = [json.loads(line)["peak_mb"] for line in ledger.read_text().splitlines()]
    return sorted(map(float, told)), sorted(taken), float(in_all)


def test_processes_of_the_demo_take_what_was_told(tmp_path, tmp_path_factory):
    demo = demo_dataset(tmp_path_factory)
    words = ("--space", "MNI152NLin2009cAsym", "--voxels", "--atlas", atlas_of(demo))
    told, taken, _ = told_and_taken(demo, tmp_path, "participant", *words, "--n-procs", 2)
    assert len(told) == 6
    assert told == pytest.approx(taken, rel=0.25)


@pytest.mark.skipif(not REAL_BOLD.exists(), reason="the real run is not there")
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--confounds", "simple", "24P", "--keep-censored", "--mask-strategy", "epi"),
        ("--trials", "--trial-window", "4", "8"),
        ("--mask-only", "--mask-strategy", "brain"),
    ],
)
def test_a_single_real_run_takes_what_was_told(tmp_path, monkeypatch, words):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(SHARED / "templateflow"))
    dataset = SHARED / "studyforrest"
    [told], [taken], in_all = told_and_taken(dataset, tmp_path, "participant", *words)
    assert in_all == pytest.approx(taken, rel=0.25)
    assert in_all >= told + PROGRAM_MB - PROCESS_MB


@pytest.mark.slow
@pytest.mark.skipif(not REAL_BOLD.exists(), reason="the real head is not there")
def test_the_brain_of_a_real_t1w_takes_what_was_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(SHARED / "templateflow"))
    shutil.copytree(SHARED / "studyforrest/sub-02/anat", tmp_path / "in/sub-02/anat")
    shutil.copy(SHARED / "studyforrest/dataset_description.json", tmp_path / "in")
    words = ("participant", "--datatype", "anat", "--mask-strategy", "brain")
    _, [taken], in_all = told_and_taken(tmp_path / "in", tmp_path / "out", *words)
    assert in_all == pytest.approx(taken, rel=0.25)
