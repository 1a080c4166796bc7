"""Where the confounds of an image are, by its name alone, as nilearn finds them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bidsmask.cleaning.table import OtherTable
from bidsmask.errors import MissingCompanion, UnusableTable, UsageError

# What the name of an image must end with, by what is asked of it.
_NAMES = {
    "aroma": r"_desc-smoothAROMAnonaggr_bold(\.nii(\.gz)?)?",
    "tedana": r"_desc-optcom_bold\.nii\.gz",
    "series": r"(_desc-preproc_bold\.nii(\.gz)?|_bold\.dtseries\.nii|_bold\.func\.gii)",
}
_WANTED = {
    "aroma": "the image that ICA-AROMA denoised, …_desc-smoothAROMAnonaggr_bold.nii.gz",
    "tedana": "the image that tedana combined, …_desc-optcom_bold.nii.gz",
    "series": "an image of fMRIPrep: …_desc-preproc_bold.nii.gz, …_bold.dtseries.nii or "
    "…_bold.func.gii",
}
_OF_RUN = ("_timeseries.tsv", "_regressors.tsv")


@dataclass(frozen=True)
class ImageName:
    """The name of an image, of which the file itself is never opened.

    Attributes
    ----------
    path : Path
        The first of the two of a GIFTI pair.
    """

    path: Path

    @classmethod
    def of(cls, image: Any) -> ImageName:
        """Return the name of a path, or of a list of the two files of a GIFTI pair."""
        if isinstance(image, str | Path):
            return cls(Path(image))
        is_pair = isinstance(image, Sequence) and len(image) == 2
        if is_pair and all(str(one).endswith(".func.gii") for one in image):
            return cls(Path(image[0]))
        raise UsageError("img_files", f"holds {image!r}", "Give paths of images of fMRIPrep.")

    def refuse_other(self, kind: str) -> None:
        """Raise UsageError where the name is not that of a kind of image."""
        if not re.search(_NAMES[kind] + "$", self.path.name):
            raise UsageError(self.path.name, f"is not {_WANTED[kind]}")

    def beside(self, descs: Sequence[str], endings: Sequence[str]) -> list[Path]:
        """Return the files of its folder whose names hold nothing but entities of this one.

        Parameters
        ----------
        descs : sequence of str
            One of which stands in the place of its own `desc-`.
        endings : sequence of str
        """
        *own, _ = self.path.name.split("_")
        try:
            names = sorted(path.name for path in self.path.parent.iterdir())
        except OSError as error:
            raise MissingCompanion(self.path.parent, f"cannot be read: {error.strerror}") from error
        found = []
        for name in names:
            ending = next((one for one in endings if name.endswith(one)), "")
            parts = name.removesuffix(ending).split("_") if ending else []
            desc = next((one for one in descs if f"desc-{one}" in parts), None)
            allowed = [f"desc-{desc}" if one.startswith("desc-") else one for one in own]
            if not any(one.startswith("desc-") for one in own):
                allowed.append(f"desc-{desc}")
            if desc is not None and [one for one in allowed if one in parts] == parts:
                found.append(self.path.parent / name)
        return found

    def confounds(self) -> Path:
        """Return its confounds table.

        Raises
        ------
        MissingCompanion
            There is none, or more than one that may be it.
        """
        found = self.beside(["confounds"], _OF_RUN)
        if len(found) == 1:
            return found[0]
        if not found:
            problem = "has no confounds table (…_desc-confounds_timeseries.tsv) in its folder"
            raise MissingCompanion(self.path, problem, "It is found by the name of the image.")
        names = " and ".join(path.name for path in found)
        raise MissingCompanion(
            self.path, f"has more than one confounds table: {names}", "Leave one of them."
        )

    def tedana(self) -> tuple[OtherTable, OtherTable]:
        """Return tedana's mixing matrix and its metrics.

        Raises
        ------
        MissingCompanion
            One of them is not there, or there are several.
        """
        tables = []
        for desc, ending in (("ICA", "_mixing.tsv"), ("tedana", "_metrics.tsv")):
            found = self.beside([desc], [ending])
            if len(found) != 1:
                many = "more than one" if found else "no"
                problem = f"has {many} table …_desc-{desc}{ending} in its folder"
                raise MissingCompanion(self.path, problem, "tedana writes one of each.")
            tables.append(OtherTable(found[0], read_table(found[0])))
        return tables[0], tables[1]


def read_table(path: Path) -> pd.DataFrame:
    """Read a table with tabs, to the last bit as nilearn does.

    Raises
    ------
    UnusableTable
        It cannot be read, or is none.
    """
    try:
        return pd.read_csv(path, sep="\t", encoding="utf-8")
    except OSError as error:
        raise UnusableTable(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # pandas' own errors, and of decoding
        raise UnusableTable(path, f"is no table: {error}") from error


def read_metadata(table: Path) -> dict[str, object]:
    """Return the sidecar of a table; empty where there is none.

    Raises
    ------
    UnusableTable
        It is no JSON object.
    """
    path = table.with_suffix(".json")
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UnusableTable(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableTable(path, f"is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnusableTable(path, "is no JSON object")
    return content
