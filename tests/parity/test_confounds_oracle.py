"""Columns and kept volumes on real confounds tables, against nilearn's recorded answers.

`nilearn_oracle.json` holds what nilearn 0.14.1's `load_confounds` gave for each table and
set of options: names, rows left out, and sums of the values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from bidsmask.cleaning.censoring import Thresholds, censor
from bidsmask.cleaning.confounds import STRATEGIES, ConfoundsStrategy, select_regressors
from bidsmask.errors import BidsmaskError, MissingColumn, TooFewVolumes
from tests.make_cleaning import REAL_TABLES, needs_real_tables, read_real_table

pytestmark = needs_real_tables

_ORACLE = REAL_TABLES / "nilearn_oracle.json"
ORACLE: Mapping[str, Any] = json.loads(_ORACLE.read_text()) if _ORACLE.exists() else {"tables": {}}

_PRESETS = {"simple": "simple", "scrubbing": "scrubbing", "compcor": "acompcor"}
# ICA-AROMA, tedana, temporal and separate CompCor are no strategies here.
_NOT_OURS = ("aroma", "tedana", "separated", "temporal")

_DIFFUSION = "dwi_qsiprep/sub-24683_ses-1_dir-AP_desc-confounds_timeseries.tsv"
_RETROICOR = (
    "retroicor_ds002790/sub-0057_task-emomatching_acq-seq_recording-respcardiac"
    "_desc-retroicor_regressors.tsv as _desc-confounds_regressors.tsv"
)
_WITHOUT_CSF = "v1.4.1_ds002790/sub-0020_task-stopsignal_acq-seq_desc-confounds_regressors.tsv"
_ONE_ROW = "v1.5_load_confounds/missing_desc-confounds_regressors.tsv"
_RENAMED = " as _desc-confounds_regressors.tsv"
_OLDEST = "v0.x-1.0_ciftify/sub-50005_task-rest_bold_confounds.tsv"
_CAMEL_CASE = (
    _OLDEST,
    "v1.1.4_ds001734/sub-030_task-MGT_run-03_bold_confounds.tsv",
    "v1.1_ds001499/sub-CSI3_ses-14_task-localizer_bold_confounds.tsv",
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
)


def _exceptions() -> dict[tuple[str, str], str]:
    """Return where we differ from nilearn on purpose: (table, case) -> the reason."""
    listed = {
        (_DIFFUSION, "motion basic"): "of a diffusion run: refused by name",
        (_DIFFUSION, "high_pass"): "of a diffusion run: refused by name",
        (_RETROICOR, "high_pass"): "no fMRIPrep table: refused, not silently without columns",
    }
    for case in ORACLE.get("options", {}):
        if case == "default" or "wm_csf" in case or case.startswith("preset s"):
            listed[_WITHOUT_CSF, case] = "csf is n/a in every row: refused, not passed on as NaN"
    for case in ("wm_csf basic", "wm_csf power2", "global_signal basic", "global_signal power2"):
        listed[_ONE_ROW, case] = "one row: nilearn looks for a second one and raises IndexError"
    for table in _CAMEL_CASE:
        for case in _CASES_WITHOUT_DERIVATIVES:
            if (table, case) == (_OLDEST, "wm_csf basic"):  # has no CSF column
                continue
            for name in (table, table + _RENAMED):
                listed[name, case] = "camel-case names of fMRIPrep before 1.2, which are mapped"
    return {key: why for key, why in listed.items() if key[0] in ORACLE["tables"]}


EXCEPTIONS = _exceptions()


@dataclass
class Answer:
    """What our own functions give for one table and case."""

    names: tuple[str, ...] = ()
    censored: tuple[int, ...] = ()
    values: np.ndarray | None = None
    error: BidsmaskError | None = None


def _strategy(options: Mapping[str, Any]) -> ConfoundsStrategy:
    """Say nilearn's options in our words."""
    ours = {
        "fd_threshold": "fd_mm",
        "std_dvars_threshold": "std_dvars",
        "scrub": "min_segment",
    }
    if "denoise_strategy" in options:
        preset = STRATEGIES[_PRESETS[options["denoise_strategy"]]]
        changes = {ours.get(k, k): v for k, v in options.items() if k != "denoise_strategy"}
        if preset.compcor != "none":
            changes.setdefault("n_compcor", "all")
        return replace(preset, **changes)
    parts = options.get("strategy", ("motion", "high_pass", "wm_csf"))
    chosen: dict[str, Any] = {"high_pass": "high_pass" in parts}
    defaults = {"motion": "full", "wm_csf": "basic", "global_signal": "basic"}
    chosen |= {part: options.get(part, defaults[part]) for part in parts if part in defaults}
    if "compcor" in parts:
        chosen |= {"compcor": options["compcor"], "n_compcor": options["n_compcor"]}
    if "scrub" in parts:
        scrubbing = {"scrub": 5, "fd_threshold": 0.5, "std_dvars_threshold": 1.5}
        chosen |= {ours[key]: options.get(key, value) for key, value in scrubbing.items()}
    return ConfoundsStrategy("as nilearn's", **chosen)


