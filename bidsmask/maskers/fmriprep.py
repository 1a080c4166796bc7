"""nilearn's `load_confounds` and `load_confounds_strategy`, with its signatures and numbers.

docs/science.md lists what is done otherwise on purpose.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.cleaning.censoring import Thresholds, find_censored
from bidsmask.cleaning.compcor import Amount, Compcor
from bidsmask.cleaning.confounds import Regressors, select_regressors
from bidsmask.cleaning.strategies import Aroma, ConfoundsStrategy, Model
from bidsmask.cleaning.table import normal_names
from bidsmask.cleaning.tedana import METRICS, MIXING, Tedana
from bidsmask.errors import UsageError
from bidsmask.maskers.fmriprep_files import ImageName, read_metadata, read_table

ImageFiles = str | Path | Sequence[str | Path] | Sequence[Sequence[str | Path]]
SampleMask = npt.NDArray[np.int64] | None
Loaded = tuple[pd.DataFrame | list[pd.DataFrame] | None, SampleMask | list[SampleMask]]

_PARTS = (
    "motion",
    "high_pass",
    "wm_csf",
    "global_signal",
    "compcor",
    "ica_aroma",
    "tedana",
    "scrub",
    "non_steady_state",
)
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    part: tuple(one for one in get_args(kind) if one != "none")
    for part, kind in (
        ("motion", Model),
        ("wm_csf", Model),
        ("global_signal", Model),
        ("compcor", Compcor),
        ("ica_aroma", Aroma),
        ("tedana", Tedana),
    )
}
# What each preset is, and which of its arguments may be given beside it.
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "simple": {"strategy": ("high_pass", "motion", "wm_csf"), "motion": "full", "wm_csf": "basic"},
    "scrubbing": {
        "strategy": ("high_pass", "motion", "wm_csf", "scrub"),
        "motion": "full",
        "wm_csf": "full",
        "scrub": 5,
        "fd_threshold": 0.5,
        "std_dvars_threshold": 1.5,
    },
    "compcor": {
        "strategy": ("high_pass", "motion", "compcor"),
        "motion": "full",
        "n_compcor": "all",
        "compcor": "anat_combined",
    },
    "ica_aroma": {"strategy": ("high_pass", "wm_csf", "ica_aroma"), "wm_csf": "basic"},
}


def load_confounds(
    img_files: ImageFiles,
    strategy: Sequence[str] = ("motion", "high_pass", "wm_csf"),
    motion: Model = "full",
    scrub: int = 5,
    fd_threshold: float = 0.5,
    std_dvars_threshold: float = 1.5,
    wm_csf: Model = "basic",
    global_signal: Model = "basic",
    compcor: Compcor = "anat_combined",
    n_compcor: Amount = "all",
    ica_aroma: Aroma = "full",
    tedana: Tedana = "aggressive",
    demean: bool = True,
    *,
    first_derivative: Literal["zero", "nilearn"] = "nilearn",
) -> Loaded:
    """Return confounds and kept volumes of preprocessed images: nilearn's `load_confounds`.

    Parameters
    ----------
    img_files : str, Path, or list of those
        Images of fMRIPrep, of which only the names are looked at; their confounds lie in the
        same folder. A list of two `.func.gii` is one pair.
    strategy : sequence of str
        "motion", "high_pass", "wm_csf", "global_signal", "compcor", "ica_aroma", "scrub";
        or "tedana", which goes alone. Volumes of no steady state are always censored.
    motion, wm_csf, global_signal : {"basic", "derivatives", "power2", "full"}
        The parameters as they are, with their differences, with their squares, or with both.
    scrub : int
        Segments of kept volumes that are shorter are censored, too.
    fd_threshold, std_dvars_threshold : float
        Volumes with more framewise displacement, mm, or standardised DVARS are censored.
    compcor : str
        "anat_combined", "anat_separated", "temporal", "temporal_anat_combined" or
        "temporal_anat_separated".
    n_compcor : int, float or "all"
        That many components of each mask; or, beyond nilearn, as many as explain that share of
        its variance (0 to 1).
    ica_aroma : {"full", "basic"}
        No column, for the image that ICA-AROMA denoised; or the columns that it found.
    tedana : {"aggressive", "non-aggressive"}
        Components that it rejected; or those and the accepted ones.
    demean : bool
        Take the mean of the kept volumes out of each column.
    first_derivative : {"nilearn", "zero"}
        What stands for `n/a` in the first row of a difference: the second row's value, or 0.

    Returns
    -------
    confounds : DataFrame, or list of them
        (n_volumes, n_columns), columns sorted by name; None for an empty strategy. A list for
        several images.
    sample_mask : (n_kept,) int64 array, or list of them
        Numbers of the kept volumes; None where the table names no censored volume.

    Raises
    ------
    UsageError
        Arguments that make no sense, or an image whose name is not of their kind.
    MissingCompanion
        There is no confounds table, or no sidecar where CompCor needs one.
    MissingColumn
        A column is not in the table; the message has its name and those near to it.
    UnusableTable
        The table is none, or not of a BOLD run of fMRIPrep.
    """
    arguments = {
        "motion": motion,
        "wm_csf": wm_csf,
        "global_signal": global_signal,
        "compcor": compcor,
        "n_compcor": n_compcor,
        "ica_aroma": ica_aroma,
        "tedana": tedana,
        "scrub": scrub,
        "fd_threshold": fd_threshold,
        "std_dvars_threshold": std_dvars_threshold,
    }
    request = _Request.of(strategy, arguments, demean, first_derivative)
    images, is_single = _images_of(img_files)
    loaded = [request.load(image) for image in images]
    confounds, masks = [one for one, _ in loaded], [one for _, one in loaded]
    if is_single:
        return (confounds[0] if strategy else None), masks[0]
    return (confounds if strategy else None), masks


def load_confounds_strategy(
    img_files: ImageFiles, denoise_strategy: str = "simple", **kwargs: Any
) -> Loaded:
    """Return confounds and kept volumes by a preset: nilearn's `load_confounds_strategy`.

    Parameters
    ----------
    img_files : str, Path, or list of those
        As in `load_confounds`.
    denoise_strategy : {"simple", "scrubbing", "compcor", "ica_aroma"}
        simple: cosines, 24 of motion, white matter and csf; scrubbing: the same with
        derivatives and squares, and volumes of more than 0.5 mm or 1.5 standardised DVARS
        censored with segments under 5; compcor: cosines, motion and anatomical components;
        ica_aroma: cosines, white matter and csf for the image that ICA-AROMA denoised.
    **kwargs
        Arguments of `load_confounds` that the preset has, `demean`, and `global_signal`, which
        adds it. One of None keeps the preset's value; others are ignored with a warning.

    Returns
    -------
    confounds, sample_mask
        As `load_confounds`.

    Raises
    ------
    UsageError, DataError
        As `load_confounds`.
    """
    if denoise_strategy not in _PRESETS:
        raise UsageError(
            "denoise_strategy", f"is {denoise_strategy!r}", f"It is one of {', '.join(_PRESETS)}."
        )
    preset = dict(_PRESETS[denoise_strategy])
    accepted = [*(name for name in preset if name != "strategy"), "global_signal", "demean"]
    given = {name: kwargs[name] for name in accepted if kwargs.get(name) is not None}
    if "global_signal" in given:
        preset["strategy"] += ("global_signal",)
    unneeded = [name for name in kwargs if name not in accepted]
    if unneeded:
        warnings.warn(
            f"{denoise_strategy} does not take {', '.join(unneeded)}, but {', '.join(accepted)}.",
            stacklevel=2,
        )
    return load_confounds(img_files, **{**preset, **given})


@dataclass(frozen=True)
class _Request:
    """What is loaded for each image.

    Attributes
    ----------
    strategy : ConfoundsStrategy
    thresholds : Thresholds
    image : {"series", "aroma", "tedana"}
        Kind of image that it is for.
    demean : bool
    first_derivative : {"nilearn", "zero"}
    """

    strategy: ConfoundsStrategy
    thresholds: Thresholds
    image: str
    demean: bool
    first_derivative: Literal["zero", "nilearn"]

    @classmethod
    def of(
        cls,
        parts: Sequence[str],
        arguments: Mapping[str, Any],
        demean: bool,
        first_derivative: Literal["zero", "nilearn"],
    ) -> _Request:
        """Return what nilearn's arguments ask for."""
        _check(parts, arguments)
        if "tedana" in parts:
            chosen = ConfoundsStrategy("tedana", tedana=arguments["tedana"])
            return cls(chosen, Thresholds(), "tedana", demean, first_derivative)
        of_parts = {part: arguments[part] for part in _ALLOWED if part in parts}
        aroma = of_parts.pop("ica_aroma", "none")
        strategy = ConfoundsStrategy(
            "of load_confounds",
            high_pass="high_pass" in parts,
            n_compcor=arguments["n_compcor"] if "compcor" in parts else "all",
            aroma=aroma,
            **of_parts,
        )
        thresholds = Thresholds()
        if "scrub" in parts:
            thresholds = Thresholds(
                fd_mm=arguments["fd_threshold"],
                std_dvars=arguments["std_dvars_threshold"],
                min_segment=arguments["scrub"],
            )
        image = "aroma" if aroma == "full" else "series"
        return cls(strategy, thresholds, image, demean, first_derivative)

    def load(self, image: ImageName) -> tuple[pd.DataFrame, SampleMask]:
        """Return the confounds of an image, and its kept volumes."""
        image.refuse_other(self.image)
        if self.image == "tedana":
            mixing, metrics = image.tedana()
            others = {MIXING: mixing, METRICS: metrics}
            n_volumes = len(mixing.table)
            chosen = select_regressors(
                self.strategy, None, {}, n_volumes, mixing.path, others, unknown="pass"
            )
            return self._frame(chosen, None, mixing.path), None
        path = image.confounds()
        table = read_table(path)
        chosen = select_regressors(
            self.strategy,
            table,
            read_metadata(path),
            len(table),
            path,
            first_derivative=self.first_derivative,
            unknown="pass",
        )
        kept = self._sample_mask(table, path)
        return self._frame(chosen, kept, path), kept

    def _sample_mask(self, table: pd.DataFrame, path: Path) -> SampleMask:
        """Return the numbers of the kept volumes; None where no column speaks of others."""
        # Nothing here depends on the repetition time: displacement is the table's own.
        kept = find_censored(len(table), 0.0, self.thresholds, table, path).kept
        names = normal_names(table).columns
        if kept.all() and not any("non_steady_state" in name for name in names):
            return None
        if not kept.any():
            warnings.warn(f"{path.name}: every volume is censored.", RuntimeWarning, stacklevel=4)
        return np.flatnonzero(kept).astype(np.int64)

    def _frame(self, chosen: Regressors, kept: SampleMask, path: Path) -> pd.DataFrame:
        """Return columns as a table, less their means where that is asked for."""
        frame = pd.DataFrame(chosen.values, columns=list(chosen.names))
        unknown = frame.columns[frame.isna().any()]
        if len(unknown):
            warnings.warn(
                f"{path.name} has n/a in {', '.join(unknown)}: no cleaning can use that.",
                stacklevel=4,
            )
        if not self.demean:
            return frame
        return frame - (frame if kept is None else frame.iloc[kept]).mean()


