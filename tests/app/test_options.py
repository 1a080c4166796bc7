"""Options: spellings, contradictions, config.toml, and the names of sets of cleaning choices."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from bidsmask.app import sidecars
from bidsmask.app.arguments import config_text, parse, parser
from bidsmask.app.checks import problems
from bidsmask.app.choices import CleaningChoice, cleaning_choice, cleaning_choices
from bidsmask.app.options import Options, flag
from bidsmask.app.words import COMPCOR, CONFOUNDS, LEVELS, MASK_STRATEGIES
from bidsmask.cleaning import strategies as cleaning_strategies
from bidsmask.cleaning.cleaning import Scale
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.errors import MissingInput, UnknownLevel, UsageError
from bidsmask.masks import strategies

START = ["in", "out", "participant"]
LATIN = os.fsdecode(b"m\xfcde")  # a word that is not UTF-8, as the system hands it over
FIELDS = [one for one in dataclasses.fields(Options) if one.metadata]


def identity(size: int) -> list[str]:
    """Return the numbers of a matrix, row by row."""
    return [str(int(row == column)) for row in range(size) for column in range(size)]


# For each option words that change it, and other options that it needs beside it.
EXAMPLES: dict[str, tuple[list[str], list[str]]] = {
    "derivatives": (["a", "b"], []),
    "participant_label": (["01", "sub-02"], []),
    "session_label": (["1"], []),
    "task_label": (["rest"], []),
    "run_label": (["1"], []),
    "space": (["MNI152NLin2009cAsym:res-2"], []),
    "datatype": (["both"], []),
    "bids_filter_file": (["filter.json"], []),
    "skip_bids_validation": ([], []),
    "mask_strategy": (["epi"], []),
    "mask_args": (["opening=1", "connected=false"], ["--mask-strategy", "epi"]),
    "mask_file": (["mask.nii.gz"], []),
    "template": (["MNI152NLin6Asym"], ["--mask-strategy", "gm-template"]),
    "brain_volume": (["100", "900"], []),
    "target_affine": (identity(3), ["--mask-only"]),
    "target_shape": (["9", "9", "9"], ["--mask-only", "--target-affine", *identity(4)]),
    "mask_only": ([], []),
    "combine_masks": (["union"], []),
    "combine_over": (["session"], ["--combine-masks", "union"]),
    "signal_mask": (["1"], []),
    "atlas": (["one.nii.gz", "two.nii.gz=two.tsv"], []),
    "region_statistic": (["median", "eigenvariate"], ["--atlas", "one.nii.gz"]),
    "maps": (["one.nii.gz", "two.nii.gz=two.tsv"], []),
    "seeds": (["one.tsv", "two.csv"], []),
    "radius": (["5"], ["--seeds", "one.tsv"]),
    "allow_overlap": ([], ["--seeds", "one.tsv"]),
    "min_coverage": (["0.5"], ["--atlas", "one.nii.gz"]),
    "voxels": ([], ["--atlas", "one.nii.gz"]),
    "connectivity": (["pearson", "partial"], ["--atlas", "one.nii.gz"]),
    "fisher_z": ([], ["--connectivity", "pearson", "--atlas", "one.nii.gz"]),
    "smoothing_fwhm": (["6"], []),
    "trials": ([], ["--trial-delay", "5"]),
    "trial_window": (["-2", "6.5"], ["--trials"]),
    "trial_delay": (["5"], []),
    "events_columns": (["response_time", "level"], []),
    "keep_censored": ([], []),
    "concatenate_runs": ([], []),
    "format": (["tsv.gz"], []),
    "confounds": (["none", "36P"], []),
    "confounds_columns": (["motion_outlier*"], []),
    "global_signal": (["full"], []),
    "n_compcor": (["5"], ["--confounds", "acompcor"]),
    "high_variance_confounds": ([], []),
    "fd_threshold": (["0.2"], []),
    "dvars_threshold": (["1.5"], []),
    "min_segment": (["5"], ["--fd-threshold", "0.5"]),
    "use_outlier_columns": ([], []),
    "motion_filter": (["lowpass"], ["--motion-filter-hz", ".1", "--fd-threshold", ".5"]),
    "motion_filter_hz": ([".2", ".4"], ["--motion-filter", "notch", "--fd-threshold", ".5"]),
    "dummy_scans": (["4"], []),
    "min_volumes": (["50"], []),
    "min_seconds": (["240.5"], []),
    "filter": (["regression"], ["--high-pass", "0.01"]),
    "high_pass": (["0.01"], []),
    "low_pass": (["0.1"], []),
    "padding": (["odd"], ["--low-pass", "0.1"]),
    "detrend": ([], []),
    "standardize": (["psc"], []),
    "t_r": (["2.5"], []),
    "n_procs": (["4"], []),
    "omp_nthreads": (["2"], []),
    "dry_run": ([], []),
    "force": ([], []),
    "stop_on_first_crash": ([], []),
    "verbose": ([], []),
    "quiet": ([], []),
}


def spellings(one: dataclasses.Field[Any]) -> list[str]:
    """Return every way to write an option that changes it from its default."""
    names = [f"--{one.name}", flag(one.name), *one.metadata["flags"]]
    names += [name.replace("-", "_").replace("__", "--", 1) for name in one.metadata["flags"]]
    if one.default is True:
        return [f"--no-{one.name.replace('_', '-')}", f"--no_{one.name}"]
    return [name for name in dict.fromkeys(names) if not re.match("_[^_]", name)]


# Spellings


def test_there_is_an_example_for_every_option():
    assert list(EXAMPLES) == [one.name for one in FIELDS]


@pytest.mark.parametrize("one", FIELDS, ids=lambda one: one.name)
def test_every_spelling_says_the_same(one):
    words, beside = EXAMPLES[one.name]
    seen = [parse([*START, name, *words, *beside]) for name in spellings(one)]
    assert getattr(seen[0], one.name) != one.default
    assert all(options == seen[0] for options in seen)


@pytest.mark.parametrize("one", FIELDS, ids=lambda one: one.name)
def test_every_option_is_in_the_help_with_a_sentence(one):
    text = parser().format_help()
    assert f"{flag(one.name)}" in text
    assert not one.metadata["help"][0].isspace()
    assert not one.metadata["help"].endswith(".")


def test_an_equals_sign_joins_name_and_value():
    options = parse([*START, "--fd_threshold=0.2", "--confounds-columns=a_b*"])
    assert options.fd_threshold == 0.2
    assert options.confounds_columns == ("a_b*",)


def test_an_option_may_be_switched_off_and_on():
    assert parse([*START, "--no-voxels", "--atlas", "a"]).voxels is False
    assert parse([*START, "--voxels", "--atlas", "a"]).voxels is True
    assert parse([*START, "--detrend"]).detrend is True


def test_verbose_may_be_said_twice():
    assert parse(START).verbose == 0
    assert parse([*START, "-v"]).verbose == 1
    for words in (["-vv"], ["-v", "-v"], ["--verbose", "--verbose"]):
        assert parse([*START, *words]).verbose == 2


def test_prefixes_of_labels_are_cut_off_and_labels_taken_once():
    people = ["--participant-label", "sub-01", "01", "02", "--session-label", "ses-a"]
    options = parse([*START, *people, "--task-id", "task-rest", "--run-label", "run-1"])
    assert options.participant_label == ("01", "02")
    assert (options.session_label, options.task_label, options.run_label) == (
        ("a",),
        ("rest",),
        ("1",),
    )


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("Schaefer2018", "Schaefer2018"),
        (
            "Schaefer2018:desc-100Parcels7Networks:res-2",
            "Schaefer2018:desc-100Parcels7Networks:res-2",
        ),
        ("aparcaseg", "aparcaseg"),
        ("here", "{here}/here"),
        ("here:atlas-X", "{here}/here:atlas-X"),
        ("a.nii.gz", "{here}/a.nii.gz"),
        ("a.nii.gz=b.tsv", "{here}/a.nii.gz={here}/b.tsv"),
        ("Schaefer2018:100Parcels", "{here}/Schaefer2018:100Parcels"),
    ],
)
def test_an_atlas_is_a_name_unless_it_is_there_or_looks_like_a_path(
    tmp_path, monkeypatch, given, whole
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert parse([*START, "--atlas", given]).atlas == (whole.format(here=tmp_path),)


def test_an_option_of_many_values_can_be_given_many_times():
    options = parse([*START, "--atlas", "A", "B", "--maps", "M", "--atlas", "C"])
    assert options.atlas == ("A", "B", "C")


def test_what_is_not_said_is_decided_once():
    assert parse(START).voxels is True
    assert parse([*START, "--atlas", "a"]).voxels is False
    assert parse(START).filter == "none"
    assert parse([*START, "--low-pass", "0.1"]).filter == "butterworth"
    assert parse([*START, "--mask-file", "m"]).mask_strategy == "file"


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such"],
        ["--fd", "0.2"],  # no abbreviations
        ["--fd-threshold", "much"],
        ["--n-procs", "1.5"],
        ["--confounds"],
        ["--mask-strategy", "otsu2"],
        ["--format", "csv"],
    ],
)
def test_a_wrong_word_is_a_usage_error(words):
    with pytest.raises(UsageError, match="the command line is wrong"):
        parse([*START, *words])


def test_an_unknown_level_has_its_own_exit_code():
    with pytest.raises(UnknownLevel, match="'groups' is unknown") as caught:
        parse(["in", "out", "groups"])
    assert caught.value.exit_code == 17
    assert parse(["in", "out", LEVELS[0]]).analysis_level == "participant"


# Contradictions, and options that do nothing


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--n-procs", "-1"], "--n-procs -1 is no number"),
        (["--task-label", "rest", LATIN], "--task-label is given b'm\\xfcde', which is not UTF-8"),
        (["--confounds-columns", LATIN], "--confounds-columns is given b'm\\xfcde'"),
        (["--dummy-scans", LATIN], "is no number"),
        (["--min-seconds", "nan"], "--min-seconds nan is no amount"),
        (["--smoothing-fwhm", "0"], "--smoothing-fwhm 0 is no width"),
        (["--smoothing-fwhm", "inf"], "--smoothing-fwhm inf is no width"),
        (["--fd-threshold", "-0.2"], "--fd-threshold -0.2 is no threshold"),
        (["--dvars-threshold", "inf"], "--dvars-threshold inf is no threshold"),
        (["--low-pass", "0"], "--low-pass 0 is no frequency"),
        (["--t-r", "nan"], "--t-r nan is no time"),
        (["--quiet", "--verbose"], "--quiet contradicts --verbose"),
        (["--mask-strategy", "file"], "needs a mask"),
        (["--mask-strategy", "epi", "--mask-file", "m"], "--mask-file does nothing"),
        (["--mask-args", "opening=1"], "--mask-args does nothing"),
        (["--mask-file", "m", "--mask-args", "opening=1"], "--mask-args does nothing"),
        (["--combine-over", "run"], "--combine-over does nothing without --combine-masks"),
        (
            ["--combine-masks", "union", "--combine-over", "participant"],
            "--combine-over participant is for the group level",
        ),
        (["--combine-masks", "probability"], "is no mask of signals. Give intersection, union"),
        (
            ["--combine-masks", "probability", "--mask-only", "--signal-mask", "1"],
            "--signal-mask does nothing beside --combine-masks probability",
        ),
        (["--signal-mask", "0"], "--signal-mask 0 is no share of the runs"),
        (["--signal-mask", "nan"], "--signal-mask nan is no share of the runs"),
        (["--combine-masks", "union", "--signal-mask", "1.5"], "--signal-mask 1.5 is no share"),
        (["--signal-mask", "1", "--datatype", "anat"], "--signal-mask does nothing beside --data"),
        (["--signal-mask", "0.5"], "Give --signal-mask 1, or --combine-masks"),
        (["--no-voxels"], "leaves nothing to write"),
        (["--filter", "butterworth"], "has no cut-off"),
        (["--filter", "cosine"], "has no cut-off"),
        (["--filter", "cosine", "--high-pass", ".01", "--low-pass", ".1"], "does nothing beside"),
        (["--filter", "none", "--high-pass", "0.01"], "contradicts"),
        (["--high-pass", "0.1", "--low-pass", "0.01"], "is not below --low-pass 0.01"),
        (["--high-pass", "0.1", "--low-pass", "0.1"], "is not below"),
        (["--padding", "odd"], "does nothing without"),
        (["--padding", "odd", "--filter", "cosine", "--high-pass", ".01"], "does nothing without"),
        (["--n-compcor", "5"], "does nothing without --confounds acompcor"),
        (["--confounds", "acompcor", "--n-compcor", "0"], "is no number of components"),
        (["--confounds", "acompcor", "--n-compcor", "1.5"], "is no number of components"),
        (["--confounds", "acompcor", "--n-compcor", "half"], "is no number of components"),
        (["--dummy-scans", "-1"], "is no number"),
        (["--dummy-scans", "few"], "is no number"),
        (["--min-segment", "5"], "does nothing where no volume is censored"),
        (["--confounds", "simplest"], "is no strategy and no .toml file. It is one of simple"),
        (["--motion-filter-hz", ".1"], "does nothing without --motion-filter"),
        (["--motion-filter", "notch"], "does nothing where no volume is censored for displ"),
        (
            ["--motion-filter", "notch", "--fd-threshold", ".5"],
            "--motion-filter notch has no cut-off. Give the lower and the higher, Hz",
        ),
        (["--confounds-columns", "cube(csf)"], "--confounds-columns has cube(csf), but of"),
        (["--mask-only", "--atlas", "a"], "--atlas does nothing beside --mask-only"),
        (["--radius", "5"], "--radius does nothing without --seeds"),
        (["--seeds", "a", "--radius", "-1"], "--radius -1 is no radius"),
        (["--min-coverage", "0", "--atlas", "a"], "--min-coverage 0 is no share of a region"),
        (["--min-coverage", "1.1", "--atlas", "a"], "--min-coverage 1.1 is no share of a region"),
        (["--min-coverage", "0.5"], "--min-coverage does nothing without --atlas"),
        (["--allow-overlap", "--atlas", "a"], "--allow-overlap does nothing without --seeds"),
        (["--region-statistic", "sum", "--maps", "a"], "does nothing without --atlas or --seeds"),
        (["--mask-only", "--confounds", "none"], "--confounds does nothing beside"),
        (["--mask-only", "--fd-threshold", "0.2"], "--fd-threshold does nothing beside"),
        (["--mask-only", "--no-detrend"], "--detrend does nothing beside"),
    ],
)
def test_contradictions_are_refused(words, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        cleaning_choices(parse([*START, *words]))


def test_every_option_of_signals_does_nothing_beside_mask_only():
    for one in FIELDS:
        if one.metadata["group"] not in ("signals", "cleaning"):
            continue
        words, beside = EXAMPLES[one.name]
        with pytest.raises(UsageError):
            parse([*START, "--mask-only", spellings(one)[0], *words, *beside])


# In step with the registries


def test_the_command_line_offers_just_the_strategies_that_there_are():
    assert tuple(cleaning_strategies.STRATEGIES) == CONFOUNDS
    assert {*strategies.STRATEGIES, "auto"} == set(MASK_STRATEGIES)
    assert set(sidecars.MASKS) == set(strategies.STRATEGIES)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("global_signal", get_args(cleaning_strategies.Model)),
        ("standardize", get_args(Scale)),
        ("filter", ("butterworth", "cosine", "regression", "none")),
        ("padding", ("even", "odd")),
    ],
)
def test_choices_are_those_of_the_cleaning(name, known):
    (one,) = [one for one in FIELDS if one.name == name]
    assert set(one.metadata["choices"]) == set(known)
    if name in ("filter", "padding"):
        kind = "kind" if name == "filter" else name
        # Python users have nilearn's other paddings, too.
        assert set(get_args(get_type_hints(TemporalFilter)[kind])) >= set(known)


def test_units_are_known_for_every_scale():
    assert set(sidecars.UNITS) == set(get_args(Scale))


# config.toml

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
words = text.filter(lambda one: not one.startswith("-"))
numbers = st.floats(1e-12, 1e12).map(repr)


def some(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[str]]:
    """Return an option with one or more words, or nothing."""
    given_words = st.lists(values, min_size=1, max_size=3).map(lambda many: [name, *many])
    return st.one_of(st.just([]), given_words)


def one(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[str]]:
    """Return an option with its word, or nothing."""
    return st.one_of(st.just([]), values.map(lambda value: [name, value]))


switches = st.lists(
    st.sampled_from(["--no-detrend", "--keep-censored", "--force", "--dry-run", "--voxels", "-q"]),
    unique=True,
)
command_lines = st.tuples(
    some("--participant-label", words),
    some("--space", words),
    one("--mask-file", words),
    some("--atlas", words),
    some("--confounds", st.sampled_from(CONFOUNDS)),
    some("--confounds-columns", words),
    one("--smoothing-fwhm", numbers),
    one("--fd-threshold", numbers),
    one("--low-pass", numbers),
    one("--dummy-scans", st.integers(0, 99).map(str)),
    one("--min-volumes", st.integers(0, 99).map(str)),
    one("--min-seconds", numbers),
    one("--standardize", st.sampled_from(get_args(Scale))),
    switches,
).map(lambda parts: [*START, *[word for part in parts for word in part]])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command_lines)
def test_config_toml_repeats_a_run(tmp_path, command_line):
    options = parse(command_line)
    path = tmp_path / "config.toml"
    path.write_bytes(config_text(options).encode())
    assert parse([*START, "--config", str(path)]) == options


@pytest.mark.parametrize("one", FIELDS, ids=lambda one: one.name)
def test_config_toml_repeats_every_option(tmp_path, one):
    words, beside = EXAMPLES[one.name]
    options = parse([*START, spellings(one)[0], *words, *beside])
    path = tmp_path / "config.toml"
    path.write_text(config_text(options))
    assert parse([*START, "--config", str(path)]) == options


def test_the_command_line_goes_before_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('fd_threshold = 1\nconfounds = ["36P"]\nvoxels = false\natlas = "a.nii"\n')
    options = parse([*START, "--config", str(path), "--confounds", "none"])
    assert options.confounds == ("none",)
    assert options.fd_threshold == 1.0
    assert options.voxels is False
    assert options.atlas == (str(Path.cwd() / "a.nii"),)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("fd_treshold = 0.2", "fd_treshold, which is no option of bidsmask. Did you mean fd_thr"),
        ("fd_threshold = 'big'", "sets fd_threshold to 'big', but it takes float"),
        ("n_procs = true", "sets n_procs to True, but it takes int"),
        ("n_procs = 1.5", "sets n_procs to 1.5"),
        ("detrend = 1", "sets detrend to 1, but it takes bool"),
        ("verbose = true", "sets verbose to True, but it takes int"),
        ("verbose = -1", "--verbose -1 is no number"),
        ("confounds = ['simplest']", "--confounds simplest is no strategy and no .toml file"),
        ("confounds = [['none']]", "sets confounds to"),
        ("fd_threshold = [0.2]", "sets fd_threshold to"),
        ("mask_strategy = 'best'", "It is one of auto, derivative"),
        ("mask_file = 5", "sets mask_file to 5"),
        ("= 5", "is not TOML"),
        ("smoothing_fwhm = -1", "--smoothing-fwhm -1"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path, content, told):
    path = tmp_path / "config.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=re.escape(told)):
        parse([*START, "--config", str(path)])


def test_a_file_that_is_no_text_is_told(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        parse([*START, "--config", str(path)])


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(MissingInput, match=r"none\.toml cannot be read"):
        parse([*START, "--config", str(tmp_path / "none.toml")])


# Names of sets of cleaning choices

# Numbers that are near to each other in digits, and any others.
TRICKY = (0.05, 0.5, 5.0, 0.1, 1.0, 10.0, 1e-05, 1e5, 1e16, 1.5, 15.0, 0.15, 1e-7, 0.1 + 1e-15)
amounts = st.one_of(st.none(), st.sampled_from(TRICKY), st.floats(1e-9, 1e18))
counts = st.one_of(st.none(), st.integers(0, 12), st.just(100_000_000))
cleaning_fields = {
    "confounds": st.sampled_from(CONFOUNDS).map(lambda name: (name,)),
    "confounds_columns": st.lists(st.sampled_from("abcdefghij"), max_size=2).map(tuple),
    "global_signal": st.sampled_from([None, *get_args(cleaning_strategies.Model)]),
    "n_compcor": st.sampled_from([None, "all", "5", "05", "0.5", ".5", "5e-1", "50", "0.05"]),
    "high_variance_confounds": st.booleans(),
    "fd_threshold": amounts,
    "dvars_threshold": amounts,
    "min_segment": counts,
    "use_outlier_columns": st.booleans(),
    "motion_filter": st.sampled_from(["none", "lowpass", "notch"]),
    "motion_filter_hz": st.sampled_from([(), (0.1,), (0.2,), (0.1, 0.2), (0.1, 0.25), (0.11, 2.0)]),
    "dummy_scans": st.one_of(st.just("auto"), st.integers(0, 50).map(str), st.just("05")),
    "filter": st.sampled_from(["none", "butterworth", "cosine", "regression"]),
    "high_pass": amounts,
    "low_pass": amounts,
    "padding": st.sampled_from(["even", "odd"]),
    "detrend": st.booleans(),
    "standardize": st.sampled_from(get_args(Scale)),
    "smoothing_fwhm": amounts,
    "keep_censored": st.booleans(),
}


def what_is_done(options: Options, choice: CleaningChoice) -> tuple[object, ...]:
    """Return all that decides the numbers that files of the choice's name hold."""
    refusals = {"min_volumes": 0, "min_seconds": 0.0}
    thresholds = dataclasses.replace(choice.thresholds, **refusals)
    rows = (options.smoothing_fwhm, options.keep_censored)
    return choice.confounds, thresholds, choice.cleaning, *rows


