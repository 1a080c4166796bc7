"""Atlases of TemplateFlow, found by their names in its folder; nothing is fetched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bidsmask.bids.dataset import IMAGE
from bidsmask.bids.entities import Entities, plain_label
from bidsmask.bids.templates import (
    Template,
    list_template_files,
    names_in_client,
    nearest_resolution,
    not_fetched,
    resolution_of,
)
from bidsmask.errors import GridMismatch, UnusableImage


def find_template_atlas(
    home: Path, template: Template, wanted: Entities, resolution: str
) -> tuple[list[Path], Path | None]:
    """Return the images of an atlas of TemplateFlow's in a template, and its table of names.

    Parameters
    ----------
    home : Path
        From `templateflow_home`.
    template : Template
    wanted : Entities
        `atlas-` and what else the names must have, with the suffix: dseg or probseg.
    resolution : str
        Label of the one to be named where none is at hand; the finest where it has no such.

    Returns
    -------
    images : list of Path
        One per resolution at hand.
    table : Path or None
        None where TemplateFlow has none: not for the template, nor for the atlas in another.

    Raises
    ------
    GridMismatch
        TemplateFlow has the atlas in other templates alone.
    UnusableImage
        It has no such template, or none of the atlas's images is or more than one can be meant.
    MissingCompanion
        Image or table was not fetched; the advice says how.
    """
    kind = _kind_of_atlas(home, template, wanted)
    listed = list_template_files(home, template, kind)
    if "res" in wanted:
        label = plain_label(wanted["res"])
        asked = {name: path for name, path in listed.items() if resolution_of(name) == label}
        if not asked:
            raise UnusableImage(
                str(template),
                f"has {kind} in no res-{label}",
                f"It has {', '.join(sorted(listed))}.",
            )
        listed = asked
    fetched = sorted(path for path in listed.values() if path is not None)
    missing = []
    if not fetched:
        nearest = nearest_resolution(map(resolution_of, listed), resolution)
        missing.append(min(name for name in listed if resolution_of(name) == nearest))
    table, path = _table(home, template, kind)
    if table and path is None:
        missing.append(table)
    if missing:
        raise not_fetched(home, missing)
    return fetched, path


def _kind_of_atlas(home: Path, template: Template, wanted: Entities) -> str:
    """Return what the one atlas that is wanted is called after the template and its resolution."""
    there = [*home.glob("tpl-*/*.nii*"), *(home / f"tpl-{template.name}").rglob("*.nii*")]
    names = sorted({path.name for path in there} | names_in_client())
    known = [Entities.parse(name) for name in names]
    asked = wanted.without("res")
    named = [one for one in known if asked.meaning <= one.meaning and one.extension in IMAGE]
    of_suffix = [one for one in named if one.suffix == asked.suffix and not one.left_over]
    templates = _by_kind(of_suffix)
    here = [kind for kind, having in templates.items() if template.name in having]
    exact = [kind for kind in here if Entities.parse(kind).meaning == asked.meaning]
    if len(exact or here) == 1:
        return (exact or here)[0]
    what = asked.name(extension="")
    if here:
        told = f"is several in {template}: {', '.join(here)}"
        raise UnusableImage(what, told, f"Add which it is, as in {asked['atlas']}:desc-LABEL.")
    other, flag = ("probseg", "--maps") if asked.suffix == "dseg" else ("dseg", "--atlas")
    if any((one.get("tpl"), one.suffix) == (template.name, other) for one in named):
        raise UnusableImage(what, f"is {other} in TemplateFlow", f"Give it by {flag}.")
    elsewhere = sorted(set().union(*templates.values()))
    if elsewhere:
        told = f"is in TemplateFlow's {', '.join(elsewhere)}, but not in {template}"
        raise GridMismatch(what, told, "Leave runs in other spaces out with --space.")
    atlases = {
        one.get("atlas") or ""
        for one in known
        if one.get("tpl") == template.name and one.suffix == asked.suffix
    }
    has = ", ".join(sorted(atlases - {""}))
    raise UnusableImage(
        what,
        f"is nothing that TemplateFlow has for {template}",
        f"It has {has}." if has else f"Nothing of it is in {home}.",
    )


def _by_kind(images: Iterable[Entities]) -> dict[str, set[str]]:
    """Return the kinds of images, each with the templates that have it."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in images:
        kind = one.without("tpl", "cohort", "res").name(extension="")
        found[kind].add(one.get("tpl") or "")
    return found


def _table(home: Path, template: Template, kind: str) -> tuple[str, Path | None]:
    """Return name and path of the table of an atlas; no path where it was not fetched.

    That of the template and the kind of image goes before others of the same atlas, and one
    that tells more of the atlas's entities before one that tells less.
    """
    asked = Entities.parse(kind)
    there = [*home.glob("tpl-*/*.tsv"), *(home / f"tpl-{template.name}").rglob("*.tsv")]
    paths: dict[str, Path | None] = dict.fromkeys(sorted(names_in_client()))
    paths |= {path.name: path for path in sorted(there) if path.is_file()}

    def rank(name: str) -> tuple[bool, bool, int]:
        entities = Entities.parse(name)
        is_own = entities.get("tpl") == template.name
        return is_own, entities.suffix == asked.suffix, len(entities.pairs)

    def is_table(name: str) -> bool:
        entities = Entities.parse(name)
        told = entities.without("tpl", "cohort").meaning
        return entities.extension == ".tsv" and "atlas" in entities and told <= asked.meaning

    table = max(filter(is_table, paths), key=rank, default="")
    path = paths.get(table)
    # What the client only knows of is an empty file.
    return table, path if path is not None and path.stat().st_size > 0 else None
