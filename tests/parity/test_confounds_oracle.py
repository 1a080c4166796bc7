"""`load_confounds` and its presets on real tables, against nilearn: recorded, and live.

`nilearn_oracle.json` holds what nilearn 0.14.1 gave for each table and set of options: names,
rows left out, and sums of the values.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces import fmriprep

import bidsmask
from bidsmask.errors import BidsmaskError, MissingColumn, UnusableTable
from tests.make_cleaning import REAL_TABLES, needs_real_tables

pytestmark = needs_real_tables

_ORACLE = REAL_TABLES / "nilearn_oracle.json"
ORACLE: Mapping[str, Any] = json.loads(_ORACLE.read_text()) if _ORACLE.exists() else {"tables": {}}

_DIFFUSION = "dwi_qsiprep/sub-24683_ses-1_dir-AP_desc-confounds_timeseries.tsv"
_RENAMED = " as _desc-confounds_regressors.tsv"
_RETROICOR = (
    "retroicor_ds002790/sub-0057_task-emomatching_acq-seq_recording-respcardiac"
    "_desc-retroicor_regressors.tsv" + _RENAMED
)
_ONE_ROW = "v1.5_load_confounds/missing_desc-confounds_regressors.tsv"
_OLDEST = "v0.x-1.0_ciftify/sub-50005_task-rest_bold_confounds.tsv" + _RENAMED
_CAMEL_CASE = (
    _OLDEST,
    "v1.1.4_ds001734/sub-030_task-MGT_run-03_bold_confounds.tsv" + _RENAMED,
    "v1.1_ds001499/sub-CSI3_ses-14_task-localizer_bold_confounds.tsv" + _RENAMED,
    "v1.1_neu502b/sub-01_task-visualcontrol_desc-confounds_regressors.tsv",
)
_CASES_WITHOUT_DERIVATIVES = (
    "motion basic",
    "wm_csf basic",
    "global_signal basic",
    "high_pass",
    "non_steady_state",
    "scrub 5",
    "scrub 0",
    "scrub 0 fd 0.1 dvars 1",
    "scrub alone",
    "preset ica_aroma",
    "ica_aroma full",
)


def _exceptions() -> dict[tuple[str, str], str]:
    """Return where we differ from nilearn on purpose: (table, case) -> the reason."""
    listed = {
        (_DIFFUSION, "motion basic"): "of a diffusion run: refused by name",
        (_DIFFUSION, "high_pass"): "of a diffusion run: refused by name",
        (_RETROICOR, "high_pass"): "no fMRIPrep table: refused, not silently without columns",
    }
    models = ("basic", "power2", "derivatives", "full")
    of_means = [f"{part} {model}" for part in ("wm_csf", "global_signal") for model in models]
    for case in (*of_means, "preset ica_aroma", "ica_aroma full"):
        listed[_ONE_ROW, case] = "one row: nilearn looks for a second one and raises IndexError"
    for table in _CAMEL_CASE:
        for case in _CASES_WITHOUT_DERIVATIVES:
            needs_csf = case in ("wm_csf basic", "preset ica_aroma", "ica_aroma full")
            if not (table == _OLDEST and needs_csf):  # it has no CSF column
                listed[table, case] = "camel-case names of fMRIPrep before 1.2, which are mapped"
    return {key: why for key, why in listed.items() if key[0] in ORACLE["tables"]}


EXCEPTIONS = _exceptions()


@dataclass
class Answer:
    """What our functions give for one table and case."""

    confounds: pd.DataFrame = field(default_factory=pd.DataFrame)
    kept: np.ndarray | None = None
    error: BidsmaskError | None = None

    @property
    def censored(self) -> list[int]:
        every = set(range(len(self.confounds)))
        return [] if self.kept is None else sorted(every - set(self.kept.tolist()))


def images_beside(table: str, folder: Path) -> tuple[Path, Path]:
    """Copy a table with its sidecar, and return the names of its series and denoised series."""
    source = REAL_TABLES / table.removesuffix(_RENAMED)
    ending = r"(_desc-confounds_(timeseries|regressors)|_bold_confounds|_desc-\w+_regressors)\.tsv$"
    stem = re.sub(ending, "", source.name)
    rest = source.name.removeprefix(stem)
    if table.endswith(_RENAMED):
        rest = "_desc-confounds_regressors.tsv"
    stem = stem if stem.startswith("sub-") else "sub-01_task-rest"
    shutil.copy(source, folder / (stem + rest))
    if source.with_suffix(".json").exists():
        sidecar = (stem + rest).replace(".tsv", ".json")
        shutil.copy(source.with_suffix(".json"), folder / sidecar)
    return (
        folder / f"{stem}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
        folder / f"{stem}_space-MNI152NLin6Asym_desc-smoothAROMAnonaggr_bold.nii.gz",
    )


def tedana_image(folder: Path) -> Path:
    """Copy tedana's tables, and return the name of the series that it combined."""
    for source in (REAL_TABLES / "tedana_nilearn").glob("*.tsv"):
        shutil.copy(source, folder / source.name.replace("test_", "sub-01_task-rest_"))
    return folder / "sub-01_task-rest_desc-optcom_bold.nii.gz"


