"""Maskers against nilearn over a grid of all options, drawn so that every pair of values meets.

nilearn is asked in float64, on images of float64. Where it is wrong (docs/maskers.md) the case
says so by name in `exceptions`, and what is expected is put together from nilearn's own parts:
`signal.clean` on signals that were filled, freed of their trend, or taken run by run before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import nibabel
import nilearn.image
import nilearn.maskers
import nilearn.regions
import nilearn.signal
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.interpolate import CubicSpline

import bidsmask
from tests.make_images import AFFINE
from tests.make_maskers import T_R, confounds, mask, quietly, series
from tests.make_region_maskers import (
    LABEL_OPTIONS,
    MAP_OPTIONS,
    REGION_OPTIONS,
    SPHERE_OPTIONS,
    of_labels,
    of_maps,
    of_regions,
    of_spheres,
)

N_VOLUMES = 80
N_CASES = 2100
N_FAST = 100
Case = Mapping[str, Any]


@cache
def other_mask() -> nibabel.Nifti1Image:
    """Return a mask on a coarser, shifted grid."""
    affine = np.diag([2.5, 3.5, 5, 1.0])
    affine[:3, 3] = -8, -17, -28
    inside = np.zeros((7, 8, 6), np.uint8)
    inside[1:6, 1:7, 1:5] = np.random.default_rng(1).random((5, 6, 4)) > 0.3
    return nibabel.Nifti1Image(inside, affine)


FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "band": {"low_pass": 0.1, "high_pass": 0.01},
    "low": {"low_pass": 0.12},
    "high": {"high_pass": 0.008},
    "above Nyquist": {"low_pass": 0.3, "high_pass": 0.02},
    "cosine": {"high_pass": 0.02, "clean_args": {"filter": "cosine"}},
    "cosine, low": {"high_pass": 0.01, "low_pass": 0.1, "clean_args": {"filter": "cosine"}},
    "off": {"low_pass": 0.1, "clean_args": {"filter": False}},
}
PADDINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "order 3": {"butterworth__order": 3},
    "even": {"butterworth__padtype": "even"},
    "constant": {"butterworth__padtype": "constant", "butterworth__padlen": 12},
    "none": {"butterworth__padtype": None},
    "extrapolated": {"extrapolate": True},
}
KEPT: dict[str, Any] = {
    "all": None,
    "inside": np.r_[0:20, 22:45, 46:80],
    "start": np.r_[4:80],
    "truth": np.isin(np.arange(80), [7, 30, 31, 60], invert=True),
    "list": [[*range(3, 28), *range(29, 80)]],
    "mirrored": np.setdiff1d(np.arange(80), [10, 69]),
    "ends": np.r_[2:77],
}
CONFOUNDS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "array": lambda: confounds(N_VOLUMES),
    "table": lambda: pd.DataFrame(confounds(N_VOLUMES, 2, seed=1), columns=["a", "b"]),
    "list": lambda: [confounds(N_VOLUMES, 1)[:, 0], confounds(N_VOLUMES, 2, seed=2)],
}
COMMON: dict[str, list[Any]] = {
    "stored": ["int16", "float32", "float64"],
    "smoothing_fwhm": [None, None, 5],
    "standardize": ["zscore_sample", "psc", True, False, None],
    "standardize_confounds": [True, True, False],
    "detrend": [False, True],
    "high_variance_confounds": [False, False, True],
    "filter": list(FILTERS),
    "padding": list(PADDINGS),
    "kept": list(KEPT),
    "confounds": list(CONFOUNDS),
    "dtype": [None, "float64", "float32", "auto"],
}


@dataclass(frozen=True)
class Kind:
    """A masker, nilearn's and ours, and the options that it alone has."""

    name: str
    own: Mapping[str, list[Any]]
    # Parameters of an estimator, made from the own options of a case.
    parameters: Callable[[Case], dict[str, Any]]
    # Where nilearn has it.
    place: Any = nilearn.maskers


