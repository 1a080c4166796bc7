"""Mask strategies from the command line to file and sidecar; `brain` has a file of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.strategies import STRATEGIES, compute_mask, parse_arguments
from tests.make_app import Written, needs_validator, run_app, validator_issues
from tests.make_images import AFFINE, write_image
from tests.make_runs import SPACE, SmallRun, brain, write_dataset

SHAPE = (20, 22, 18)
COMPUTED = {
    "background": ("opening=1", "border_size=1"),
    "epi": ("opening=1", "connected=false"),
    "otsu": ("threshold=500,2000", "closing_radius=1"),
    "automask": ("clfrac=0.4", "gradual=false"),
}
FROM_TEMPLATE = {
    "whole-brain-template": "desc-brain_mask",
    "gm-template": "label-GM_probseg",
    "wm-template": "label-WM_probseg",
}
NAMES = {
    "whole-brain-template": "wholeBrainTemplate",
    "gm-template": "gmTemplate",
    "wm-template": "wmTemplate",
}


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    [run] = write_dataset(tmp_path / "in", shape=SHAPE, n_volumes=6)
    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    return tmp_path / "templateflow"


def put_map(home: Path, kind: str, *, space: str = SPACE, step: int = 1) -> Path:
    """Write a map of a template over the run's head, with voxels `step` times finer."""
    affine = AFFINE @ np.diag([1 / step, 1 / step, 1 / step, 1])
    path = home / f"tpl-{space}/tpl-{space}_res-0{step}_{kind}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    fine = np.asarray(SHAPE) * step
    return write_image(path, 200 * brain(tuple(fine)).astype(np.uint8), affine=affine, slope=0.005)


def masks_only(run: SmallRun, output: Path, *options: object) -> int:
    return run_app(run.root, output, "--mask-only", *options)


def written(output: Path, space: str = SPACE) -> Written:
    return Written(output, "sub-01_task-rest", space)


def test_every_strategy_is_tried_here() -> None:
    assert {*COMPUTED, *FROM_TEMPLATE, "derivative", "file", "brain"} == set(STRATEGIES)


@pytest.mark.parametrize("strategy", COMPUTED)
@pytest.mark.parametrize("has_arguments", [False, True])
def test_a_computed_mask_is_that_of_the_function(
    run: SmallRun, tmp_path: Path, strategy: str, has_arguments: bool
) -> None:
    words = COMPUTED[strategy] if has_arguments else ()
    more = ["--mask-args", *words] if words else []
    assert masks_only(run, tmp_path / "out", "--mask-strategy", strategy, *more) == 0
    image = open_image(run.bold)
    arguments = parse_arguments(strategy, words)
    mean = mean_volume(image, absolute=strategy == "automask")
    expected = compute_mask(strategy, mean, image.grid, arguments, run.bold)
    output = written(tmp_path / "out")
    np.testing.assert_array_equal(output.mask(strategy), expected.voxels)
    sidecar = output.sidecar(f"desc-{strategy}_mask.json")
    assert sidecar["Strategy"] == strategy
    assert sidecar["StrategyArguments"] == json.loads(json.dumps(arguments))
    assert sidecar["Voxels"] == expected.n_voxels


def test_automask_takes_the_mean_of_magnitudes(run: SmallRun, tmp_path: Path) -> None:
    signs = np.where(np.arange(6) % 2, -1, 1)
    head = brain(SHAPE)[..., None] * 900 + np.random.default_rng(0).normal(0, 5, (*SHAPE, 6))
    run.replace((head * signs).astype(np.int16))
    assert masks_only(run, tmp_path / "out", "--mask-strategy", "automask") == 0
    found = written(tmp_path / "out").mask("automask")
    assert 2 * (found & brain(SHAPE)).sum() / (found.sum() + brain(SHAPE).sum()) > 0.98


@pytest.mark.parametrize("strategy", FROM_TEMPLATE)
def test_a_template_mask_comes_from_the_runs_own_space(
    run: SmallRun, home: Path, tmp_path: Path, strategy: str
) -> None:
    source = put_map(home, FROM_TEMPLATE[strategy])
    before = sorted(home.rglob("*"))
    options = ["--mask-strategy", strategy, "--mask-args", "opening=0"]
    assert masks_only(run, tmp_path / "out", *options) == 0
    output, name = written(tmp_path / "out"), NAMES[strategy]
    np.testing.assert_array_equal(output.mask(name), brain(SHAPE))
    sidecar = output.sidecar(f"desc-{name}_mask.json")
    assert sidecar["Sources"] == [source.name]
    assert sidecar["Type"] == ("Brain" if strategy == "whole-brain-template" else "ROI")
    assert sidecar["MaskIdentity"] == SPACE
    assert sorted(home.rglob("*")) == before