def call(module: Any, image: Path, options: Mapping[str, Any]) -> Any:
    """Ask nilearn or ourselves for what a case of the oracle says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "denoise_strategy" in options:
            return module.load_confounds_strategy(str(image), **options)
        return module.load_confounds(str(image), **options)


def answers(table: str, folder: Path) -> dict[str, Answer]:
    """Return our answers to all cases of a table."""
    is_tedana = table.startswith("tedana")
    series, denoised = [tedana_image(folder)] * 2 if is_tedana else images_beside(table, folder)
    found = {}
    for case in ORACLE["tables"][table]:
        image = denoised if case in ("preset ica_aroma", "ica_aroma full") else series
        try:
            found[case] = Answer(*call(bidsmask, image, ORACLE["options"][case]))
        except BidsmaskError as error:
            found[case] = Answer(error=error)
    return found


def difference(ours: Answer, theirs: Mapping[str, Any]) -> str:
    """Return in what the two differ; empty where they agree."""
    if "error" in theirs:
        if ours.error is None:
            return f"nilearn raises {theirs['error']}, we give {ours.confounds.shape[1]} columns"
        # A table of another kind is called that, before a column of it is missed.
        if theirs["error"] == "KeyError" and not isinstance(
            ours.error, MissingColumn | UnusableTable
        ):
            return f"a missing column is {type(ours.error).__name__}"
        return ""
    if ours.error is not None:
        return f"we raise {ours.error!r}"
    names = ORACLE["column_sets"][str(theirs["set"])] if "set" in theirs else []
    if list(ours.confounds.columns) != names:
        return f"columns {set(ours.confounds.columns) ^ set(names)}"
    if (None if ours.kept is None else len(ours.kept)) != theirs["mask"]:
        return f"a mask of {ours.kept}, not {theirs['mask']}"
    if ours.censored != theirs["excluded"]:
        return f"volumes {set(ours.censored) ^ set(theirs['excluded'])}"
    flat = ours.confounds.to_numpy().ravel()
    if names and np.isnan(flat).sum() != theirs["nan"]:
        return f"{np.isnan(flat).sum()} n/a, not {theirs['nan']}"
    known = flat[~np.isnan(flat)]
    sums = {
        "sum": (math.fsum(known), theirs["abs_sum"]),
        "abs_sum": (math.fsum(np.abs(known)), theirs["abs_sum"]),
        "sq_sum": (math.fsum(known**2), theirs["sq_sum"]),
    }
    wrong = [key for key, (one, size) in sums.items() if abs(one - theirs[key]) > 1e-12 * size]
    return f"{wrong} of the values" if wrong else ""


@pytest.mark.parametrize("table", ORACLE["tables"])
def test_real_table_gives_nilearns_columns_values_and_volumes(table: str, tmp_path: Path) -> None:
    found = {
        case: difference(ours, ORACLE["tables"][table][case])
        for case, ours in answers(table, tmp_path).items()
    }
    unexpected = {
        case: what for case, what in found.items() if what and (table, case) not in EXCEPTIONS
    }
    assert not unexpected
    outdated = [case for case, what in found.items() if not what and (table, case) in EXCEPTIONS]
    assert not outdated, "these agree by now: take them off the list of exceptions"


def test_every_exception_is_a_case_of_the_oracle() -> None:
    assert all(case in ORACLE["tables"][table] for table, case in EXCEPTIONS)


def test_oracle_covers_all_real_tables() -> None:
    folders = {name.split("/")[0] for name in ORACLE["tables"]}
    assert len(folders) >= 30
    assert sum(len(cases) for cases in ORACLE["tables"].values()) > 1600


LIVE = (
    "v1.5_nilearn/test",
    "v21_nilearn",
    "v22plus_ds007022",
    "v23.1.4_ds005874",
    "v25.2.4_ds006185",
)
LIVE_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "all at once": {
        "strategy": ["motion", "high_pass", "wm_csf", "global_signal", "compcor", "scrub"],
        "compcor": "temporal_anat_separated",
        "n_compcor": 2,
        "global_signal": "power2",
        "fd_threshold": 0.3,
        "scrub": 3,
    },
    "not demeaned": {"strategy": ("motion", "scrub"), "demean": False},
    "scrubbing": {"denoise_strategy": "scrubbing", "global_signal": "derivatives"},
    "None keeps the default": {"denoise_strategy": "scrubbing", "std_dvars_threshold": None},
    "compcor": {"denoise_strategy": "compcor", "n_compcor": 4, "demean": False},
    "unneeded": {"denoise_strategy": "simple", "compcor": "temporal", "motion": "basic"},
}


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Compare columns, each to the last digits of its largest value."""
    assert list(ours.columns) == list(theirs.columns)
    sizes = theirs.abs().max().to_numpy()
    np.testing.assert_allclose(ours.to_numpy() / sizes, theirs.to_numpy() / sizes, atol=1e-12)


@pytest.mark.parametrize("options", LIVE_OPTIONS.values(), ids=list(LIVE_OPTIONS))
@pytest.mark.parametrize("folder", LIVE)
def test_tables_are_those_of_nilearn_itself(
    folder: str, options: Mapping[str, Any], tmp_path: Path
) -> None:
    table = next(name for name in ORACLE["tables"] if name.startswith(folder))
    series, _ = images_beside(table, tmp_path)
    series.touch()
    theirs, their_mask = call(fmriprep, series, options)
    ours, our_mask = call(bidsmask, series, options)
    assert_same(ours, theirs)
    np.testing.assert_array_equal(our_mask, their_mask)
    assert our_mask is None or our_mask.dtype == their_mask.dtype


@pytest.mark.parametrize("kind", ["aggressive", "non-aggressive"])
def test_tedanas_components_are_those_of_nilearn_itself(kind: str, tmp_path: Path) -> None:
    image = tedana_image(tmp_path)
    image.touch()
    options = {"strategy": ["tedana"], "tedana": kind}
    theirs, _ = call(fmriprep, image, options)
    ours, mask = call(bidsmask, image, options)
    assert_same(ours, theirs)
    assert mask is None
