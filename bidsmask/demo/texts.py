"""What the demo says about itself: descriptions and READMEs of its three datasets."""

from __future__ import annotations

from bidsmask._version import __version__
from bidsmask.demo.head import REGIONS

GENERATOR = "bidsmask.demo"

_COMMON = {
    "BIDSVersion": "1.9.0",
    "License": "CC0",
    # The official validator warns of a single author.
    "Authors": ["The bidsmask engineers", "The bidsmask contributors"],
}
_GENERATED_BY = [
    {"Name": GENERATOR, "Version": __version__, "Description": "Simulated; nobody was scanned."}
]
_RAW = {"SourceDatasets": [{"URL": "bids:raw:"}], "DatasetLinks": {"raw": "../.."}}

RAW_DESCRIPTION: dict[str, object] = {
    "Name": "A simulated head: demo of bidsmask",
    "DatasetType": "raw",
    **_COMMON,
    "GeneratedBy": _GENERATED_BY,
}
FMRIPREP_DESCRIPTION: dict[str, object] = {
    "Name": "Demo of bidsmask: what fMRIPrep would make of it",
    "DatasetType": "derivative",
    **_COMMON,
    "GeneratedBy": _GENERATED_BY,
    **_RAW,
}
TRUTH_DESCRIPTION: dict[str, object] = {
    "Name": "Demo of bidsmask: the truth",
    "DatasetType": "derivative",
    **_COMMON,
    "GeneratedBy": _GENERATED_BY,
    **_RAW,
}

FMRIPREP_IGNORE = "*_boldref.*\n*_timeseries.*\n"
TRUTH_IGNORE = "atlas\n*_timeseries.*\n*_volumes.*\n*_desc-truth_mask.*\n"

ATLAS = "atlas/tpl-MNI152NLin2009cAsym_atlas-demo_dseg"
"""The atlas in the truth, without its extension."""

RAW_README = f"""\
# A simulated head

Written by `python -m {GENERATOR}`. Nobody was scanned: three participants' heads are made of
ellipsoids (scalp, skull, grey and white matter, ventricles), in {len(REGIONS)} regions of which
the signal is known.

- Task *faces*: blocks of 12 s of faces or houses. Occipital, fusiform, parietal and motor regions
  respond; temporal, frontal and orbital regions do not. In *rest* there is no task. All regions
  also have spontaneous signals between 0.01 and 0.1 Hz, shared within networks.
- Unwanted, and known: head motion (six parameters, their differences and squares act on the
  signal; the images themselves are not moved), jerks of the head during a few volumes, heart and
  breath in white matter, CSF and everywhere, scanner drift, a bright first volume in one run,
  bias field, Rician noise.

## Where things are

- `sub-*`: raw images, events.
- `derivatives/fmriprep`: the same runs as fMRIPrep would leave them, in MNI152NLin2009cAsym
  (one run of sub-03 in its own space, too), with brain masks and confounds.
- `derivatives/truth`: what is to be recovered; its README says how.

Atlas of the regions, for `--atlas`:
`derivatives/truth/{ATLAS}.nii.gz`
"""

FMRIPREP_README = f"""\
# What fMRIPrep would make of the simulated head

Written by `python -m {GENERATOR}` under fMRIPrep 23's names. The brain masks are the true ones:
at least half of each voxel is brain. Confounds are measured in these images, as fMRIPrep does.
"""

TRUTH_README = f"""\
# The truth about the simulated head

- `{ATLAS}.nii.gz`, `.tsv`: the regions (index, name) of the template.
- `sub-*/**/*_desc-truth_mask.nii.gz`: the voxels that are at least half brain.
- `sub-*/**/*_desc-truth_timeseries.tsv`: the wanted signal of each region, one row per volume, in
  percent of the region's baseline. A perfect cleaning would recover it.
- `sub-*/**/*_desc-truth_volumes.tsv`: the volumes that are spoiled, counted from 0, by a `spike`
  (head jerk) or because they are `non-steady-state`. Framewise displacement is also large in
  the volume after a spike, when the head is back.
"""

CHANGES = "1.0.0 2024-01-01\n  - Simulated.\n"

PARTICIPANTS_SIDECAR: dict[str, object] = {
    "age": {"Description": "Age, invented", "Units": "year"},
    "sex": {"Description": "Sex, invented", "Levels": {"F": "female", "M": "male"}},
    "group": {
        "Description": "Group, invented; nothing in the images depends on it",
        "Levels": {"control": "a control", "patient": "a patient"},
    },
}
EVENTS_SIDECAR: dict[str, object] = {
    "trial_type": {
        "Description": "What was shown in the block",
        "Levels": {"face": "pictures of faces", "house": "pictures of houses"},
    }
}
