"""The brain strategy from the command line to the mask: templates, doubts, and what auto takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bidsmask.app.arguments import parse
from bidsmask.app.masks import contrast_of
from bidsmask.app.plan import plan
from bidsmask.app.preparation import Preparation
from bidsmask.app.prepare import prepare
from bidsmask.bids.dataset import find_dataset
from bidsmask.bids.entities import Entities
from bidsmask.bids.run import Run
from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.brain import brain_mask
from tests.make_app import Written, image_of, run_app
from tests.make_heads import dice, head_grid, head_image, head_prior, true_brain
from tests.make_images import SHARED, STUDYFORREST, head_volumes, write_image
from tests.make_runs import SPACE, SmallRun, write_dataset

SMALLER = 0.93
TEMPLATES = SHARED / "templateflow"
START = f"tpl-{SPACE}_res-02"
FILES = ("desc-fMRIPrep_boldref", "T1w", "desc-brain_mask")
needs_real_head = pytest.mark.skipif(
    not (STUDYFORREST.exists() and TEMPLATES.exists()), reason="the real head is not there"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with the simulated head of the template."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    folder = tmp_path / f"templateflow/tpl-{SPACE}"
    folder.mkdir(parents=True)
    images = (head_image("EPI", noise=0), head_image("T1w", noise=0), true_brain())
    for kind, values in zip(FILES, images, strict=True):
        stored = values.astype(np.float32 if values.dtype != bool else np.uint8)
        write_image(folder / f"{START}_{kind}.nii.gz", stored, affine=head_grid().affine)
    return folder


def write_head(root: Path, values: np.ndarray, space: str = "") -> SmallRun:
    """Write a run of three volumes of a head, without a mask of its own."""
    [run] = write_dataset(root, space=space, with_mask=False, n_volumes=3)
    volumes = np.repeat(values[..., None], 3, axis=-1)
    run.replace(volumes.astype(np.int16), affine=head_grid().affine)
    return run


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    return write_head(tmp_path / "in", head_image("EPI", SMALLER))


def prepared(run: SmallRun, *options: object) -> Preparation:
    """Return what becomes of a run before anything is computed."""
    output = run.root.parent / "out"
    chosen = parse([str(run.root), str(output), "participant", "--mask-only", *map(str, options)])
    [job] = [
        step.job for step in plan(find_dataset(run.root, None, output), ["01"], chosen) if step.job
    ]
    return prepare(job)


def written(output: Path, space: str = "") -> Written:
    return Written(output, "sub-01_task-rest", space)


def test_the_mask_is_that_of_the_function(run: SmallRun, home: Path, tmp_path: Path) -> None:
    before = sorted(home.rglob("*"))
    options = ("--mask-only", "--mask-strategy", "brain")
    assert run_app(run.root, tmp_path / "out", *options) == 0
    image = open_image(run.bold)
    expected = brain_mask(mean_volume(image), image.grid, head_prior("EPI"), "EPI")
    found = written(tmp_path / "out").mask("brain")
    np.testing.assert_array_equal(found, expected.voxels)
    assert dice(found, true_brain(SMALLER)) > 0.98
    sidecar = written(tmp_path / "out").sidecar("desc-brain_mask.json")
    assert sidecar["Sources"][1:] == [f"{START}_{kind}.nii.gz" for kind in FILES]
    assert sidecar["StrategyArguments"] == {"contrast": "EPI"}
    assert sidecar["MaskIdentity"] == SPACE
    assert sidecar["Type"] == "Brain"
    assert sidecar["Confidence"] == pytest.approx(expected.confidence, abs=1e-4)
    assert sidecar["Doubts"] == []
    assert sorted(home.rglob("*")) == before


def test_a_mask_in_doubt_is_written_with_its_doubts_and_warned_of(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = head_image("EPI").copy()
    half[: len(half) // 2] = 0
    run = write_head(tmp_path / "in", half)
    options = ("--mask-only", "--mask-strategy", "brain", "-v")
    assert run_app(run.root, tmp_path / "out", *options) == 0
    [doubt] = written(tmp_path / "out").sidecar("desc-brain_mask.json")["Doubts"]
    assert "the template hardly fits: confidence 0." in doubt
    shown = " ".join(capsys.readouterr().err.split())
    assert f"has a brain mask that may be wrong: {doubt}" in shown
    [findings] = (tmp_path / "out").glob("logs/*/findings.tsv")
    assert "unsure-mask" in findings.read_text()


def test_auto_takes_brain_where_its_template_is_at_hand(run: SmallRun, home: Path) -> None:
    preparation = prepared(run)
    assert preparation.mask.strategy == "brain"
    assert preparation.mask.reason == "auto: the preprocessing has no mask for this run and space"
    assert preparation.mask.product.path.name == "sub-01_task-rest_desc-brain_mask.nii.gz"
    assert not preparation.findings


def test_auto_takes_epi_elsewhere_and_says_what_to_fetch(run: SmallRun) -> None:
    preparation = prepared(run)
    assert preparation.mask.strategy == "epi"
    assert "the template of the brain strategy is not at hand" in preparation.mask.reason
    [note] = preparation.findings
    assert (note.severity, note.code) == ("note", "no-head-template")
    assert "the mask is made by epi, not by brain" in note.problem
    assert "api.get('MNI152NLin2009cAsym', resolution=2, suffix='T1w')" in note.advice


def test_auto_takes_the_mask_of_the_preprocessing_first(home: Path, tmp_path: Path) -> None:
    [run] = write_dataset(tmp_path / "in")
    assert prepared(run).mask.strategy == "derivative"


def test_a_template_that_was_not_fetched_is_told_before_anything_is_computed(
    run: SmallRun, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / f"{START}_T1w.nii.gz").unlink()
    (home / f"{START}_desc-brain_mask.nii.gz").write_bytes(b"")  # known, not fetched
    options = ("--mask-only", "--mask-strategy", "brain")
    assert run_app(run.root, tmp_path / "out", *options, "--dry-run") == 65
    shown = " ".join(capsys.readouterr().err.split())
    missing = f"{START}_T1w.nii.gz, {START}_desc-brain_mask.nii.gz are not in TEMPLATEFLOW_HOME"
    assert missing in shown
    assert 'python -c "from templateflow import api; api.get(' in shown
    assert not (tmp_path / "out").exists()


def test_another_head_can_be_named_and_is_t1w_where_there_is_none_of_the_contrast(
    run: SmallRun, home: Path
) -> None:
    other = home.with_name("tpl-MNI152NLin6Asym")
    other.mkdir()
    for kind in FILES[1:]:
        copied = other / f"{START}_{kind}.nii.gz".replace(SPACE, "MNI152NLin6Asym")
        shutil.copy(home / f"{START}_{kind}.nii.gz", copied)
    preparation = prepared(run, "--mask-strategy", "brain", "--template", "MNI152NLin6Asym")
    head = preparation.mask.head
    assert head is not None
    assert head.contrast == "T1w"
    assert {path.parent for path in head.paths} == {other}
    assert preparation.mask.given == "MNI152NLin6Asym"
    [note] = preparation.findings
    assert "taken for EPI, but MNI152NLin6Asym has no such head" in note.problem


def test_heads_on_several_grids_are_refused_at_once(
    run: SmallRun, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(home / f"{START}_T1w.nii.gz", np.ones((9, 9, 9), np.uint8))
    options = ("--mask-only", "--mask-strategy", "brain", "--dry-run")
    assert run_app(run.root, tmp_path / "out", *options) == 65
    shown = " ".join(capsys.readouterr().err.split())
    assert f"{START}_T1w.nii.gz has shape (9, 9, 9)" in shown


def test_another_template_or_contrast_makes_another_mask(run: SmallRun, home: Path) -> None:
    def fingerprint(*options: str) -> str:
        return prepared(run, "--mask-strategy", "brain", *options).mask.fingerprint

    told = fingerprint()
    assert fingerprint("--mask-args", "contrast=EPI") == told
    assert fingerprint("--mask-args", "contrast=T1w") != told
    bright = np.asarray(2 * head_image("T1w", noise=0), np.float32)
    write_image(home / f"{START}_T1w.nii.gz", bright, affine=head_grid().affine)
    assert fingerprint() != told


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_bold.nii.gz", "EPI"),
        ("sub-01_boldref.nii", "EPI"),
        ("sub-01_T1w.nii.gz", "T1w"),
        ("my head.v2_T2w.nii", "T2w"),
        ("T1w.nii.gz", "T1w"),
        ("sub-01_FLAIR.nii.gz", None),
        ("head.nii.gz", None),
    ],
)
def test_the_contrast_is_told_by_the_name(name: str, contrast: str | None) -> None:
    assert contrast_of(Run("01", Path(name), Entities.parse(name))) == contrast
    assert contrast_of(Run("", Path(name), Entities(left_over=(name,)))) == contrast


def test_an_image_that_does_not_tell_its_contrast_is_not_taken_for_one(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    image = head_volumes(n_volumes=1)[..., 0].astype(np.float32)
    write_image(tmp_path / "in/head.nii.gz", image)
    assert run_app(tmp_path / "in", tmp_path / "out", "--mask-only") == 0
    told = json.loads((tmp_path / "out/head_mask.json").read_text())
    assert told["Strategy"] == "automask"
    assert "the name of the image does not tell its contrast" in told["StrategyReason"]
    options = ("--mask-only", "--mask-strategy", "brain", "--dry-run")
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 65
    assert "Give --mask-args contrast=EPI" in " ".join(capsys.readouterr().err.split())
    words = ("--mask-args", "contrast=T1w")
    assert run_app(tmp_path / "in", tmp_path / "out", *options, *words) == 0


@needs_real_head
def test_a_real_run_gets_the_mask_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(TEMPLATES))
    options = ("--mask-only", "--mask-strategy", "brain")
    assert run_app(SHARED / "studyforrest", tmp_path, *options) == 0
    [found] = tmp_path.glob("sub-02/func/*_desc-brain_mask.nii.gz")
    trusted = image_of(STUDYFORREST / found.name) > 0
    assert dice(image_of(found) > 0, trusted) >= 0.955
    assert json.loads(found.with_suffix("").with_suffix(".json").read_text())["Doubts"] == []


@needs_real_head
@pytest.mark.slow
def test_a_real_run_upside_down_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(TEMPLATES))
    [run] = write_dataset(tmp_path / "in", space="", with_mask=False, n_volumes=3)
    image = open_image(STUDYFORREST / "sub-02_task-oneback_run-1_desc-coreg_boldref.nii.gz")
    mean = mean_volume(image)[:, :, ::-1]
    volumes = np.repeat(mean[..., None], 3, axis=-1)
    run.replace(volumes.astype(np.float32), affine=image.grid.affine)
    assert run_app(run.root, tmp_path / "out", "--mask-only", "--mask-strategy", "brain", "-v") == 0
    assert written(tmp_path / "out").sidecar("desc-brain_mask.json")["Doubts"]
    assert "has a brain mask that may be wrong" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("bounds", "taken", "ending"),
    [((500, 900), "automask", "epi is refused, volume"), ((3000, 4000), "epi", "none passes")],
)
def test_auto_goes_on_where_brain_refuses_the_image(
    home: Path, tmp_path: Path, bounds: tuple[int, int], taken: str, ending: str
) -> None:
    options = ("--mask-only", "--brain-volume", *bounds)
    middle = head_grid().shape[2] // 2
    write_head(tmp_path / "in", head_image("EPI")[:, :, middle - 4 : middle + 5])
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 0
    told = written(tmp_path / "out").sidecar(f"desc-{taken}_mask.json")
    assert "brain is refused, the image is" in told["StrategyReason"]
    assert "36 mm large, but a head needs 40 to" in told["StrategyReason"]
    assert told["StrategyReason"].endswith(ending)
    before = written(tmp_path / "out").path(f"desc-{taken}_mask.json").stat().st_mtime_ns
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 0
    assert written(tmp_path / "out").path(f"desc-{taken}_mask.json").stat().st_mtime_ns == before
    assert len(list((tmp_path / "out").rglob("*_mask.nii.gz"))) == 1


def test_auto_fails_where_no_mask_can_be_made_and_says_why_of_each(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_head(tmp_path / "in", np.zeros(head_grid().shape))
    assert run_app(tmp_path / "in", tmp_path / "out", "--mask-only") == 65
    shown = " ".join(capsys.readouterr().err.split())
    for strategy in ("brain", "epi", "automask"):
        assert f"{strategy} is refused, the image " in shown