def of_voxels(case: Case) -> dict[str, Any]:
    given: dict[str, Any] = {"runs": None if case["runs"] is None else np.array(case["runs"])}
    if case["mask"] in ("epi", "background"):
        given |= {"mask_strategy": case["mask"], "target_affine": case["target_affine"]}
        given["mask_args"] = {"opening": 1}
    else:
        given["mask_img"] = mask() if case["mask"] == "given" else other_mask()
    return given


KINDS: dict[str, Kind] = {
    "voxels": Kind(
        "NiftiMasker",
        {
            "mask": ["given", "given", "other grid", "epi", "background"],
            "target_affine": [None, None, ((3, 0, 0), (0, 3, 0), (0, 0, 4))],
            "runs": [None, None, (0,) * 38 + (1,) * 42],
        },
        of_voxels,
    ),
    "labels": Kind("NiftiLabelsMasker", LABEL_OPTIONS, of_labels),
    "maps": Kind("NiftiMapsMasker", MAP_OPTIONS, of_maps),
    "spheres": Kind("NiftiSpheresMasker", SPHERE_OPTIONS, of_spheres),
    "regions": Kind("RegionExtractor", REGION_OPTIONS, of_regions, nilearn.regions),
}


def draw(kind: str, n: int) -> Iterator[dict[str, Any]]:
    """Yield cases: of each option a value at random, the same ones each time."""
    random = np.random.default_rng(12)
    options = {**COMMON, **KINDS[kind].own}
    for _ in range(n):
        case = {name: values[random.integers(len(values))] for name, values in options.items()}
        if case.get("runs") is not None:
            case["kept"] = "all"  # nilearn numbers masks by runs; a test of ours has both
        yield case


# What nilearn gives


def exceptions(case: Case) -> set[str]:
    """Return by name what nilearn does wrong in a case."""
    found = set()
    is_censored = case["kept"] != "all"
    is_filtered = case["filter"] in ("band", "low", "high", "above Nyquist")
    if case["standardize"] == "psc":
        found.add("shared mean")
    if is_censored and is_filtered and case["kept"] in ("mirrored", "ends"):
        found.add("mirrored index")
    if is_censored and case["detrend"] and not is_filtered:
        found.add("compressed time")
    if case.get("runs") is not None and (
        not case["standardize_confounds"] or (is_filtered and case["padding"] != "default")
    ):
        found.add("forgetful runs")
    if case["filter"].startswith("cosine") and any(map(nears_a_cosine, runs_of(case))):
        found.add("dropped cosines")
    return found


def regressors_of(case: Case) -> np.ndarray:
    """Return all confounds of a case, those of high variance first."""
    given = CONFOUNDS[case["confounds"]]()
    parts = given if isinstance(given, list) else [] if given is None else [given]
    if case["high_variance_confounds"]:
        exact = images(case["stored"])[1]
        parts = [nilearn.image.high_variance_confounds(exact), *parts]
    columns = [np.asarray(one, float).reshape(N_VOLUMES, -1) for one in parts]
    return np.hstack([np.empty((N_VOLUMES, 0)), *columns])


def runs_of(case: Case) -> list[tuple[float, np.ndarray]]:
    """Return the cut-off and the confounds of each run."""
    marks = np.zeros(N_VOLUMES) if case.get("runs") is None else np.array(case["runs"])
    columns = regressors_of(case)
    return [(FILTERS[case["filter"]]["high_pass"], columns[marks == one]) for one in set(marks)]


def cosines(n: int, high_pass: float) -> np.ndarray:
    return nilearn.signal.create_cosine_drift(high_pass, np.arange(n) * T_R)[:, :-1]


def nears_a_cosine(run: tuple[float, np.ndarray]) -> bool:
    """Return whether a confound correlates above .9 with a cosine, so that all are left out."""
    high_pass, columns = run
    terms = cosines(len(columns), high_pass)
    if not columns.shape[1]:
        return False
    return bool((np.corrcoef(terms.T, columns.T)[: terms.shape[1], terms.shape[1] :] > 0.9).any())


