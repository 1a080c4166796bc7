"""Which image says where the columns of a table of signals lie, and is it the right one?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from bidsmask.app.atlases import choice_of_path, refuse_missing
from bidsmask.bids.atlases import conflicting_copies, read_names_of, region_columns
from bidsmask.bids.dataset import DESCRIPTION, IMAGE
from bidsmask.bids.entities import Entities
from bidsmask.bids.inheritance import read_sidecar
from bidsmask.bids.region_names import Label
from bidsmask.bids.seeds import read_seeds
from bidsmask.bids.signals_table import read_names
from bidsmask.bids.templates import Template
from bidsmask.errors import MissingInput, UnequalChoices, UnusableTable
from bidsmask.images.grid import Grid
from bidsmask.images.identity import identity
from bidsmask.images.image import open_image
from bidsmask.images.resample import resample_nearest
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask
from bidsmask.signals.atlas import read_atlas
from bidsmask.signals.columns import column_map, voxel_names
from bidsmask.signals.maps import read_maps
from bidsmask.signals.regions import Regions
from bidsmask.signals.spheres import Spheres
from bidsmask.signals.way_back import WayBack

_VOXEL = re.compile(r"v\d{7,}")
_GIVE = "Give the right one by --map."


@dataclass(frozen=True, eq=False)
class SignalsTable:
    """A table with a column for each voxel or region.

    Attributes
    ----------
    path : Path
    names : list of str
        Of the columns that hold signals.
    values : (n_rows, n_columns) float32 array
        NaN for `n/a`.
    rows : list of str
        Names of the rows; none where they have none.
    metadata : mapping
        What its JSON file says; empty without one.
    """

    path: Path
    names: list[str]
    values: npt.NDArray[np.float32]
    rows: list[str]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ColumnMap:
    """Where the columns of a table lie.

    Attributes
    ----------
    image, table : Path
        The image, and the table of the names of its regions; of maps none where there is none.
    mask : Path or None
        Inside which maps and spheres are.
    is_maps : bool
        Whether the image holds maps, not labels.
    is_given : bool
        Whether the user names it, and not the table.
    """

    image: Path
    table: Path | None
    mask: Path | None
    is_maps: bool
    is_given: bool = False

    @property
    def inputs(self) -> list[Path]:
        """The files that are read."""
        return [path for path in (self.image, self.table, self.mask) if path is not None]


@dataclass(frozen=True, eq=False)
class Placed:
    """The columns of a table on a grid.

    Attributes
    ----------
    grid : Grid
    back : WayBack
    order : (n_columns,) int array
        Of the table's columns, as the way back takes them.
    doubt : str
        Why nobody can tell whether the map is the right one; empty where it is.
    """

    grid: Grid
    back: WayBack
    order: npt.NDArray[np.intp]
    doubt: str = ""


def find_column_map(signals: SignalsTable, given: str | None) -> ColumnMap:
    """Return the map of a table: what is given, what its JSON file names, or what lies beside it.

    Raises
    ------
    MissingInput
        It is not there, or not to be found.
    UnequalChoices
        It belongs to other signals: another fingerprint, or another atlas.
    """
    if given is not None:
        choice = choice_of_path(given, "labels")
        is_maps = open_image(choice.image).is_series
        found = ColumnMap(choice.image, choice.table, None, is_maps, is_given=True)
    else:
        found = _own_map(_named(signals, "ColumnMap") or _beside(signals))
    found = _masked(signals, found)
    _refuse_other(signals, found)
    return found


def _own_map(columns: Path) -> ColumnMap:
    """Return what an output keeps of the columns of a table, without their mask."""
    # Of labels and spheres there is an image on the grid of the run; of maps their coverage.
    if columns.name.endswith(IMAGE):
        return ColumnMap(columns, _with(columns, ".tsv"), None, is_maps=False)
    return ColumnMap(_copy_of_maps(columns), columns, None, is_maps=True)


def _masked(signals: SignalsTable, found: ColumnMap) -> ColumnMap:
    """Return a map with the mask that its columns lie inside; labels need none."""
    if found.table is not None:
        refuse_missing(found.table)
    if found.is_maps or (found.table is not None and _is_of_spheres(found.table)):
        return replace(found, mask=_named(signals, "MaskFile"))
    return found


def _named(signals: SignalsTable, key: str) -> Path | None:
    """Return the file that the JSON file names under a key; None where it names none."""
    uri = signals.metadata.get(key)
    if not isinstance(uri, str):
        return None
    place = _place(uri, _root(signals.path))
    if place is None:
        problem = f"names {uri[:200]!r} as its {key}, which is no file of the dataset"
        raise UnusableTable(sidecar_of(signals.path), problem, _GIVE)
    # A table that was copied has its files beside it.
    for path in (place, signals.path.with_name(place.name)):
        if path.is_file():
            return path
    problem = f"is not there, but {signals.path.name} names it as its {key}"
    raise MissingInput(str(place), problem, "Put it there, or make the table anew.")


def _place(uri: str, root: Path) -> Path | None:
    """Return where a BIDS URI of a dataset leads; None where it leads out of it, or nowhere."""
    try:
        place = root / unquote(uri.removeprefix("bids::"))
        is_inside = place.resolve().is_relative_to(root.resolve())
        place.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte
        return None
    return place if is_inside and uri.startswith("bids::") and place.name else None


def _root(path: Path) -> Path:
    """Return the root of the dataset that holds a file; its folder where there is none."""
    parents = path.absolute().parents
    return next((one for one in parents if (one / DESCRIPTION).is_file()), parents[0])


def _beside(signals: SignalsTable) -> Path:
    """Return the one file in the folder of a table that tells by its name where columns lie."""
    of_table = Entities.parse(signals.path.name).without("desc", "stat")
    found = []
    if of_table.get("atlas") or of_table.get("seg") == "voxels":
        for path in sorted(signals.path.parent.iterdir()):
            entities = Entities.parse(path.name)
            is_map = entities.suffix == "dseg" and entities.extension in IMAGE
            is_coverage = entities.get("stat") == "coverage" and entities.extension == ".tsv"
            same = entities.without("desc", "stat").meaning == of_table.meaning
            if same and (is_map or is_coverage):
                found.append(path)
    images = [path for path in found if path.name.endswith(IMAGE)]
    found = images or found
    if len(found) == 1:
        return found[0]
    seen = f"{len(found)} may be: {', '.join(path.name for path in found)}" if found else "none is"
    problem = f"does not say which image tells where its columns lie, and beside it {seen}"
    raise MissingInput(str(signals.path), problem, "Name the image by --map.")


def _copy_of_maps(coverage: Path) -> Path:
    """Return the copy of the maps that an output keeps, whose coverage is told."""
    entities = Entities.parse(coverage.name)
    space = Template.of(entities)
    named = Entities((("tpl", space.name), ("atlas", entities.get("atlas") or "")))
    copies, _ = conflicting_copies(_root(coverage), named, "maps")
    known = read_metadata(coverage).get("AtlasIdentity")
    if copies:
        # Of several resolutions the one that was used.
        return next((path for path in copies if identity(path) == known), copies[0])
    problem = f"keeps no copy of the maps that {coverage.name} tells the coverage of"
    raise MissingInput(str(_root(coverage) / "atlases"), problem, "Name them by --map.")


def _refuse_other(signals: SignalsTable, found: ColumnMap) -> None:
    """Raise UnequalChoices for a map that is known to be that of other signals."""
    of_map = found.image if sidecar_of(found.image).is_file() or not found.table else found.table
    wanted = signals.metadata.get("ColumnMapFingerprint")
    if Entities.parse(found.image.name).suffix == "mask":
        wanted = None
        with suppress(MissingInput):
            mask = _named(signals, "MaskFile")
            wanted = read_metadata(mask).get("Fingerprint") if mask is not None else None
    pairs = [(wanted, read_metadata(of_map).get("Fingerprint"))]
    if found.is_maps:
        pairs.append((signals.metadata.get("AtlasIdentity"), identity(found.image)))
    for wanted, known in pairs:
        if wanted is not None and known is not None and wanted != known:
            raise UnequalChoices(
                found.image,
                f"is not the map of {signals.path.name}, whose columns are of another mask, atlas "
                f"or grid: it is {known}, and {wanted} is needed",
                _GIVE,
            )


def sidecar_of(path: Path) -> Path:
    """Return where the JSON file of a table or image is."""
    return _with(path, ".json")


def _with(path: Path, extension: str) -> Path:
    """Return the path with another extension, whether or not it is gzipped."""
    return path.with_name(path.name.removesuffix(".gz").rpartition(".")[0] + extension)


def read_metadata(path: Path) -> Mapping[str, Any]:
    """Return what the JSON file beside a file says; an empty mapping without one."""
    sidecar = sidecar_of(path)
    return read_sidecar(sidecar) if sidecar.is_file() else {}


def place_columns(signals: SignalsTable, found: ColumnMap) -> Placed:
    """Return the columns of a table on the grid of its map.

    Labels (a column map is an image of such, too) have all their voxels, wherever they are;
    spheres and maps those inside the mask that the JSON file of the table names.

    Raises
    ------
    UnusableTable
        The table has other columns than the map.
    UnequalChoices
        Its columns lie in other voxels of the same grid than the table was made from.
    DataError
        An image or table that cannot be read or used.
    """
    placed = _placed(signals, found)
    if not found.is_given or "ColumnMapFingerprint" not in signals.metadata:
        return placed
    return replace(placed, doubt=_doubt(signals, found, placed))


def _doubt(signals: SignalsTable, found: ColumnMap, placed: Placed) -> str:
    """Return why a map that is given may be another; raise UnequalChoices where it is one."""
    why = "it has no Fingerprint, and the map of the table is not at hand"
    own = _made_with(signals)
    if own is not None:
        # What counts is where each column goes, whatever the numbers of the labels.
        there = _painted(_placed(signals, own))
        here = _painted(placed)
        grid = open_image(own.image).grid
        is_same_grid = grid.is_same(placed.grid)
        if not is_same_grid:
            here = resample_nearest(here, placed.grid, grid)
        n_others = int(np.count_nonzero(here != there))
        if n_others and is_same_grid:
            raise UnequalChoices(
                found.image,
                f"is not the map of {signals.path.name}: {n_others} voxels are of another column "
                f"than in {own.image.name}",
                _GIVE,
            )
        if not n_others:
            return ""
        n_voxels = int(np.count_nonzero(there))
        why = f"on the grid of {own.image.name}, which has {n_voxels} voxels, {n_others} differ"
    known = read_metadata(found.image)
    if known.get("Fingerprint") == signals.metadata["ColumnMapFingerprint"]:
        return ""
    if signals.metadata.get("AtlasIdentity") == identity(found.image):
        return ""
    return f"{found.image.name} cannot be verified to be the map of {signals.path.name}: {why}"


def _made_with(signals: SignalsTable) -> ColumnMap | None:
    """Return the map that a table was made with; None where it is gone, or made anew since."""
    with suppress(MissingInput, UnusableTable):
        columns = _named(signals, "ColumnMap")
        # Maps are told apart by their AtlasIdentity.
        if columns is None or not columns.name.endswith(IMAGE):
            return None
        if read_metadata(columns).get("Fingerprint") == signals.metadata["ColumnMapFingerprint"]:
            return _masked(signals, _own_map(columns))
    return None


def _painted(placed: Placed) -> npt.NDArray[np.float64]:
    """Return an image of the numbers of the columns, from 1; (i, j, k)."""
    numbers = 1.0 + placed.order[np.newaxis]
    return np.asarray(placed.back.array(numbers)[..., 0], np.float64)


def _placed(signals: SignalsTable, found: ColumnMap) -> Placed:
    """Return the columns of a table on the grid of a map, whether or not it is the right one."""
    image = open_image(found.image)
    if found.is_maps:
        names: dict[Label, str] = {}
        if found.table is not None:
            names, _ = read_names_of(found.image, found.table, image.n_volumes)
        indices: Sequence[Label] = range(1, image.n_volumes + 1)
        order = _order(signals, found, region_columns(indices, names).names)
        # They are moved to the grid of the mask, as they were when they were fitted.
        grid = image.grid if found.mask is None else open_image(found.mask).grid
        mask = _mask(found, grid)
        return Placed(grid, WayBack.of_maps(read_maps(found.image, mask), mask), order)
    if found.table is not None and _is_of_spheres(found.table):
        seeds = read_seeds(found.table)
        order = _order(signals, found, region_columns(seeds.indices, seeds.names).names)
        spheres = Spheres(np.array(seeds.centres_mm), np.array(seeds.radii_mm, np.float64))
        inside = _mask(found, image.grid)
        regions, _ = spheres.on(image.grid, inside.voxels)
        return Placed(image.grid, WayBack.of_regions(regions, image.grid.shape), order)
    labels, values, called = _named_labels(signals, found)
    order = _order(signals, found, region_columns(values, called).names)
    everywhere = np.ones(image.grid.shape, bool)
    regions = Regions.of_labels(labels, np.array(values), everywhere)
    return Placed(image.grid, WayBack.of_regions(regions, image.grid.shape), order)


def _named_labels(
    signals: SignalsTable, found: ColumnMap
) -> tuple[npt.NDArray[np.int32], Sequence[Label], Mapping[Label, str]]:
    """Return an image of labels, the labels that have a column, and their names."""
    atlas = read_atlas(found.image)
    if found.table is None:
        if not all(_VOXEL.fullmatch(name) for name in signals.names):
            problem = "has no table of the names of its regions beside it"
            raise MissingInput(str(found.image), problem, "Give --map IMAGE=TABLE.")
        # Voxels need no table: a column map tells them apart, and a mask has them in its order.
        inside = Mask(atlas.labels != 0, atlas.grid, "file")
        labels = atlas.labels if len(atlas.values) > 1 else column_map(inside)
        numbers = range(1, inside.n_voxels + 1)
        return labels, numbers, dict(zip(numbers, voxel_names(inside.n_voxels), strict=True))
    names, _ = read_names_of(found.image, found.table)
    # A region of ours that has no voxel on this grid is a column all the same.
    is_ours = "Fingerprint" in read_metadata(found.image)
    return atlas.labels, sorted(names) if is_ours else atlas.values.tolist(), names


def _mask(found: ColumnMap, grid: Grid) -> Mask:
    """Return the mask of a map; all voxels where there is none."""
    if found.mask is not None:
        return load_mask(found.mask, grid, "file")
    return Mask(np.ones(grid.shape, bool), grid, "file")


def _is_of_spheres(table: Path) -> bool:
    """Return whether a table tells places and radii."""
    return table.suffix == ".tsv" and {"x", "y", "z", "radius"} <= set(read_names(table))


def _order(signals: SignalsTable, found: ColumnMap, wanted: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return where each region's column is; raise UnusableTable where one lacks its partner."""
    place = {name: number for number, name in enumerate(signals.names)}
    missing = [name for name in wanted if name not in place]
    known = set(wanted)
    strange = [name for name in signals.names if name not in known]
    if missing or strange:
        problem = f"has {len(place)} columns, but {found.image.name} has {len(wanted)} regions"
        if strange:
            problem += f": {_shown(strange)} is no region of it"
        if missing:
            problem += f"{';' if strange else ':'} {_shown(missing)} has no column"
        advice = "Were columns lost or renamed? Make the table anew, or name its map by --map."
        raise UnusableTable(signals.path, problem, advice)
    return np.array([place[name] for name in wanted], np.intp)


def _shown(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"{json.dumps(names[0], ensure_ascii=False)}{more}"
