"""What was made of signals and trials goes with them, and nothing tells of those of before."""

from __future__ import annotations

import pytest

from bidsmask.app import participant
from tests.app.test_trials import findings
from tests.make_app import Written, run_app, table_of
from tests.make_runs import SPACE, SmallRun, contents, write_atlas, write_dataset

PLAIN = ("--mask-strategy", "derivative", "--n-procs", "1")
DELAY = ("--trials", "--trial-delay", "5")


@pytest.fixture
def run(tmp_path) -> SmallRun:
    [run] = write_dataset(tmp_path / "in", with_events=True)
    return run


@pytest.fixture
def atlas(tmp_path) -> tuple[str, ...]:
    return ("--atlas", str(write_atlas(tmp_path)), *PLAIN, "--confounds", "none")


def out_of(run: SmallRun, *options: object) -> Written:
    output = run.root.parent / "out"
    assert run_app(run.root, output, *options) == 0
    return Written(output, run.stem, run.space)


def derived(out: Written) -> list[str]:
    """Return which matrices, trials and means over trials there are, and with which sidecars."""
    paths = out.folder.glob("*")
    kinds = ("_relmat.", "_trials.", "_trialseries.")
    return sorted(
        path.name.split("_stat-")[-1].removeprefix(f"{out.name}_desc-")
        for path in paths
        if any(kind in path.name for kind in kinds)
    )


def files(*stems: str) -> list[str]:
    return sorted(stem + extension for stem in stems for extension in (".tsv", ".json"))


TRIALS = files("noneDELAY5_trials", "mean_desc-noneDELAY5_trialseries")


# Trials


def test_events_that_are_gone_take_the_tables_of_trials_with_them(run, atlas):
    assert derived(out_of(run, *atlas, *DELAY)) == TRIALS
    run.events.unlink()
    out = out_of(run, *atlas, *DELAY)
    assert derived(out) == []
    assert {"withdrawn", "no-events"} <= findings(out.output).keys()
    assert "trial_type" not in out.volumes("none")


@pytest.mark.parametrize("options", [(), ("--force",)], ids=["again", "force"])
def test_events_that_cannot_be_read_leave_no_trials_beside_volumes_without_them(
    run, atlas, options
):
    out_of(run, *atlas, *DELAY)
    before = contents(run.root.parent / "out/sub-01")
    text = run.events.read_text()
    run.events.write_text("onset\tduration\n4\t6\nabc\t6\n")
    # What is asked for cannot be made: the run fails as a whole, and is what it was.
    assert run_app(run.root, run.root.parent / "out", *atlas, *DELAY, *options) == 65
    assert contents(run.root.parent / "out/sub-01") == before
    out = out_of(run, *atlas, *options)
    assert "onset: 'abc' in line 3" in findings(out.output)["unusable-events"]
    assert derived(out) == []
    run.events.write_text(text)
    assert derived(out_of(run, *atlas, *DELAY)) == TRIALS
    assert contents(run.root.parent / "out/sub-01") == before


def test_other_events_take_the_tables_that_are_not_made_again(run, atlas, tmp_path):
    out_of(run, *atlas, *DELAY)
    run.events.write_text("onset\tduration\n8\t6\n")
    image = write_atlas(tmp_path / "other")
    other = image.rename(tmp_path / f"space-{SPACE}_atlas-other_dseg.nii.gz")
    out = out_of(run, "--atlas", other, *atlas[2:], *DELAY)
    assert derived(out) == TRIALS
    [series] = out.folder.glob("*_trialseries.tsv")
    assert "atlas-other" in series.name
    assert len(table_of(series)) == len(
        table_of(out.folder / f"{out.name}_desc-noneDELAY5_trials.tsv")
    )


def test_windows_and_columns_of_the_same_events_stand_side_by_side(run, atlas):
    window = ("--trials", "--trial-window", "4", "8", "--events-columns", "trial_type2")
    out_of(run, *atlas, *DELAY)
    before = contents(run.root.parent / "out/sub-01")
    assert len(derived(out_of(run, *atlas, *window))) == 8
    out = out_of(run, *atlas)
    assert len(derived(out)) == 8
    after = contents(out.output / "sub-01")
    assert all(after[name] == before[name] for name in before if "DELAY5" in name)


# Signals


def test_signals_that_are_made_anew_leave_nothing_of_the_old_ones(run, atlas):
    more = ("--connectivity", "pearson", "partial", *DELAY, "--min-coverage", "0.5")
    first = out_of(run, *atlas, *more)
    assert (
        first.sidecar("atlas-blocks_stat-partialcorrelation_desc-none_relmat.json")["MinCoverage"]
        == 0.5
    )
    # The table of trials is of the events, which are the same.
    kept = files("noneDELAY5_trials", "pearsoncorrelation_desc-none_relmat")
    out = out_of(run, *atlas, "--min-coverage", "0.9", "--connectivity", "pearson")
    assert derived(out) == kept
    assert "2 more" not in findings(out.output)["withdrawn"]
    assert "1 more" in findings(out.output)["withdrawn"]
    ending = "atlas-blocks_stat-{}_desc-none_{}.json"
    matrix = out.sidecar(ending.format("pearsoncorrelation", "relmat"))
    signals = out.sidecar(ending.format("mean", "timeseries"))
    assert matrix["MinCoverage"] == signals["MinCoverage"] == 0.9
    assert matrix["SignalsFingerprint"] == signals["Fingerprint"]
    out = out_of(run, *atlas)
    assert derived(out) == files("noneDELAY5_trials")
    assert "MinCoverage" not in out.sidecar(ending.format("mean", "timeseries"))


def test_what_was_made_of_other_signals_and_of_the_same_stays(run, atlas):
    both = ("--region-statistic", "mean", "median", "--connectivity", "pearson", "partial")
    out_of(run, *atlas, *both, "--fisher-z")
    before = derived(out_of(run, *atlas[:-1], "24P", "--connectivity", "pearson"))
    assert len(before) == 2 * 5
    assert derived(out_of(run, *atlas, "--force")) == before
    after = derived(out_of(run, *atlas, "--min-coverage", "0.9"))
    assert after == [name for name in before if name.startswith("median") or "24P" in name]


def test_voxel_signals_in_another_format_take_their_means_over_trials(run):
    out_of(run, "--voxels", *PLAIN, *DELAY, "--format", "tsv.gz")
    out = out_of(run, "--voxels", *PLAIN)
    assert derived(out) == files("simpleDELAY5_trials")


def test_what_is_outdated_is_gone_before_the_signals_change(run, atlas, monkeypatch):
    out = out_of(run, *atlas, "--connectivity", "pearson", "partial")

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(participant, "extract", killed)
    options = (*atlas, "--min-coverage", "0.9", "--connectivity", "pearson")
    with pytest.raises(KeyboardInterrupt):
        run_app(run.root, out.output, *options)
    assert derived(out) == files("pearsoncorrelation_desc-none_relmat")