def arguments(case: Case) -> dict[str, Any]:
    """Return the parameters of a masker that have to do with time."""
    chosen = FILTERS[case["filter"]]
    clean_args = {**chosen.get("clean_args", {})}
    if "filter" not in clean_args and chosen:
        clean_args |= PADDINGS[case["padding"]]
    return {
        **{name: case[name] for name in ("standardize", "standardize_confounds", "detrend")},
        "high_variance_confounds": case["high_variance_confounds"],
        "t_r": T_R,
        **chosen,
        "clean_args": clean_args,
    }


def by_parts(case: Case, raw: np.ndarray) -> np.ndarray:
    """Return what nilearn means to do with raw signals, put together from its parts."""
    regressors = regressors_of(case)
    marks = np.zeros(N_VOLUMES) if case.get("runs") is None else np.array(case["runs"])
    parts = []
    for mark in np.unique(marks):
        rows = marks == mark
        parts.append(one_run(case, raw[rows], regressors[rows]))
    return np.vstack(parts)


def one_run(case: Case, raw: np.ndarray, columns: np.ndarray) -> np.ndarray:
    n = len(raw)
    kept = as_truth(KEPT[case["kept"]], n)
    given = arguments(case)
    clean_args = given.pop("clean_args")
    kind = clean_args.pop("filter", "butterworth")
    extrapolate = clean_args.pop("extrapolate", False)
    cut_offs = {name: given.get(name) for name in ("low_pass", "high_pass")}
    if kind == "cosine":
        columns = np.hstack([columns, cosines(n, cut_offs["high_pass"])])
    both = np.hstack([raw, columns])
    if kind == "butterworth" and any(cut_offs.values()):
        times = np.flatnonzero(kept)
        run = slice(None) if extrapolate else slice(times[0], times[-1] + 1)
        if not kept.all():
            both = CubicSpline(times, both[times])(np.arange(n)[run])
        both = nilearn.signal.clean(
            both, detrend=given["detrend"], standardize=None, t_r=T_R, **cut_offs, **clean_args
        )[kept[run]]
    elif given["detrend"]:
        line = np.column_stack([np.ones(n), np.arange(n)])[kept]
        both = both[kept] - line @ np.linalg.lstsq(line, both[kept], rcond=None)[0]
    else:
        both = both[kept]
    signals, columns = both[:, : raw.shape[1]], both[:, raw.shape[1] :]
    is_psc = given["standardize"] == "psc"
    found = nilearn.signal.clean(
        signals,
        confounds=columns if columns.shape[1] else None,
        detrend=False,
        standardize=None if is_psc else given["standardize"],
        standardize_confounds=given["standardize_confounds"],
        filter=False,
    )
    if not is_psc:
        return found
    means = np.abs(raw[kept].mean(0))
    # A label that the mask took away is 0 throughout.
    percent = 100 * (found - found.mean(0))
    return np.divide(percent, means, out=np.zeros_like(percent), where=means > 0)


def as_truth(kept: Any, n: int) -> np.ndarray:
    if kept is None:
        return np.ones(n, bool)
    flat = np.asarray(kept[0] if isinstance(kept, list) else kept)
    return flat if flat.dtype == bool else np.isin(np.arange(n), flat)


@cache
def images(stored: str) -> tuple[nibabel.Nifti1Image, nibabel.Nifti1Image]:
    """Return an image as it is stored, and in float64."""
    image = series(N_VOLUMES, stored)
    return image, nibabel.Nifti1Image(image.get_fdata(), AFFINE)


