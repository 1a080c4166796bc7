"""The whole app on the simulated head, held to the truth that is written beside it.

The true signals go through the same linear steps as the measured ones before they are
compared, since a perfect cleaning takes the confounds' share out of them, too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from nilearn.maskers import NiftiLabelsMasker

from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.confounds import select_regressors
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.reference import fit_confounds, linear_steps
from bidsmask.cleaning.strategies import STRATEGIES
from bidsmask.demo.plan import SPACE
from bidsmask.demo.timecourse import T_R_S
from tests.make_app import (
    Written,
    correlations,
    detrended,
    image_of,
    needs_validator,
    run_app,
    table_of,
    validator_issues,
    zscored,
)
from tests.make_demo import DemoRun, atlas_of, demo_dataset, demo_runs

N_RUNS = 6
BAND = TemporalFilter("butterworth", 0.01, 0.1)
STRATEGIES_USED = ("none", "simple", "scrubbing")

runs = pytest.mark.parametrize("number", range(N_RUNS))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_dataset(tmp_path_factory)


@pytest.fixture(scope="module")
def output(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with epi masks: voxels and regions, three strategies, no filter."""
    output = tmp_path_factory.mktemp("epi") / "out"
    options = ["--mask-strategy", "epi", "--voxels", "--atlas", atlas_of(demo), "--space", SPACE]
    assert run_app(demo, output, *options, "--confounds", *STRATEGIES_USED) == 0
    return output