def _answer(table_name: str, case: str) -> Answer:
    options = ORACLE["options"][case]
    path = table_name.removesuffix(_RENAMED)
    table, metadata = read_real_table(path)
    try:
        strategy = _strategy(options)
        thresholds = Thresholds(strategy.fd_mm, strategy.std_dvars, strategy.min_segment)
        kept = censor(len(table), 2.0, thresholds, table, path).kept
        chosen = select_regressors(
            strategy, table, metadata, len(table), path, first_derivative="nilearn"
        )
    except BidsmaskError as error:
        return Answer(error=error)
    values = chosen.values
    if options.get("demean", True) and values.size:
        values = values - values[kept].mean(axis=0)
    return Answer(chosen.names, tuple(np.flatnonzero(~kept).tolist()), values)


def _difference(ours: Answer, theirs: Mapping[str, Any]) -> str:
    """Return in what the two differ; empty where they agree."""
    if "error" in theirs:
        if ours.error is None:
            return f"nilearn raises {theirs['error']}, we give {len(ours.names)} columns"
        if theirs["error"] == "KeyError" and not isinstance(ours.error, MissingColumn):
            return f"a missing column is {type(ours.error).__name__}"
        return ""
    if ours.error is not None:
        nothing_left = theirs["mask"] == 0 and isinstance(ours.error, TooFewVolumes)
        return "" if nothing_left else f"we raise {ours.error!r}"
    names = ORACLE["column_sets"][str(theirs["set"])] if "set" in theirs else []
    if list(ours.names) != names:
        return f"columns {set(ours.names) ^ set(names)}"
    if list(ours.censored) != theirs["excluded"]:
        return f"volumes {set(ours.censored) ^ set(theirs['excluded'])}"
    if not names:
        return ""
    assert ours.values is not None
    flat = ours.values.ravel()
    sums = {
        "sum": math.fsum(flat),
        "abs_sum": math.fsum(np.abs(flat)),
        "sq_sum": math.fsum(flat**2),
    }
    size = {"sum": theirs["abs_sum"], "abs_sum": theirs["abs_sum"], "sq_sum": theirs["sq_sum"]}
    wrong = [
        key for key, ours_sum in sums.items() if abs(ours_sum - theirs[key]) > 1e-12 * size[key]
    ]
    return f"{wrong} of the values" if wrong else ""


def _cases(table: str) -> list[str]:
    return [case for case in ORACLE["tables"][table] if not any(word in case for word in _NOT_OURS)]


_TABLES = [name for name in ORACLE["tables"] if not name.startswith("tedana")]


@pytest.mark.parametrize("table", _TABLES)
def test_real_table_gives_nilearns_columns_and_volumes(table: str) -> None:
    differences = {
        case: _difference(_answer(table, case), ORACLE["tables"][table][case])
        for case in _cases(table)
    }
    unexpected = {
        case: what for case, what in differences.items() if what and (table, case) not in EXCEPTIONS
    }
    assert not unexpected
    outdated = [
        case for case, what in differences.items() if not what and (table, case) in EXCEPTIONS
    ]
    assert not outdated, "these agree by now: take them off the list of exceptions"


def test_every_exception_is_a_case_of_the_oracle() -> None:
    assert all(case in _cases(table) for table, case in EXCEPTIONS)


def test_oracle_covers_all_real_tables() -> None:
    folders = {name.split("/")[0] for name in _TABLES}
    assert len(folders) >= 30
    assert sum(len(_cases(table)) for table in _TABLES) > 1200