def compare(kind: str, case: Case) -> None:
    """Hold a masker against nilearn's."""
    chosen = KINDS[kind]
    image, exact = images(case["stored"])
    spatial = {"smoothing_fwhm": case["smoothing_fwhm"], **chosen.parameters(case)}
    peer = getattr(chosen.place, chosen.name)
    given = {"confounds": CONFOUNDS[case["confounds"]](), "sample_mask": KEPT[case["kept"]]}
    masker = getattr(bidsmask, chosen.name)(dtype=case["dtype"], **spatial, **arguments(case))
    ours = quietly(masker.fit_transform, image, **copied(given))
    plain = peer(dtype="float64", standardize=None, **{**spatial, **without_runs(chosen)})
    if quietly(exceptions, case):
        expected = quietly(by_parts, case, quietly(plain.fit_transform, exact))
    else:
        their = peer(dtype="float64", **spatial, **arguments(case))
        expected = quietly(their.fit_transform, exact, **copied(given))
    assert ours.shape == expected.shape
    if case["dtype"] is None:
        natural = peer(standardize=None, **{**spatial, **without_runs(chosen)})
        assert ours.dtype == quietly(natural.fit_transform, image).dtype
    else:
        assert ours.dtype == ("float32" if case["dtype"] == "auto" else case["dtype"])
    largest = np.abs(expected).max()
    is_exact = ours.dtype == np.float64 and case["stored"] == "float64"
    # nilearn moves maps of float32 in float32.
    is_exact &= kind != "maps" or not (case["coarse"] or case["mask"] == "other grid")
    bound = 1e-9 if is_exact else 1e-5
    if case["padding"] == "extrapolated" and case["kept"] != "all":
        bound = 1e-6 if is_exact else 1e-4  # splines that leave the run magnify rounding
    if case["standardize"] in ("zscore_sample", True):
        largest = max(largest / 5, 1)
    assert_allclose(ours, expected, rtol=0, atol=bound * max(largest, 1e-3), err_msg=str(case))


def without_runs(kind: Kind) -> dict[str, Any]:
    """Return the parameter that makes one run of all volumes."""
    return {"runs": None} if "runs" in kind.own else {}


def copied(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that may be changed: nilearn does so with int32 sample masks."""
    return {
        name: value.copy() if isinstance(value, np.ndarray | list) else value
        for name, value in given.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_all_options_gives_nilearns_numbers(kind):
    for case in itertools.islice(draw(kind, N_CASES), N_FAST):
        compare(kind, case)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_all_options_give_nilearns_numbers(kind):
    for case in draw(kind, N_CASES):
        compare(kind, case)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_of_values_meets(kind):
    options = {**COMMON, **KINDS[kind].own}
    met = set()
    for case in draw(kind, N_CASES):
        named = [(name, repr(value)) for name, value in case.items()]
        met |= set(itertools.combinations(sorted(named), 2))
    for (one, left), (two, right) in itertools.combinations(sorted(options.items()), 2):
        if {one, two} == {"runs", "kept"}:
            continue
        for a, b in itertools.product(left, right):
            assert ((one, repr(a)), (two, repr(b))) in met, (one, a, two, b)


def both_ways(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return nilearn's signals of voxels, and what is put together from its parts."""
    exact, spatial = images(case["stored"])[1], of_voxels(case)
    given = {"confounds": CONFOUNDS[case["confounds"]](), "sample_mask": KEPT[case["kept"]]}
    peer = nilearn.maskers.NiftiMasker
    whole = peer(dtype="float64", **spatial, **arguments(case))
    plain = peer(dtype="float64", standardize=None, **{**spatial, "runs": None})
    raw = quietly(plain.fit_transform, exact)
    return quietly(whole.fit_transform, exact, **copied(given)), quietly(by_parts, case, raw)


EXCEPTIONS = (
    "shared mean",
    "mirrored index",
    "compressed time",
    "forgetful runs",
    "dropped cosines",
)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_is_one(name):
    """nilearn's own answer differs from what it means, by more than rounding, in such a case."""
    for case in draw("voxels", N_CASES):
        if quietly(exceptions, case) == {name}:
            theirs, meant = both_ways(case)
            is_other = theirs.shape != meant.shape
            if is_other or np.abs(theirs - meant).max() > 1e-3 * np.abs(meant).max():
                return
    raise AssertionError(f"{name}: nilearn is right in all cases")


def test_what_is_put_together_is_nilearns_where_it_is_right():
    """The parts are the whole, where nothing is wrong with it."""
    n_compared = 0
    for case in itertools.islice(draw("voxels", N_CASES), 120):
        if quietly(exceptions, case):
            continue
        whole, parts = both_ways(case)
        assert_allclose(parts, whole, atol=1e-9 * np.abs(whole).max(), err_msg=str(case))
        n_compared += 1
    assert n_compared > 20
