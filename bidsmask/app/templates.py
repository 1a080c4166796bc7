"""Which files of which template make the mask of a run."""

from __future__ import annotations

import os
from pathlib import Path

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.bids.entities import Entities
from bidsmask.bids.templates import (
    OWN_SPACES,
    TISSUES,
    Template,
    Tissue,
    find_template_maps,
    find_template_set,
    templateflow_home,
)
from bidsmask.errors import UnusableImage
from bidsmask.images.image import Image, open_image
from bidsmask.masks.brain_prior import HEADS, TEMPLATE, Contrast
from bidsmask.masks.head_files import HeadFiles, common_grid

# Label of the templates of 2 mm, which is what a prior is made of.
RESOLUTION = "2"


def template_of(path: Path) -> Template:
    """Return the template that a map of TemplateFlow's is of, by its name."""
    entities = Entities.parse(path.name)
    return Template(entities.get("tpl") or "", entities.get("cohort") or "")


def template_map(job: Job, image: Image, tissue: Tissue, notes: Notes) -> Path:
    """Return the brain mask or tissue map for a run: the one on its grid, else the finest.

    Raises
    ------
    UnusableImage
        The run lies in no template's space, or in that of one without such a map.
    MissingCompanion
        The map was not fetched.
    DamagedFile
        It cannot be read.
    """
    run, options = job.run, job.options
    if run.space in OWN_SPACES:
        raise UnusableImage(
            run.path,
            f"is in the space {run.space or 'of the run itself'}, where no template lies",
            "Leave such runs out with --space, or choose --mask-strategy brain.",
        )
    own = Template(run.space, run.entities.get("cohort") or "")
    template = Template.parse(options.template) if options.template else own
    if template != own:
        notes.add(
            "warning",
            "other-template",
            run.path,
            f"is in the space {own}, but its mask comes from {template}",
            "Leave --template out where TemplateFlow has the run's own space.",
        )
    home = templateflow_home(os.environ)
    try:
        paths = find_template_maps(home, template, TISSUES[tissue], run.entities.get("res") or "")
    except UnusableImage as error:
        advice = f"{error.advice} Name a template in whose space the run is by --template."
        raise UnusableImage(error.where, error.problem, advice.strip()) from error
    grids = {path: open_image(path).grid for path in paths}
    same = [path for path, grid in grids.items() if image.grid.is_same(grid)]
    return min(same or paths, key=lambda path: grids[path].voxel_volume_mm3)


def head_files(job: Job, contrast: str, notes: Notes) -> HeadFiles:
    """Return the template's head that is laid onto the images of a contrast.

    It is of the same contrast where TemplateFlow has one, else T1w.

    Raises
    ------
    UsageError
        `--template` names no template.
    UnusableImage
        Of one that TemplateFlow has no head of.
    MissingCompanion
        A file was not fetched.
    GridMismatch, DamagedFile
        They do not belong together, or cannot be read.
    """
    template = Template.parse(job.options.template or TEMPLATE)
    home = templateflow_home(os.environ)
    of_head: Contrast = next(one for one in HEADS if one == contrast)
    kinds = [HEADS["T1w"], TISSUES["brain"]]
    try:
        head, t1w, mask = find_template_set(home, template, [HEADS[of_head], *kinds], RESOLUTION)
    except UnusableImage:
        t1w, mask = find_template_set(home, template, kinds, RESOLUTION)
        head, of_head = t1w, "T1w"
        notes.add(
            "note",
            "head-of-another-contrast",
            job.run.path,
            f"is taken for {contrast}, but {template} has no such head: its T1w is laid onto it",
        )
    files = HeadFiles(head, t1w, mask, of_head)
    common_grid(files)
    return files
