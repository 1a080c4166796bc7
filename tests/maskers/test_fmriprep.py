"""`load_confounds` beside nilearn's: what it takes, which table it finds, what it refuses."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces import fmriprep
from nilearn.interfaces.fmriprep.load_confounds_utils import get_confounds_file

import bidsmask
from bidsmask.errors import MissingColumn, MissingCompanion, UnusableTable, UsageError
from bidsmask.maskers.fmriprep_files import ImageName
from tests.make_cleaning import COMPCOR_SIDECAR, confounds_table

STEM = "sub-01_ses-2_task-rest_run-1"
SERIES = f"{STEM}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"


def write_confounds(
    folder: Path, table: pd.DataFrame | None = None, stem: str = STEM, series: str = SERIES
) -> Path:
    """Write a table with its sidecar, and return the name of the series beside it."""
    table = confounds_table() if table is None else table
    path = folder / f"{stem}_desc-confounds_timeseries.tsv"
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    path.with_suffix(".json").write_text(json.dumps(COMPCOR_SIDECAR))
    return folder / series


@pytest.mark.parametrize("name", ["load_confounds", "load_confounds_strategy"])
def test_signature_is_nilearns(name: str) -> None:
    def parameters(function: object) -> list[tuple[str, object]]:
        found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        return [(one.name, one.default) for one in found if one.kind != one.KEYWORD_ONLY]

    assert parameters(getattr(bidsmask, name)) == parameters(getattr(fmriprep, name))


# Which answer


def test_one_image_gives_one_answer_and_a_list_gives_lists(tmp_path: Path) -> None:
    series = write_confounds(tmp_path)
    other = write_confounds(tmp_path, stem="sub-02", series="sub-02_desc-preproc_bold.nii.gz")
    confounds, mask = bidsmask.load_confounds(series)
    assert isinstance(confounds, pd.DataFrame)
    assert mask is None
    of_list, _ = bidsmask.load_confounds([str(series)])
    pd.testing.assert_frame_equal(of_list, confounds)
    several, masks = bidsmask.load_confounds([series, str(other)])
    assert [one.shape for one in several] == [(40, 28)] * 2
    assert masks == [None, None]


def test_an_empty_strategy_has_no_confounds(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no confounds"):
        assert bidsmask.load_confounds(write_confounds(tmp_path), strategy=()) == (None, None)


@pytest.mark.parametrize("pair", [True, False])
def test_surfaces_have_the_confounds_of_their_run(tmp_path: Path, pair: bool) -> None:
    write_confounds(tmp_path)
    names = [f"{STEM}_hemi-{side}_space-fsaverage5_bold.func.gii" for side in "LR"]
    files = [tmp_path / name for name in names]
    confounds, _ = bidsmask.load_confounds(files if pair else [files, files])
    assert (confounds if pair else confounds[1]).shape == (40, 28)


def test_first_row_of_a_derivative_can_be_zero(tmp_path: Path) -> None:
    series = write_confounds(tmp_path)
    options = {"strategy": ("motion",), "demean": False}
    theirs, _ = bidsmask.load_confounds(series, **options)
    honest, _ = bidsmask.load_confounds(series, **options, first_derivative="zero")
    assert theirs["rot_x_derivative1"][0] == theirs["rot_x_derivative1"][1] != 0
    assert honest["rot_x_derivative1"][0] == 0


def test_components_can_be_counted_by_their_share_of_variance(tmp_path: Path) -> None:
    series = write_confounds(tmp_path)
    confounds, _ = bidsmask.load_confounds(series, strategy=("high_pass", "compcor"), n_compcor=0.5)
    assert sum("comp_cor" in name for name in confounds) == 2


def test_every_volume_censored_is_a_warning_and_an_empty_mask(tmp_path: Path) -> None:
    table = confounds_table()
    table["framewise_displacement"] = 9.0
    with pytest.warns(RuntimeWarning, match="every volume is censored"):
        confounds, mask = bidsmask.load_confounds(
            write_confounds(tmp_path, table), strategy=("motion", "scrub"), demean=False
        )
    assert mask is not None
    assert mask.size == 0
    assert confounds.shape == (40, 24)


def test_n_a_is_passed_on_with_a_warning_that_names_the_column(tmp_path: Path) -> None:
    table = confounds_table()
    table.loc[7, "csf"] = np.nan
    with pytest.warns(UserWarning, match="n/a in csf"):
        confounds, _ = bidsmask.load_confounds(write_confounds(tmp_path, table))
    assert confounds["csf"].isna().sum() == 1


def test_arguments_that_a_preset_does_not_have_are_named(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="simple does not take compcor, but motion"):
        bidsmask.load_confounds_strategy(write_confounds(tmp_path), "simple", compcor="temporal")


def test_other_parts_beside_tedana_are_named(tmp_path: Path) -> None:
    image = write_tedana(tmp_path)
    with pytest.warns(UserWarning, match="Beside tedana, motion is not applied"):
        confounds, _ = bidsmask.load_confounds(image, strategy=["motion", "tedana"])
    assert list(confounds) == ["rejected_ICA_01"]


def write_tedana(folder: Path, rejected: str = "ICA_1") -> Path:
    """Write tedana's tables of two components, and return the name of its series."""
    mixing = pd.DataFrame({"ICA_00": [1.0, 2, 3], "ICA_01": [0.0, 1, 0]})
    metrics = pd.DataFrame(
        {"Component": ["ICA_0", rejected], "classification": ["accepted", "rejected"]}
    )
    mixing.to_csv(folder / "sub-01_desc-ICA_mixing.tsv", sep="\t", index=False)
    metrics.to_csv(folder / "sub-01_desc-tedana_metrics.tsv", sep="\t", index=False)
    return folder / "sub-01_desc-optcom_bold.nii.gz"


