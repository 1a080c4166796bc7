"""Files of confounds: what they may say, what is refused, and what a run with one gives."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidsmask.app.arguments import parse
from bidsmask.app.choices import CleaningChoice, cleaning_choice, cleaning_choices
from bidsmask.app.confounds_file import KEYS, OPTIONS, read_confounds_file
from bidsmask.app.options import Options
from bidsmask.app.words import CLEANING
from bidsmask.cleaning.motion import MOTION, MotionFilter
from bidsmask.cleaning.strategies import STRATEGIES
from bidsmask.errors import MissingInput, UsageError
from tests.make_app import Written, image_of, regressed, run_app
from tests.make_runs import SPACE, in_brain, write_dataset
from tests.make_trees import DERIVATIVE, write_tree

STEM = "sub-01_task-rest"


def written_file(folder: Path, text: str, name: str = "rsfc.toml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def choice_of(folder: Path, text: str, *words: str, name: str = "rsfc.toml") -> CleaningChoice:
    """Return the one set of choices that a file makes beside words of the command line."""
    path = written_file(folder, text, name)
    options = parse(["in", "out", "participant", "--confounds", str(path), *words])
    [choice] = cleaning_choices(options)
    return choice


# What a file says


def test_a_file_builds_on_a_strategy_and_adds_columns(tmp_path: Path) -> None:
    text = 'strategy = "24P"\ncolumns = ["csf", "square(/a_comp_cor_0[01]/)"]\n'
    choice = choice_of(tmp_path, text)
    assert choice.confounds.motion == "full"
    [columns] = choice.confounds.columns
    assert columns.columns == ("csf", "square(/a_comp_cor_0[01]/)")
    assert columns.asked_by == "columns in rsfc.toml"


def test_a_file_sets_thresholds_filter_and_all_else_of_its_strategy(tmp_path: Path) -> None:
    text = (
        'strategy = "acompcor"\nn_compcor = 5\nglobal_signal = "basic"\nfd_threshold = 0.3\n'
        "dvars_threshold = 2\nmin_segment = 5\ndummy_scans = 4\nuse_outlier_columns = true\n"
        'motion_filter = "notch"\nmotion_filter_hz = [0.2, 0.4]\nhigh_pass = 0.01\n'
        'low_pass = 0.1\npadding = "odd"\ndetrend = false\nstandardize = "psc"\n'
    )
    choice = choice_of(tmp_path, text)
    assert (choice.confounds.n_compcor, choice.confounds.global_signal) == (5, "basic")
    told = dataclasses.asdict(choice.thresholds)
    assert told | {"motion_filter": None} == {
        "fd_mm": 0.3,
        "std_dvars": 2.0,
        "min_segment": 5,
        "dummy_scans": 4,
        "use_outlier_columns": True,
        "motion_filter": None,
        "min_volumes": 0,
        "min_seconds": 0.0,
    }
    assert choice.thresholds.motion_filter == MotionFilter("notch", (0.2, 0.4))
    chosen = choice.cleaning.filter
    assert (chosen.kind, chosen.high_pass_hz, chosen.low_pass_hz) == ("butterworth", 0.01, 0.1)
    assert (chosen.padding, choice.cleaning.detrend) == ("odd", False)
    assert choice.cleaning.standardize == "psc"


def test_every_key_that_is_an_option_is_one_of_the_cleaning() -> None:
    groups = {one.name: one.metadata.get("group") for one in dataclasses.fields(Options)}
    assert {groups[name] for name in OPTIONS} == {CLEANING}


def test_a_file_leaves_other_strategies_alone(tmp_path: Path) -> None:
    path = written_file(tmp_path, "fd_threshold = 0.3\nlow_pass = 0.1\n")
    options = parse(["in", "out", "participant", "--confounds", str(path), "24P"])
    of_file, plain = cleaning_choices(options)
    assert (of_file.thresholds.fd_mm, plain.thresholds.fd_mm) == (0.3, None)
    assert (of_file.cleaning.filter.kind, plain.cleaning.filter.kind) == ("butterworth", "none")
    assert plain == cleaning_choice(parse(["in", "out", "participant"]), "24P")


def test_the_command_line_adds_to_a_file(tmp_path: Path) -> None:
    choice = choice_of(tmp_path, 'columns = "csf"', "--fd-threshold", ".2", "--detrend")
    assert choice.thresholds.fd_mm == 0.2
    assert re.fullmatch("rsfc[0-9a-f]{8}FD02", choice.name)
    both = choice_of(tmp_path, 'columns = "csf"', "--confounds-columns", "dvars").confounds.columns
    assert [one.columns for one in both] == [("csf",), ("dvars",)]


# Its name


def test_two_different_files_never_share_a_name_and_comments_change_none(tmp_path: Path) -> None:
    texts = ['columns = ["csf"]', 'columns = ["CSF"]', 'columns = ["csf"]\nfd_threshold = 0.5']
    texts += ['strategy = "24P"', 'columns = ["csf"]\nfd_threshold = 0.25', "detrend = false"]
    texts += ['[[tables]]\ntable = "desc-x"\ncolumns = ["csf"]']
    names = [choice_of(tmp_path, text).name for text in texts]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("rsfc[0-9a-f]{8}", name) for name in names)
    again = choice_of(tmp_path / "other", "# why\n" + texts[0] + "  # not\n").name
    assert again == names[0]
    elsewhere = choice_of(tmp_path, texts[1], name="rs-fc.toml").name
    assert elsewhere not in names


@pytest.mark.parametrize(
    ("name", "start"), [("my_36P-like.v2.toml", "my36Plikev2"), ("simple.toml", "simple")]
)
def test_the_stem_names_the_cleaning_in_letters_and_digits(
    tmp_path: Path, name: str, start: str
) -> None:
    made = choice_of(tmp_path, 'columns = ["csf"]', name=name).name
    assert re.fullmatch(f"{start}[0-9a-f]{{8}}", made)
    assert made not in STRATEGIES


# What is refused, before any run is looked at


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("columns = [", "rsfc.toml is not TOML"),
        ("", "rsfc.toml says nothing. It may set strategy, columns, tables"),
        ('column = ["csf"]', "has a key column, which there is not. Did you mean columns?"),
        ("fd = 0.5", "has a key fd, which there is not"),
        ("[censoring]\nfd_threshold = 0.5", "has a key censoring, which there is not"),
        ('strategy = "simpel"', "sets strategy to 'simpel'. It is one of simple"),
        ("strategy = 24", "sets strategy to 24"),
        ("columns = []", "sets columns to []. It takes texts"),
        ("columns = [1]", "sets columns to [1]"),
        ('columns = ["cube(csf)"]', "columns in rsfc.toml has cube(csf), but of functions"),
        ('columns = ["/(/"]', "columns in rsfc.toml has /(/, which is no regular expression"),
        ("tables = 3", "sets tables to 3. Write [[tables]]"),
        ('[[tables]]\ntable = "desc-x"', "lacks tables[0].columns"),
        ('[[tables]]\ncolumns = ["x"]', "lacks tables[0].table"),
        ('[[tables]]\ntable = 3\ncolumns = ["x"]', "sets tables[0].table to 3"),
        ('[[tables]]\ntable = ".tsv"\ncolumns = ["x"]', "sets tables[0].table to '.tsv'"),
        (
            '[[tables]]\ntable = "desc-x"\ncolumn = ["x"]',
            "has a key tables[0].column, which there is not. Did you mean columns?",
        ),
        ('fd_threshold = "big"', "sets fd_threshold to 'big', but it takes float"),
        ("fd_threshold = true", "sets fd_threshold to True"),
        ("fd_threshold = -1", "rsfc.toml is refused: --fd-threshold -1 is no threshold"),
        ("high_pass = 0", "rsfc.toml is refused: --high-pass 0 is no frequency"),
        ("high_pass = 0.1\nlow_pass = 0.01", "is not below --low-pass 0.01"),
        ('filter = "butterworth"', "is refused: --filter butterworth has no cut-off"),
        ('standardize = "z"', "sets standardize to 'z'. It is one of zscore_sample"),
        ("detrend = 1", "sets detrend to 1, but it takes bool"),
        ("n_compcor = 5", "sets n_compcor, which does nothing there. Set strategy"),
        ('strategy = "acompcor"\nn_compcor = 0', "sets n_compcor to '0'"),
        ("dummy_scans = 1.5", "sets dummy_scans to '1.5'"),
        ("min_segment = 5", "sets min_segment, which does nothing there. Set fd_threshold"),
        ('motion_filter = "notch"', "sets motion_filter, which does nothing there"),
        ("motion_filter_hz = [0.1]", "sets motion_filter_hz, which does nothing there"),
        (
            'fd_threshold = 0.5\nmotion_filter = "notch"\nmotion_filter_hz = [0.1]',
            "is refused: --motion-filter notch has the cut-offs 0.1",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_file_and_key(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(told)) as caught:
        choice_of(tmp_path, text)
    assert "rsfc.toml" in str(caught.value)


def test_a_name_without_a_letter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no letter or digit in its name"):
        choice_of(tmp_path, "detrend = false", name="_-.toml")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"none\.toml cannot be read"):
        read_confounds_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fd_threshold = 0.3", ["--fd-threshold", "0.2"]),
        ("low_pass = 0.1", ["--low-pass", "0.2"]),
        ("low_pass = 0.1", ["--high-pass", "0.01"]),
        ('filter = "cosine"\nhigh_pass = 0.01', ["--filter", "regression", "--low-pass", "0.1"]),
        ('standardize = "psc"', ["--standardize", "none"]),
        ('strategy = "acompcor"\nn_compcor = 5', ["--n-compcor", "6"]),
    ],
)
def test_what_file_and_command_line_both_say_is_refused(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(UsageError, match=r"and so does the command line by --"):
        choice_of(tmp_path, text, *words)


def test_every_key_is_documented() -> None:
    document = (Path(__file__).parents[2] / "docs/confounds.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"`{key}`" not in document] == []


def test_the_example_of_the_document_is_one_that_a_run_takes(tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs/confounds.md").read_text(encoding="utf-8")
    [text] = re.findall(r"^```toml\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    [run] = write_dataset(tmp_path / "in", n_volumes=300, t_r_s=0.8)
    table = run.table()
    table[list(MOTION)] *= 0.001  # a head that lies still
    run.write_table(table.assign(a_comp_cor_07=0.0))
    columns = np.random.default_rng(1).normal(size=(300, 3)).round(6)
    rows = ["cardiac_sin\tcardiac_cos\tresp_sin", *("\t".join(map(str, one)) for one in columns)]
    write_tree(
        tmp_path / "physio",
        {
            "dataset_description.json": DERIVATIVE | {"GeneratedBy": [{"Name": "phys2bids"}]},
            f"sub-01/func/{STEM}_desc-retroicor_regressors.tsv": "\n".join(rows) + "\n",
        },
    )
    path = written_file(tmp_path, text)
    roots = ("-d", tmp_path / "in", tmp_path / "physio")
    assert run_app(tmp_path / "in", tmp_path / "out", *roots, "--confounds", path) == 0
    [sidecar] = (tmp_path / "out").glob("sub-01/func/*_desc-rsfc*_timeseries.json")
    told = json.loads(sidecar.read_text())["Cleaning"]
    assert len(told["Regressors"]) + len(told["DroppedRegressors"]) == 24 + 2 + 3 + 2 + 3
    assert told["Censoring"]["FramewiseDisplacement"] == 0.3


# In a run


def test_a_run_is_cleaned_as_its_file_says(tmp_path: Path) -> None:
    [run] = write_dataset(tmp_path / "in")
    table = run.table()
    table.loc[[9, 20], "framewise_displacement"] = 0.9
    run.write_table(table)
    path = written_file(
        tmp_path, 'columns = ["rot_?", "square(csf)", "derivative(csf)"]\nfd_threshold = 0.5\n'
    )
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", path) == 0
    [sidecar] = (tmp_path / "out").glob("sub-01/func/*_seg-voxels_desc-rsfc*_timeseries.json")
    name = sidecar.name.rpartition("_desc-")[2].removesuffix("_timeseries.json")
    ours = Written(tmp_path / "out", STEM, SPACE)
    kept = ours.kept(name)
    assert np.flatnonzero(~kept).tolist() == [9, 20]
    csf = table["csf"].to_numpy()
    squared, changed = csf**2, np.diff(csf, prepend=csf[0])
    design = np.column_stack([table[["rot_x", "rot_y", "rot_z"]], squared, changed])
    expected = regressed(in_brain(image_of(run.bold))[kept], design[kept], np.arange(40)[kept])
    np.testing.assert_allclose(ours.voxels(name), expected, atol=1e-5)
    cleaning = ours.sidecar(f"seg-voxels_desc-{name}_timeseries.json")["Cleaning"]
    assert cleaning["Strategy"] == "rsfc"
    assert cleaning["Regressors"] == ["csf_derivative1", "csf_power2", "rot_x", "rot_y", "rot_z"]


def test_columns_come_from_a_table_of_another_dataset(tmp_path: Path) -> None:
    [run] = write_dataset(tmp_path / "in")
    heart = np.random.default_rng(1).normal(size=40).round(6)
    write_tree(
        tmp_path / "physio",
        {
            "dataset_description.json": DERIVATIVE | {"GeneratedBy": [{"Name": "Phys-2-BIDS"}]},
            f"sub-01/func/{STEM}_desc-retroicor_regressors.tsv": "cardiac_cos\n"
            + "".join(f"{value}\n" for value in heart),
        },
    )
    text = (
        'columns = ["csf"]\n\n[[tables]]\ndataset = "phys2bids"\n'
        'table = "desc-retroicor_regressors"\ncolumns = ["cardiac_*", "square(cardiac_cos)"]\n'
    )
    path = written_file(tmp_path, text)
    roots = ("-d", tmp_path / "in", tmp_path / "physio")
    assert run_app(tmp_path / "in", tmp_path / "out", *roots, "--confounds", path) == 0
    [sidecar] = (tmp_path / "out").glob("sub-01/func/*_timeseries.json")
    ours = Written(tmp_path / "out", STEM, SPACE)
    name = sidecar.name.rpartition("_desc-")[2].removesuffix("_timeseries.json")
    design = np.column_stack([run.table()["csf"], heart, heart**2])
    expected = regressed(in_brain(image_of(run.bold)), design)
    np.testing.assert_allclose(ours.voxels(name), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("cardiac_cos\n1\n2\n", "has 2 rows, but its BOLD run has 40 volumes"),
        ("cardiac_cos\n" + "1\n" * 39 + "n/a\n", "has n/a in column cardiac_cos, row 40"),
        (
            "pulse\n" + "1\n" * 40,
            "has no column that matches cardiac_*, which tables[0].columns in",
        ),
        (None, "has no table …_desc-retroicor_regressors.tsv in the dataset phys2bids"),
    ],
)
def test_table_of_another_dataset_that_does_not_fit_is_an_error_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str | None, told: str
) -> None:
    write_dataset(tmp_path / "in")
    description = DERIVATIVE | {"GeneratedBy": [{"Name": "phys2bids"}]}
    files = {"dataset_description.json": description, "sub-01/func/x.txt": ""}
    if table is not None:
        files[f"sub-01/func/{STEM}_desc-retroicor_regressors.tsv"] = table
    write_tree(tmp_path / "physio", files)
    path = written_file(
        tmp_path,
        '[[tables]]\ndataset = "phys2bids"\ntable = "desc-retroicor_regressors"\n'
        'columns = ["cardiac_*"]\n',
    )
    roots = ("-d", tmp_path / "in", tmp_path / "physio")
    assert run_app(tmp_path / "in", tmp_path / "out", *roots, "--confounds", path) == 65
    assert told in " ".join(capsys.readouterr().err.split())


def test_pattern_that_matches_nothing_is_an_error_of_the_run_that_names_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "in")
    path = written_file(tmp_path, 'columns = ["white_mater*"]')
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", path) == 65
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "matches white_mater*, which columns in rsfc.toml needs. Near to it: white_matter" in said
    )


def test_a_changed_file_writes_under_another_name(tmp_path: Path) -> None:
    write_dataset(tmp_path / "in")
    for text in ('columns = ["csf"]', 'columns = ["dvars"]'):
        path = written_file(tmp_path, text)
        assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", path) == 0
    assert len(list((tmp_path / "out").glob("sub-01/func/*_timeseries.tsv"))) == 2


def test_a_broken_file_stops_the_program_before_any_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "in")
    path = written_file(tmp_path, "columns = [")
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", path) == 64
    assert "rsfc.toml is not TOML" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


scalars = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=8),
    st.integers(-5, 50),
    st.floats(-2, 2),
    st.booleans(),
    st.sampled_from(["24P", "csf", "/(/", "square(csf)", "notch", "psc", "all", "auto", "basic"]),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "other"]),
        st.one_of(scalars, st.lists(scalars, max_size=2), st.lists(st.lists(scalars, max_size=1))),
        max_size=4,
    )
)
def test_whatever_a_file_says_is_taken_or_refused_by_its_name(
    tmp_path: Path, said: dict[str, object]
) -> None:
    # JSON's texts, numbers and lists are TOML's, too.
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items())
    try:
        told = choice_of(tmp_path, text).name
    except UsageError as error:
        told = str(error)
    assert re.search(r"^rsfc[0-9a-f]{8}$|rsfc\.toml", told)
