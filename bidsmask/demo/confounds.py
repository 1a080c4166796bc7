"""The confounds table that fMRIPrep would write for a simulated run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.demo.head import CSF, WHITE, Scene
from bidsmask.demo.motion import PARAMETERS, backward_differences, framewise_displacement
from bidsmask.demo.timecourse import T_R_S, Timecourse

FloatArray = npt.NDArray[np.float64]

N_COMPCOR = 4
HIGH_PASS_PERIOD_S = 128.0
OUTLIER_FD_MM = 0.5
OUTLIER_STD_DVARS = 1.5
"""A volume beyond either has a `motion_outlier` column, as fMRIPrep's defaults have it."""

Metadata = dict[str, dict[str, object]]


def confounds_table(
    scene: Scene, series: npt.NDArray[np.float32], timecourse: Timecourse, non_steady: int
) -> tuple[pd.DataFrame, Metadata]:
    """Measure the confounds of a run in its images, and add what is known of its motion.

    Parameters
    ----------
    scene : Scene
    series : (n_volumes, n_voxels) array
    timecourse : Timecourse
    non_steady : int
        Number of volumes before the steady state.

    Returns
    -------
    table : DataFrame
        One row per volume; columns and their names as in fMRIPrep 23. NaN where fMRIPrep
        writes n/a: the first row of differences, DVARS and FD.
    metadata : dict
        What its JSON sidecar says of single columns.
    """
    csf, white = scene.mostly(CSF), scene.mostly(WHITE)
    tissues = {"global_signal": scene.brain, "csf": csf, "white_matter": white}
    columns: dict[str, FloatArray] = {}
    for name, voxels in tissues.items():
        _add_expanded(columns, name, series[:, voxels].mean(axis=1, dtype=np.float64))
    columns["csf_wm"] = series[:, csf | white].mean(axis=1, dtype=np.float64)
    brain = series[:, scene.brain].astype(np.float64)
    columns["dvars"], columns["std_dvars"] = dvars(brain)
    columns["framewise_displacement"] = framewise_displacement(timecourse.motion)

    # fMRIPrep leaves the first volumes out of these, and writes 0 there.
    cosines = cosine_basis(timecourse.n_volumes - non_steady)
    noise = series[non_steady:, csf | white].astype(np.float64)
    components, metadata = a_comp_cor(noise, cosines)
    before = ((non_steady, 0), (0, 0))
    _add_numbered(columns, "a_comp_cor_", np.pad(components, before))
    _add_numbered(columns, "cosine", np.pad(cosines, before))
    _add_numbered(columns, "non_steady_state_outlier", np.eye(timecourse.n_volumes)[:, :non_steady])
    for name, values in zip(PARAMETERS, timecourse.motion.T, strict=True):
        _add_expanded(columns, name, values)
    _add_numbered(columns, "motion_outlier", _outliers(columns))
    return pd.DataFrame(columns), metadata


def _add_expanded(columns: dict[str, FloatArray], name: str, values: FloatArray) -> None:
    differences = backward_differences(values)
    columns[name] = values
    columns[f"{name}_derivative1"] = differences
    columns[f"{name}_derivative1_power2"] = differences**2
    columns[f"{name}_power2"] = values**2


def _add_numbered(columns: dict[str, FloatArray], stem: str, values: FloatArray) -> None:
    columns |= {f"{stem}{number:02d}": column for number, column in enumerate(values.T)}


def _outliers(columns: dict[str, FloatArray]) -> FloatArray:
    """One column, 1 at its volume, for each volume beyond fMRIPrep's thresholds."""
    beyond = columns["framewise_displacement"] > OUTLIER_FD_MM
    beyond |= columns["std_dvars"] > OUTLIER_STD_DVARS
    return np.eye(len(beyond))[:, beyond]


def dvars(series: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how much the whole image changes from one volume to the next.

    DVARS_t = √mean_v (y_t − y_{t−1})² (Power et al. 2012), and the same over its expected
    value, mean_v σ_v √(2 (1 − ρ_v)), with σ from the quartiles and ρ the lag-1 correlation
    (Nichols 2013, Afyouni and Nichols 2018), as nipype's `compute_dvars` has it.

    Parameters
    ----------
    series : (n_volumes, n_voxels) array

    Returns
    -------
    dvars, std_dvars : (n_volumes,) float64 arrays
        The first is NaN.
    """
    low, high = np.percentile(series, [25, 75], axis=0)
    sigma = (high - low) / 1.349
    centred = series - series.mean(axis=0)
    rho = (centred[1:] * centred[:-1]).sum(axis=0) / (centred**2).sum(axis=0)
    expected = (sigma * np.sqrt(2 * (1 - rho))).mean()
    changes = np.sqrt((np.diff(series, axis=0) ** 2).mean(axis=1))
    plain = np.concatenate([[np.nan], changes])
    return plain, plain / expected


def cosine_basis(n_volumes: int) -> FloatArray:
    """Return the discrete cosines slower than 128 s, as fMRIPrep writes them.

    Column k (from 1) is √(2/n) cos(π k (t + ½)/n), for k < ⌊2 n TR / 128 s⌋ (Ashburner and
    Friston 1999).

    Returns
    -------
    (n_volumes, n_cosines) float64 array
    """
    order = max(int(2 * n_volumes * T_R_S / HIGH_PASS_PERIOD_S), 1)
    times = np.arange(n_volumes)[:, None] + 0.5
    return np.asarray(
        np.sqrt(2 / n_volumes) * np.cos(np.pi / n_volumes * times * np.arange(1, order))
    )


def a_comp_cor(noise: FloatArray, cosines: FloatArray) -> tuple[FloatArray, Metadata]:
    """Return the first principal components of CSF and white matter together.

    After the mean and the cosines were taken out of each voxel (Behzadi et al. 2007; fMRIPrep
    filters first, so that the cosines must be regressed beside the components).

    Parameters
    ----------
    noise : (n_volumes, n_voxels) array
    cosines : (n_volumes, n_cosines) array

    Returns
    -------
    components : (n_volumes, 4) float64 array
        Of length 1 each.
    metadata : dict
        Mask, Method, SingularValue, VarianceExplained… of each, as fMRIPrep names them.
    """
    slow, _ = np.linalg.qr(np.column_stack([np.ones(len(cosines)), cosines]))
    filtered = noise - slow @ (slow.T @ noise)
    filtered /= filtered.std(axis=0)
    components, values, _ = np.linalg.svd(filtered, full_matrices=False)
    # A component's sign is the library's choice: the largest value is made positive.
    components = components[:, :N_COMPCOR]
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(N_COMPCOR)])
    explained = values**2 / (values**2).sum()
    metadata: Metadata = {
        f"a_comp_cor_{number:02d}": {
            "CumulativeVarianceExplained": round(float(explained[: number + 1].sum()), 10),
            "Mask": "combined",
            "Method": "aCompCor",
            "Retained": True,
            "SingularValue": round(float(values[number]), 10),
            "VarianceExplained": round(float(explained[number]), 10),
        }
        for number in range(N_COMPCOR)
    }
    return components, metadata