# Which table


@pytest.mark.parametrize(
    "name",
    [
        f"{STEM}_desc-confounds_timeseries.tsv",
        f"{STEM}_desc-confounds_regressors.tsv",
        f"{STEM}_space-MNI152NLin2009cAsym_desc-confounds_timeseries.tsv",
        "sub-01_task-rest_desc-confounds_timeseries.tsv",
        "desc-confounds_timeseries.tsv",
        "sub-01_ses-1_task-rest_run-1_desc-confounds_timeseries.tsv",
        "sub-01_task-rest_ses-2_desc-confounds_timeseries.tsv",
        f"{STEM}_acq-x_desc-confounds_timeseries.tsv",
        f"{STEM}_desc-other_timeseries.tsv",
        f"{STEM}_desc-confounds_events.tsv",
        "sub-02_desc-confounds_timeseries.tsv",
    ],
)
def test_table_is_the_one_that_nilearn_finds(tmp_path: Path, name: str) -> None:
    series = tmp_path / SERIES
    (tmp_path / name).touch()
    try:
        theirs = get_confounds_file(str(series), flag_full_aroma=False, flag_tedana=False)
    except ValueError:
        with pytest.raises(MissingCompanion, match="has no confounds table"):
            ImageName(series).confounds()
    else:
        assert ImageName(series).confounds() == Path(theirs)


def test_two_tables_are_refused_with_their_names(tmp_path: Path) -> None:
    series = write_confounds(tmp_path)
    write_confounds(tmp_path, stem="sub-01")
    with pytest.raises(MissingCompanion, match=f"more than one.*sub-01_desc-conf.*{STEM}"):
        bidsmask.load_confounds(series)


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("sub-01_bold.nii.gz", {}, "an image of fMRIPrep"),
        ("sub-01_desc-confounds_timeseries.tsv", {}, "an image of fMRIPrep"),
        (SERIES, {"strategy": ["ica_aroma"]}, "the image that ICA-AROMA denoised"),
        (SERIES, {"strategy": ["tedana"]}, "the image that tedana combined"),
    ],
)
def test_image_of_another_kind_is_refused(
    tmp_path: Path, name: str, options: dict[str, list[str]], wanted: str
) -> None:
    with pytest.raises(UsageError, match=f"is not {wanted}"):
        bidsmask.load_confounds(tmp_path / name, **options)  # type: ignore[arg-type]