def test_signals_are_those_of_the_template_mask(run: SmallRun, home: Path, tmp_path: Path) -> None:
    [run] = write_dataset(tmp_path / "long", shape=SHAPE)
    put_map(home, "label-GM_probseg")
    options = ["--mask-strategy", "gm-template", "--confounds", "none"]
    assert run_app(run.root, tmp_path / "out", *options) == 0
    output = written(tmp_path / "out")
    assert output.voxels("none").shape[1] == brain(SHAPE).sum()
    assert output.column_map("gmTemplate").max() == brain(SHAPE).sum()


def test_the_map_on_the_runs_grid_goes_before_a_finer_one(
    run: SmallRun, home: Path, tmp_path: Path
) -> None:
    finer, own = (put_map(home, "desc-brain_mask", step=step) for step in (2, 1))
    options = ["--mask-strategy", "whole-brain-template"]
    assert masks_only(run, tmp_path / "out", *options) == 0
    ending = "desc-wholeBrainTemplate_mask.json"
    assert written(tmp_path / "out").sidecar(ending)["Sources"] == [own.name]
    own.unlink()
    assert masks_only(run, tmp_path / "out", *options) == 0
    assert written(tmp_path / "out").sidecar(ending)["Sources"] == [finer.name]


def test_a_mask_is_made_again_when_its_template_or_arguments_change(
    run: SmallRun, home: Path, tmp_path: Path
) -> None:
    path = put_map(home, "label-GM_probseg")
    options = ["--mask-strategy", "gm-template"]
    output = written(tmp_path / "out")

    def n_voxels(*more: str) -> int:
        assert masks_only(run, tmp_path / "out", *options, *more) == 0
        return int(output.mask("gmTemplate").sum())

    whole = n_voxels()
    assert n_voxels("--mask-args", "opening=1") < whole
    half = 200 * brain(SHAPE).astype(np.uint8)
    half[: SHAPE[0] // 2] = 0
    write_image(path, half, slope=0.005)
    assert n_voxels() == (half > 0).sum()


def test_another_template_can_be_named_and_is_warned_of(
    run: SmallRun, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_map(home, "label-WM_probseg", space="MNI152NLin6Asym")
    options = ["--mask-strategy", "wm-template", "--template", "MNI152NLin6Asym", "-v"]
    assert masks_only(run, tmp_path / "out", *options) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert f"is in the space {SPACE}, but its mask comes from MNI152NLin6Asym" in shown


@pytest.mark.parametrize(
    ("space", "options", "sentences"),
    [
        (
            SPACE,
            (),
            [
                f"tpl-{SPACE}_res-01_label-GM_probseg.nii.gz is not in TEMPLATEFLOW_HOME",
                f"api.get('{SPACE}', resolution=1, label='GM', suffix='probseg')",
            ],
        ),
        (
            "",
            (),
            ["is in the space of the run itself, where no template lies", "--mask-strategy brain"],
        ),
        ("T1w", (), ["is in the space T1w, where no template lies"]),
        ("Mars", (), ["Mars is no template of TemplateFlow", "--template"]),
        ("MNI152NLin6Asym", (), ["MNI152NLin6Asym has no label-GM_probseg in TemplateFlow"]),
        ("T1w", ("--template", SPACE), ["is in the space T1w, where no template lies"]),
    ],
    ids=["not fetched", "native", "T1w", "unknown", "no such map", "native with a template"],
)
def test_a_run_without_a_template_is_refused_with_advice(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    space: str,
    options: tuple[str, ...],
    sentences: list[str],
) -> None:
    [run] = write_dataset(tmp_path / "in", shape=SHAPE, n_volumes=6, space=space)
    put_map(home, "desc-brain_mask")
    assert masks_only(run, tmp_path / "out", "--mask-strategy", "gm-template", *options) == 65
    shown = " ".join(capsys.readouterr().err.split())
    for sentence in sentences:
        assert sentence in shown


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--mask-strategy", "otsu", "--mask-args", "radius=3"), "threshold, closing_radius"),
        (("--mask-strategy", "automask", "--mask-args", "peels=0"), "has peels=0"),
        (("--template", "MNI152NLin6Asym"), "--template does nothing beside --mask-strategy auto"),
        (("--mask-strategy", "gm-template", "--template", "../x"), "is no template"),
    ],
)
def test_wrong_words_are_refused_at_once(
    run: SmallRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    sentence: str,
) -> None:
    assert masks_only(run, tmp_path / "out", *options) == 64
    assert sentence in " ".join(capsys.readouterr().err.split())


@needs_validator
def test_the_validator_has_nothing_against_any_mask(
    run: SmallRun, home: Path, tmp_path: Path
) -> None:
    for strategy in COMPUTED:
        assert masks_only(run, tmp_path / "out", "--mask-strategy", strategy) == 0
    for strategy, kind in FROM_TEMPLATE.items():
        put_map(home, kind)
        assert masks_only(run, tmp_path / "out", "--mask-strategy", strategy) == 0
    issues = validator_issues(tmp_path / "out")
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}  # of no strategy's making
