"""Brain masks and cleaned 2D time series from BIDS datasets and their fMRIPrep derivatives.

The functions are loaded when they are first asked for: `import bidsmask` loads no numpy.
"""

from importlib import import_module
from typing import Any

from bidsmask._version import __version__

_MASKING = "bidsmask.maskers.masking"
_APPLY = "bidsmask.maskers.apply"
_FOLDER = "bidsmask.maskers.folder"
_HEADS = "bidsmask.maskers.heads"
_REGIONS = "bidsmask.maskers.regions"
_FMRIPREP = "bidsmask.maskers.fmriprep"
_PLACES = {
    "MultiNiftiMasker": "bidsmask.maskers.multi_nifti_masker",
    "NiftiLabelsMasker": "bidsmask.maskers.labels",
    "NiftiMapsMasker": "bidsmask.maskers.maps",
    "NiftiMasker": "bidsmask.maskers.nifti_masker",
    "NiftiSpheresMasker": "bidsmask.maskers.spheres",
    "RegionExtractor": "bidsmask.maskers.region_extractor",
    "apply_mask": _APPLY,
    "average_trials": "bidsmask.maskers.trials",
    "compute_automask": _HEADS,
    "compute_background_mask": _MASKING,
    "compute_brain_mask": _MASKING,
    "compute_epi_mask": _MASKING,
    "compute_head_brain_mask": _HEADS,
    "compute_multi_background_mask": _MASKING,
    "compute_multi_brain_mask": _MASKING,
    "compute_multi_epi_mask": _MASKING,
    "connected_label_regions": _REGIONS,
    "connected_regions": _REGIONS,
    "connectivity_matrix": "bidsmask.connectivity.measures",
    "extract_regions": _REGIONS,
    "generate_brain_mask": _FOLDER,
    "generate_brain_mask_dataset": _FOLDER,
    "high_variance_confounds": "bidsmask.maskers.high_variance",
    "intersect_masks": _MASKING,
    "load_confounds": _FMRIPREP,
    "load_confounds_strategy": _FMRIPREP,
    "tangent_matrices": "bidsmask.connectivity.tangent",
    "unmask": _APPLY,
    "unmask_signals": "bidsmask.app.unmask",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'bidsmask' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