# What is wrong


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"strategy": "motion"}, "strategy is 'motion'. Give a tuple"),
        ({"strategy": ["moton"]}, "holds 'moton'. It is one of motion, high_pass"),
        ({"motion": "all"}, "motion is 'all'. It is one of basic, derivatives"),
        ({"motion": "none"}, "motion is 'none'"),
        ({"strategy": ["compcor"]}, "has compcor without high_pass"),
        ({"strategy": ["high_pass", "compcor"], "compcor": "anat"}, "compcor is 'anat'"),
        ({"strategy": ["ica_aroma"], "ica_aroma": "some"}, "It is one of basic, full"),
        ({"strategy": ["scrub"], "fd_threshold": -1}, "is no threshold"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        bidsmask.load_confounds(write_confounds(tmp_path), **options)  # type: ignore[arg-type]


def test_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"is 'acompcor'\. It is one of simple, scrubbing, compcor"
    ):
        bidsmask.load_confounds_strategy(tmp_path / SERIES, "acompcor")


@pytest.mark.parametrize("files", [[], [3], 7])
def test_what_is_no_path_is_refused(files: object) -> None:
    with pytest.raises(UsageError, match="Give paths of images of fMRIPrep"):
        bidsmask.load_confounds(files)  # type: ignore[arg-type]


def test_missing_displacement_is_named(tmp_path: Path) -> None:
    table = confounds_table().drop(columns="framewise_displacement")
    with pytest.raises(MissingColumn, match="lacks the column framewise_displacement"):
        bidsmask.load_confounds(write_confounds(tmp_path, table), strategy=["scrub"])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is no table"),
        (b"trans_x\ttrans_y\n1\t2\t3\n1\t2\t3\t4\n", "is no table"),
        (b"trans_x\n\xff\xfe\n", "is no table"),
        (b"trans_x\ttrans_x\n1\t2\n", "lacks the column"),
    ],
)
def test_table_that_is_none_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    series = write_confounds(tmp_path)
    (tmp_path / f"{STEM}_desc-confounds_timeseries.tsv").write_bytes(content)
    with pytest.raises((UnusableTable, MissingColumn), match=problem):
        bidsmask.load_confounds(series)


@pytest.mark.parametrize(
    ("content", "problem"), [("{", "is not JSON"), ("[]", "is no JSON object")]
)
def test_sidecar_that_is_none_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    series = write_confounds(tmp_path)
    (tmp_path / f"{STEM}_desc-confounds_timeseries.json").write_text(content)
    with pytest.raises(UnusableTable, match=problem):
        bidsmask.load_confounds(series)


def test_compcor_without_a_sidecar_is_refused(tmp_path: Path) -> None:
    series = write_confounds(tmp_path)
    (tmp_path / f"{STEM}_desc-confounds_timeseries.json").unlink()
    with pytest.raises(MissingCompanion, match="has no sidecar that names CompCor"):
        bidsmask.load_confounds_strategy(series, "compcor")


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCompanion, match="cannot be read"):
        bidsmask.load_confounds(tmp_path / "gone" / SERIES)


def test_tedana_without_its_metrics_is_refused(tmp_path: Path) -> None:
    image = write_tedana(tmp_path)
    (tmp_path / "sub-01_desc-tedana_metrics.tsv").unlink()
    with pytest.raises(MissingCompanion, match=r"no table …_desc-tedana_metrics\.tsv"):
        bidsmask.load_confounds(image, strategy=["tedana"])


def test_rejected_component_that_is_not_in_the_mixing_matrix_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingColumn, match=r"lacks ICA_07, which .* calls rejected"):
        bidsmask.load_confounds(write_tedana(tmp_path, "ICA_07"), strategy=["tedana"])