@pytest.fixture(scope="module")
def filtered(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with the derivatives' masks: regions, three strategies, 0.01 to 0.1 Hz."""
    output = tmp_path_factory.mktemp("auto") / "out"
    options = ["--atlas", atlas_of(demo), "--space", SPACE, "--high-pass", 0.01, "--low-pass", 0.1]
    assert run_app(demo, output, *options, "--confounds", *STRATEGIES_USED) == 0
    return output


def written(output: Path, run: DemoRun) -> Written:
    return Written(output, run.name, SPACE)


def through_cleaning(
    run: DemoRun, strategy: str, kept: npt.NDArray[np.bool_], temporal_filter: TemporalFilter
) -> npt.NDArray[np.float64]:
    """Return the true signals after the linear steps of a cleaning, kept volumes x regions."""
    table = run.confounds
    regressors = select_regressors(STRATEGIES[strategy], table, {}, len(table), "the demo")
    cleaning = Cleaning(filter=temporal_filter)
    fit = fit_confounds(cleaning, T_R_S, kept, regressors)
    return linear_steps(run.signals.to_numpy(), cleaning, T_R_S, kept, fit)


# Masks


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@runs
def test_the_epi_mask_is_nearly_the_true_one(demo, output, number):
    run = demo_runs(demo)[number]
    # Measured: .930 to .990.
    assert dice(written(output, run).mask("epi"), run.mask) >= 0.92


@runs
def test_auto_takes_the_mask_of_the_derivatives(demo, filtered, number):
    run = demo_runs(demo)[number]
    np.testing.assert_array_equal(written(filtered, run).mask("derivative"), run.mask)


# Signals


@runs
@pytest.mark.parametrize("band", [TemporalFilter("none"), BAND], ids=["unfiltered", "filtered"])
def test_cleaning_recovers_the_true_signals(demo, output, filtered, number, band):
    run = demo_runs(demo)[number]
    files = written(output if band.kind == "none" else filtered, run)
    suffix = "" if band.kind == "none" else "HP001LP01"
    recovered = {}
    for strategy in STRATEGIES_USED:
        kept = files.kept(strategy + suffix)
        ideal = through_cleaning(run, strategy, kept, band)
        signals = files.regions(strategy + suffix, "demo")
        assert list(signals) == list(run.signals)
        recovered[strategy] = correlations(signals, ideal)
    # Measured: worst region of any run .10 to .44 without cleaning, .88 to .96 with it.
    assert recovered["simple"].min() > 0.85
    assert recovered["scrubbing"].min() > 0.88
    assert recovered["simple"].mean() > recovered["none"].mean() + 0.2
    # Leaving out spoiled volumes costs nothing.
    assert recovered["scrubbing"].mean() > recovered["simple"].mean() - 0.005


@runs
def test_cleaned_signals_are_nearer_to_the_truth_itself(demo, output, number):
    run = demo_runs(demo)[number]
    files, truth = written(output, run), run.signals.to_numpy()
    nearness = {
        strategy: correlations(files.regions(strategy, "demo"), truth[files.kept(strategy)])
        for strategy in STRATEGIES_USED
    }
    # Measured: .26 to .52 without cleaning, .77 to .83 simple, .75 to .79 scrubbing.
    for strategy in ("simple", "scrubbing"):
        assert nearness[strategy].mean() > max(0.72, nearness["none"].mean() + 0.2)


# Censoring


@runs
def test_every_spoiled_volume_is_censored_and_little_else(demo, output, number):
    run = demo_runs(demo)[number]
    kept = written(output, run).kept("scrubbing")
    spoiled = run.spoiled["volume"].to_numpy()
    assert not kept[spoiled].any()
    # The volume after a jerk has moved as far, back again.
    after = np.minimum(spoiled + 1, len(kept) - 1)
    assert set(np.flatnonzero(~kept)) <= {*spoiled, *after}


@pytest.fixture(scope="module")
def spoilt(demo: Path) -> DemoRun:
    """The run that is spoiled at both of its ends."""
    return next(run for run in demo_runs(demo) if run.name == "sub-02_task-faces_run-1")


@pytest.mark.parametrize("rest", [0.0, 3e4], ids=["zeros", "bright"])
def test_what_censored_volumes_hold_reaches_no_signal(demo, filtered, spoilt, tmp_path, rest):
    """The same run, with its censored volumes replaced by something absurd."""
    files = written(filtered, spoilt)
    kept = files.kept("scrubbingHP001LP01")
    assert not kept[[0, -1]].any()
    changed = tmp_path / "fmriprep"
    shutil.copytree(demo / "derivatives" / "fmriprep" / "sub-02", changed / "sub-02")
    shutil.copy(demo / "derivatives" / "fmriprep" / "dataset_description.json", changed)
    bold = changed / spoilt.bold.relative_to(demo / "derivatives" / "fmriprep")
    image = nibabel.load(bold)
    stored = np.asarray(image.dataobj.get_unscaled()).copy()
    stored[..., ~kept] = rest
    header = image.header.copy()
    header.set_slope_inter(image.dataobj.slope, image.dataobj.inter)
    again = nibabel.Nifti1Image(stored, image.affine, header)
    again.header.set_slope_inter(image.dataobj.slope, image.dataobj.inter)
    again.to_filename(bold)
    options = ["--atlas", atlas_of(demo), "--space", SPACE, "--high-pass", 0.01, "--low-pass", 0.1]
    options += ["--run-label", 1, "--confounds", "scrubbing"]
    assert run_app(changed, tmp_path / "out", *options) == 0
    spoiled = written(tmp_path / "out", spoilt).regions("scrubbingHP001LP01", "demo")
    undisturbed = files.regions("scrubbingHP001LP01", "demo")
    np.testing.assert_allclose(spoiled, undisturbed, rtol=0, atol=1e-6)


def test_signals_are_as_true_at_the_ends_as_in_the_middle(filtered, spoilt):
    files = written(filtered, spoilt)
    kept = files.kept("scrubbingHP001LP01")
    ideal = zscored(through_cleaning(spoilt, "scrubbing", kept, BAND))
    error = np.asarray(files.regions("scrubbingHP001LP01", "demo")) - ideal
    size = np.sqrt((error**2).mean(axis=1))
    ends = np.concatenate([size[:10], size[-10:]])
    assert np.median(ends) < 2 * np.median(size)
    assert ends.max() < 2 * size[10:-10].max()


def test_censoring_at_both_ends_is_better_than_nilearns(demo, filtered, spoilt):
    """nilearn mirrors the numbers of censored volumes, and loses count at both ends."""
    files = written(filtered, spoilt)
    kept = files.kept("scrubbingHP001LP01")
    table = spoilt.confounds
    confounds = select_regressors(STRATEGIES["scrubbing"], table, {}, len(table), "the demo")
    masker = NiftiLabelsMasker(
        atlas_of(demo),
        mask_img=spoilt.fmriprep("desc-brain_mask.nii.gz", SPACE),
        detrend=True,
        standardize="zscore_sample",
        high_pass=0.01,
        low_pass=0.1,
        t_r=T_R_S,
        dtype="float64",
        verbose=0,
    )
    theirs = masker.fit_transform(
        spoilt.bold, confounds=confounds.values, sample_mask=np.flatnonzero(kept)
    )
    ours = files.regions("scrubbingHP001LP01", "demo")
    assert theirs.shape == ours.shape
    truth = spoilt.signals.to_numpy()[kept]
    ideal = through_cleaning(spoilt, "scrubbing", kept, BAND)
    # Measured: with the truth .58 and .44, with the cleaned truth .96 and .60.
    assert correlations(ours, truth).mean() > correlations(theirs, truth).mean() + 0.05
    assert correlations(ours, ideal).mean() > correlations(theirs, ideal).mean() + 0.2


# Rows and columns are what the tables say


@runs
def test_rows_are_the_kept_volumes_of_the_table(demo, output, number):
    run = demo_runs(demo)[number]
    files = written(output, run)
    for strategy in STRATEGIES_USED:
        table = files.volumes(strategy)
        rows = len(files.voxels(strategy))
        kept = table["kept"].to_numpy(bool)
        assert rows == len(files.regions(strategy, "demo")) == kept.sum()
        np.testing.assert_array_equal(table["row"][kept], np.arange(rows))
        assert table["row"][~kept].isna().all()
        assert (table["reason"].isna() == kept).all()
        np.testing.assert_array_equal(table["volume"], np.arange(len(run.signals)))
        np.testing.assert_allclose(table["onset"], np.arange(len(table)) * T_R_S)
        for name in ("framewise_displacement", "std_dvars"):
            np.testing.assert_array_equal(table[name], run.confounds[name])


def test_censored_volumes_may_be_kept_as_rows_without_values(demo, output, spoilt, tmp_path):
    options = ["--mask-strategy", "epi", "--space", SPACE, "--participant-label", "02"]
    options += ["--run-label", 1, "--atlas", atlas_of(demo), "--confounds", "scrubbing"]
    assert run_app(demo, tmp_path / "out", *options, "--keep-censored") == 0
    files = written(tmp_path / "out", spoilt)
    table, signals = files.volumes("scrubbingALLROWS"), files.regions("scrubbingALLROWS", "demo")
    kept = table["kept"].to_numpy(bool)
    np.testing.assert_array_equal(signals.isna(), np.repeat(~kept[:, None], 14, axis=1))
    np.testing.assert_array_equal(table["row"][kept], table["volume"][kept])
    expected = written(output, spoilt).regions("scrubbing", "demo")
    np.testing.assert_array_equal(signals[kept], expected)


@runs
def test_trials_of_volumes_are_those_of_the_events(demo, output, number):
    run = demo_runs(demo)[number]
    table = written(output, run).volumes("none")
    if run.plan.task == "rest":
        assert "trial_type" not in table
        return
    events = table_of(run.raw("events.tsv"))
    for onset, kind in zip(table["onset"], table["trial_type"], strict=True):
        now = events[(events["onset"] <= onset) & (onset < events["onset"] + events["duration"])]
        assert [kind] == (list(now["trial_type"]) or ["n/a"]) or (not len(now) and kind != kind)


def plain_signals(
    bold: Path, voxels: npt.NDArray[np.intp], kept: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return detrended, z-scored signals of voxels, (n_voxels, 3), volumes x voxels."""
    series = np.asarray(nibabel.load(bold).dataobj)[tuple(voxels.T)].T
    assert kept.all()
    return zscored(detrended(series))


def test_each_column_is_the_voxel_that_the_column_map_says(demo, output):
    run = demo_runs(demo)[0]
    files = written(output, run)
    image = files.column_map("epi")
    np.testing.assert_array_equal(image > 0, files.mask("epi"))
    columns = np.argsort(image[image > 0])
    voxels = np.argwhere(image > 0)[columns]
    expected = plain_signals(run.bold, voxels, files.kept("none"))
    np.testing.assert_allclose(files.voxels("none"), expected, rtol=0, atol=1e-5)

    table = table_of(files.path("seg-voxels_desc-epi_dseg.tsv"))
    np.testing.assert_array_equal(table["index"], np.arange(1, len(voxels) + 1))
    np.testing.assert_array_equal(table[["i", "j", "k"]], voxels)
    mm = nibabel.affines.apply_affine(nibabel.load(run.bold).affine, voxels)
    np.testing.assert_allclose(table[["x", "y", "z"]], mm, atol=1e-3)
    signals = table_of(files.path("seg-voxels_desc-none_timeseries.tsv"))
    assert list(signals) == list(table["name"])


@runs
def test_coverage_is_the_share_of_each_region_in_the_mask(demo, output, number):
    files = written(output, demo_runs(demo)[number])
    labels = image_of(atlas_of(demo))
    table = table_of(files.path("atlas-demo_stat-coverage_bold.tsv"))
    inside = [np.count_nonzero(files.mask("epi") & (labels == one)) for one in table["index"]]
    whole = [np.count_nonzero(labels == one) for one in table["index"]]
    np.testing.assert_array_equal(table["voxels"], inside)
    np.testing.assert_allclose(table["coverage"], np.divide(inside, whole), atol=1e-6)
    np.testing.assert_array_equal(image_of(files.path("atlas-demo_dseg.nii.gz")), labels)


def test_regions_are_the_means_of_their_voxels(demo, output):
    run = demo_runs(demo)[3]
    files = written(output, run)
    labels, mask = image_of(atlas_of(demo)), files.mask("epi")
    series = np.asarray(nibabel.load(run.bold).dataobj, np.float64)
    means = [series[(labels == one) & mask].mean(axis=0) for one in range(1, 15)]
    expected = zscored(detrended(np.transpose(means)))
    np.testing.assert_allclose(files.regions("none", "demo"), expected, rtol=0, atol=1e-5)


# Sidecars


@runs
@pytest.mark.parametrize("strategy", STRATEGIES_USED)
def test_the_numbers_of_the_sidecar_are_true(demo, output, filtered, number, strategy):
    run = demo_runs(demo)[number]
    for folder, suffix in ((output, ""), (filtered, "HP001LP01")):
        files = written(folder, run)
        told = files.sidecar(f"atlas-demo_stat-mean_desc-{strategy}{suffix}_timeseries.json")
        freedom = told["DegreesOfFreedom"]
        spent = ("censored", "intercept_and_trend", "filter", "regressors")
        left = freedom["volumes"] - sum(freedom[name] for name in spent)
        assert freedom["remaining"] == pytest.approx(left, abs=2e-3)
        assert freedom["volumes"] == len(run.signals)
        assert freedom["censored"] == np.count_nonzero(~files.kept(strategy + suffix))
        assert freedom["regressors"] == len(told["Cleaning"]["Regressors"])
        fd = run.confounds["framewise_displacement"].mean()
        assert told["MeanFramewiseDisplacement"] == pytest.approx(fd, abs=1e-6)
        assert told["SamplingFrequency"] == 1 / T_R_S
        assert (told["Columns"], told["ColumnsWithoutSignal"], told["NonFiniteValues"]) == (
            14,
            0,
            0,
        )
        band = told["Cleaning"]["Filter"]
        assert (band and (band["HighPass"], band["LowPass"])) == ((0.01, 0.1) if suffix else None)
        assert told["Cleaning"]["Censoring"]["FramewiseDisplacement"] == (
            0.5 if strategy == "scrubbing" else None
        )


@runs
def test_the_mask_sidecar_tells_its_volume(demo, output, number):
    files = written(output, demo_runs(demo)[number])
    told, mask = files.sidecar("desc-epi_mask.json"), files.mask("epi")
    assert told["Voxels"] == np.count_nonzero(mask)
    assert told["VolumeMillilitres"] == pytest.approx(np.count_nonzero(mask) * 8**3 / 1000)
    assert told["StrategyArguments"]["opening"] == 2


def test_degrees_of_freedom_are_those_of_white_noise(demo, filtered):
    """What remains is the number of independent samples: 2 / var(s²) of unit white noise."""
    run = demo_runs(demo)[0]
    files = written(filtered, run)
    told = files.sidecar("atlas-demo_stat-mean_desc-simpleHP001LP01_timeseries.json")
    kept = files.kept("simpleHP001LP01")
    noise = np.random.default_rng(0).standard_normal((len(kept), 4000))
    table = run.confounds
    regressors = select_regressors(STRATEGIES["simple"], table, {}, len(table), "the demo")
    cleaning = Cleaning(filter=BAND)
    fit = fit_confounds(cleaning, T_R_S, kept, regressors)
    power = (linear_steps(noise, cleaning, T_R_S, kept, fit) ** 2).sum(axis=0)
    samples = 2 * power.mean() ** 2 / power.var()
    assert told["DegreesOfFreedom"]["remaining"] == pytest.approx(samples, rel=0.1)


# The dataset as a whole


@needs_validator
@pytest.mark.parametrize("which", ["output", "filtered"])
def test_the_official_validator_has_nothing_to_say(request, which):
    assert validator_issues(request.getfixturevalue(which)) == []


@needs_validator
@pytest.mark.parametrize(
    "options",
    [
        ["--mask-only", "--mask-strategy", "epi"],
        ["--space", "func", "--confounds", "scrubbing", "--format", "tsv.gz", "--keep-censored"],
    ],
    ids=["masks", "native"],
)
def test_the_official_validator_takes_other_products_too(demo, tmp_path, options):
    assert run_app(demo, tmp_path / "out", "--participant-label", "03", *options) == 0
    assert any((tmp_path / "out").rglob("sub-03_task-rest_desc-*"))
    assert validator_issues(tmp_path / "out") == []


def test_the_second_run_finds_nothing_to_do(demo, filtered, capsys):
    before = {path: path.read_bytes() for path in filtered.glob("sub-*/**/*.*")}
    options = ["--atlas", atlas_of(demo), "--space", SPACE, "--high-pass", 0.01, "--low-pass", 0.1]
    assert run_app(demo, filtered, *options, "--confounds", *STRATEGIES_USED) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in filtered.glob("sub-*/**/*.*")}