def made(values: dict[str, Any]) -> tuple[Options, CleaningChoice]:
    """Return options that contradict nothing, and their one set of choices."""
    options = Options(Path("in"), Path("out"), "participant", **values)
    assume(not problems(options))
    try:
        (choice,) = cleaning_choices(options)
    except UsageError:
        reject()
    return options, choice


simple = {"filter": "none", "high_pass": None, "low_pass": None, "padding": "even"}
banded = {"filter": "butterworth", "high_pass": 0.01, "low_pass": 0.1, "n_compcor": None}


@settings(max_examples=400, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.fixed_dictionaries(cleaning_fields),
    st.sampled_from([simple, banded]),
    st.dictionaries(st.sampled_from(list(cleaning_fields)), st.none(), min_size=1, max_size=3),
    st.data(),
)
def test_two_sets_of_choices_never_share_a_name(values, band, changed, data):
    values |= band
    if values["n_compcor"] is not None:
        values["confounds"] = (data.draw(st.sampled_from(COMPCOR)),)
    if values["min_segment"] or values["motion_filter"] != "none":
        values["fd_threshold"] = values["fd_threshold"] or 0.5
    others = values | {name: data.draw(cleaning_fields[name]) for name in changed}
    (first, one), (second, other) = made(values), made(others)
    assert re.fullmatch("[A-Za-z0-9]+", one.name)
    if what_is_done(first, one) != what_is_done(second, other):
        assert one.name != other.name


