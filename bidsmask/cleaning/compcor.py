"""CompCor components of a confounds table: which there are, and how many of them are taken.

fMRIPrep numbers them by how much variance they explain, and says in the sidecar of the table
of which mask each is (Behzadi et al. 2007, NeuroImage).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from bidsmask.errors import MissingCompanion, UnusableTable

Compcor = Literal[
    "none",
    "anat_combined",
    "anat_separated",
    "temporal",
    "temporal_anat_combined",
    "temporal_anat_separated",
]
Amount = int | float | Literal["all"]

# The sets of components of each kind: first letter of the name, and mask where `a` has several.
# Since 21.0 fMRIPrep names those of the masks apart `w` and `c`.
_TEMPORAL = (("t", ""),)
_COMBINED = (("a", "combined"),)
_SEPARATED = (("a", "WM"), ("a", "CSF"), ("w", ""), ("c", ""))
_SETS: Mapping[Compcor, tuple[tuple[str, str], ...]] = {
    "none": (),
    "anat_combined": _COMBINED,
    "anat_separated": _SEPARATED,
    "temporal": _TEMPORAL,
    "temporal_anat_combined": _TEMPORAL + _COMBINED,
    "temporal_anat_separated": _TEMPORAL + _SEPARATED,
}


def compcor_names(
    kind: Compcor, amount: Amount, metadata: Mapping[str, object], where: str | Path
) -> list[str]:
    """Return the names of the first components of each mask.

    Parameters
    ----------
    kind : str
        Of the temporal components (t), and of those of the anatomical masks of white matter
        and csf combined, or of the two separated.
    amount : int, float or "all"
        So many of each mask; as many as explain that share of its variance (0 to 1); or all.
    metadata : mapping
        The sidecar of the table.
    where : str or Path
        The table, for messages.

    Raises
    ------
    MissingCompanion
        If the sidecar names no such component, or there is none.
    UnusableTable
        If it does not tell the shares of variance.
    """
    found: list[str] = []
    for letter, mask in _SETS[kind]:
        found += _first(_components(letter, mask, metadata), amount, where)
    if not found and kind != "none":
        raise MissingCompanion(
            where,
            f"has no sidecar that names CompCor components {kind.replace('_', ' ')}",
            "fMRIPrep writes it beside the table since 1.4 (…desc-confounds_timeseries.json).",
        )
    return found


def _components(
    letter: str, mask: str, metadata: Mapping[str, object]
) -> dict[str, Mapping[str, object]]:
    """Return the components of one mask with what is said of them, in their own order."""
    found = {
        name: entry
        for name, entry in metadata.items()
        if re.fullmatch(rf"{letter}_comp_cor_\d+", name)
        and isinstance(entry, Mapping)
        and mask in ("", entry.get("Mask"))
    }
    return {name: found[name] for name in sorted(found, key=lambda one: int(one.split("_")[-1]))}


def _first(
    components: Mapping[str, Mapping[str, object]], amount: Amount, where: str | Path
) -> list[str]:
    """Return the first components of one mask."""
    names = list(components)
    if isinstance(amount, str):
        return names
    if isinstance(amount, int):
        return names[:amount]
    shares = [_explained(components[name], name, where) for name in names]
    # fMRIPrep keeps the component that reaches the share, too.
    return names[: 1 + sum(share < amount for share in shares)]


def _explained(entry: Mapping[str, object], name: str, where: str | Path) -> float:
    share = entry.get("CumulativeVarianceExplained")
    if not isinstance(share, int | float):
        raise UnusableTable(
            where,
            f"has a sidecar without CumulativeVarianceExplained of {name}",
            "Ask for a number of components instead of a share of variance.",
        )
    return float(share)