def _check(parts: Sequence[str], arguments: Mapping[str, Any]) -> None:
    """Refuse a strategy that is none, and say what of it does nothing."""
    if isinstance(parts, str) or not isinstance(parts, Sequence):
        raise UsageError("strategy", f"is {parts!r}", "Give a tuple or list of strings.")
    for part in parts:
        if part not in _PARTS:
            raise UsageError("strategy", f"holds {part!r}", f"It is one of {', '.join(_PARTS)}.")
        if part in _ALLOWED and arguments[part] not in _ALLOWED[part]:
            known = ", ".join(_ALLOWED[part])
            raise UsageError(part, f"is {arguments[part]!r}", f"It is one of {known}.")
    if "compcor" in parts and "high_pass" not in parts:
        raise UsageError(
            "strategy",
            "has compcor without high_pass",
            "fMRIPrep computes CompCor after a high-pass filter: add high_pass.",
        )
    if not parts:
        warnings.warn("An empty strategy has no confounds.", stacklevel=4)
    if "non_steady_state" in parts:
        warnings.warn("Non-steady-state volumes are always censored.", stacklevel=4)
    if "tedana" in parts and len(parts) > 1:
        others = ", ".join(part for part in parts if part != "tedana")
        warnings.warn(f"Beside tedana, {others} is not applied.", stacklevel=4)


def _images_of(img_files: ImageFiles) -> tuple[list[ImageName], bool]:
    """Return the images, and whether the answer is one and no list of answers."""
    if isinstance(img_files, str | Path):
        return [ImageName.of(img_files)], True
    if not isinstance(img_files, Sequence) or not img_files:
        raise UsageError("img_files", f"is {img_files!r}", "Give paths of images of fMRIPrep.")
    files = list(img_files)
    is_pair = len(files) == 2 and all(str(one).endswith(".func.gii") for one in files)
    if is_pair and all(isinstance(one, str | Path) for one in files):
        return [ImageName.of(files)], True
    return [ImageName.of(one) for one in files], len(files) == 1