@pytest.mark.parametrize(
    "field", ["fd_threshold", "dvars_threshold", "high_pass", "low_pass", "smoothing_fwhm"]
)
def test_two_numbers_never_share_a_name(field):
    kind = "butterworth" if field.endswith("pass") else "none"
    start = Options(Path("in"), Path("out"), "participant", filter=kind)
    names = [
        cleaning_choice(dataclasses.replace(start, **{field: number}), "simple").name
        for number in (*TRICKY, *range(2, 5), *range(6, 10), *range(11, 15))
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "simple"),
        (["--global-signal", "basic"], "simpleGSR"),
        (["--global-signal", "full"], "simpleGSRfull"),
        (["--confounds", "scrubbing", "--fd-threshold", ".2"], "scrubbingFD02"),
        (["--high-pass", "0.01", "--low-pass", "0.1"], "simpleHP001LP01"),
        (["--dvars-threshold", "1.5", "--smoothing-fwhm", "6.0"], "simpleDVARS1p5FWHM6"),
        (["--confounds", "none", "--no-detrend", "--standardize", "none"], "noneNODETRENDRAW"),
        (["--confounds", "acompcor", "--n-compcor", "05"], "acompcorCC5"),
        (["--confounds", "acompcor", "--n-compcor", "5e-1"], "acompcorCC05"),
        (["--confounds", "tcompcor", "--n-compcor", "5"], "tcompcorCC5"),
        (["--use-outlier-columns"], "simpleOUTLIERS"),
        (["--high-variance-confounds"], "simpleHV"),
        (
            ["--fd-threshold", ".5", "--motion-filter", "notch", "--motion-filter-hz", ".2", ".4"],
            "simpleFD05MNOTCH02to04",
        ),
    ],
)
def test_names_tell_what_was_changed(words, name):
    (choice,) = cleaning_choices(parse([*START, *words]))
    assert choice.name == name


def test_digits_of_a_hash_are_not_taken_for_a_number():
    """The columns' hash after a number of a kept segment, as if it were one number."""
    by_columns = Options(
        Path("in"),
        Path("out"),
        "participant",
        fd_threshold=0.5,
        min_segment=5,
        confounds_columns=("a",),
    )
    name = cleaning_choice(by_columns, "simple").name
    assert re.fullmatch("simpleFD05SEG5COL[0-9a-f]{8}", name)


def test_a_strategy_asked_for_twice_is_done_once():
    options = parse([*START, "--confounds", "none", "36P", "none"])
    assert [choice.name for choice in cleaning_choices(options)] == ["none", "36P"]
