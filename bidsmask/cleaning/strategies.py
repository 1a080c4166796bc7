"""Strategies: which columns of a confounds table are regressed out, and which volumes censored.

The column models and the presets are those of nilearn's `load_confounds`; Ciric et al. (2017,
NeuroImage) compared the strategies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bidsmask.cleaning.columns import ColumnChoice
from bidsmask.cleaning.compcor import Amount, Compcor
from bidsmask.cleaning.tedana import Tedana
from bidsmask.errors import UsageError

Model = Literal["none", "basic", "derivatives", "power2", "full"]
Aroma = Literal["none", "basic", "full"]


@dataclass(frozen=True)
class ConfoundsStrategy:
    """Which columns of a confounds table to regress out, and which volumes to censor.

    Attributes
    ----------
    name : str
        As the user gives it.
    motion, wm_csf, global_signal : {"none", "basic", "derivatives", "power2", "full"}
        The six parameters, the means of csf and white matter, the mean of the brain: as they
        are, with their first differences, with their squares, or with both and the squares
        of the differences.
    high_pass : bool
        fMRIPrep's cosine columns.
    compcor : str
        CompCor components: of the anatomical masks combined or separated, or temporal ones, or
        both. They were computed after a high-pass, so they need `high_pass`.
    n_compcor : int, float or "all"
        That many components of each mask; or as many as explain that share of variance (0 to
        1); or all.
    aroma : {"none", "basic", "full"}
        ICA-AROMA (Pruim et al. 2015): its columns; or the image that it has denoised in the
        place of the series, and no column.
    tedana : {"none", "aggressive", "non-aggressive"}
        Components that tedana rejected; or those and the accepted ones.
    columns : tuple of ColumnChoice
        More columns, by name, pattern or expression.
    high_variance : bool
        What the voxels that vary most have in common, which no table tells.
    fd_mm, std_dvars : float or None
        Censor volumes with more framewise displacement (mm) or standardised DVARS.
    min_segment : int
        Censor runs of kept volumes that are shorter (volumes).
    """

    name: str
    motion: Model = "none"
    wm_csf: Model = "none"
    global_signal: Model = "none"
    high_pass: bool = False
    compcor: Compcor = "none"
    n_compcor: Amount = 0.5
    aroma: Aroma = "none"
    tedana: Tedana = "none"
    columns: tuple[ColumnChoice, ...] = ()
    high_variance: bool = False
    fd_mm: float | None = None
    std_dvars: float | None = None
    min_segment: int = 0

    def __post_init__(self) -> None:
        if self.compcor != "none" and not self.high_pass:
            raise UsageError(
                self.name,
                "uses CompCor without the cosine columns",
                "fMRIPrep computes CompCor after a high-pass filter: add the cosine columns.",
            )
        count = self.n_compcor
        if count != "all" and (count <= 0 or (isinstance(count, float) and count > 1)):
            raise UsageError(
                "n_compcor",
                f"is {count}",
                "Give a number of components, a share of variance up to 1.0, or all.",
            )

    @property
    def uses_fmriprep(self) -> bool:
        """Whether it needs columns that only fMRIPrep's table has."""
        models = (self.motion, self.wm_csf, self.global_signal, self.compcor)
        return self.high_pass or self.aroma == "basic" or any(one != "none" for one in models)


STRATEGIES: Mapping[str, ConfoundsStrategy] = {
    strategy.name: strategy
    for strategy in (
        ConfoundsStrategy("none"),
        ConfoundsStrategy("simple", motion="full", wm_csf="basic", high_pass=True),
        ConfoundsStrategy(
            "scrubbing",
            motion="full",
            wm_csf="full",
            high_pass=True,
            fd_mm=0.5,
            std_dvars=1.5,
            min_segment=5,
        ),
        ConfoundsStrategy("24P", motion="full"),
        ConfoundsStrategy("27P", motion="full", wm_csf="basic", global_signal="basic"),
        ConfoundsStrategy("36P", motion="full", wm_csf="full", global_signal="full"),
        ConfoundsStrategy("acompcor", motion="full", high_pass=True, compcor="anat_combined"),
        ConfoundsStrategy(
            "tcompcor", motion="full", high_pass=True, compcor="temporal", n_compcor="all"
        ),
        ConfoundsStrategy("aroma", wm_csf="basic", high_pass=True, aroma="full"),
        ConfoundsStrategy("tedana", tedana="aggressive"),
    )
}
