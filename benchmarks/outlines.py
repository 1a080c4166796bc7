"""Pictures of brain masks: ours in red on the reference's in green, for docs/masks.md.

    python benchmarks/outlines.py ../shared/data docs/masks

Writes one picture per contrast, a row of slices for each head whose licence allows to show it:
sagittal, coronal and axial ones, three each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from PIL import Image

from benchmarks.masks import Reference, read, read_prior, read_references
from bidsmask.images.grid import Grid
from bidsmask.masks.brain import brain_mask

# CC0, Apache-2.0, PDDL, and the ICBM's licence, which allows copies.
SHOWN = ("aomic-0001", "visualqc-id001", "ls2001", "sub-02", "MNI152NLin2009cAsym")
PLACES = (0.3, 0.5, 0.7)  # of the reference's extent along an axis
CLOSE_MM = 12.0


def upright(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with axes to the right, front and up, and its voxels' edges in mm."""
    image = nibabel.as_closest_canonical(
        nibabel.Nifti1Image(values.astype(np.float32), grid.affine)
    )
    return np.asarray(image.dataobj), np.asarray(image.header.get_zooms())


def draw_row(axes: np.ndarray, data: Path, one: Reference) -> None:
    """Draw the slices of one head, cut close to the reference."""
    values, grid = read(one.image)
    found = brain_mask(values, grid, read_prior(data, one.template, one.contrast), one.contrast)
    head, edges = upright(values, grid)
    ours = upright(found.voxels, grid)[0] > 0.5
    reference = upright(read(one.mask)[0] > 0.5, grid)[0] > 0.5
    bounds = [(int(part.min()), int(part.max())) for part in np.nonzero(reference)]
    brightest = np.percentile(head[reference], 99)
    for n, axis in enumerate(axes):
        along, place = divmod(n, len(PLACES))
        low, high = bounds[along]
        middle = round(low + PLACES[place] * (high - low))
        across, up = (other for other in range(3) if other != along)
        planes = [part.take(middle, axis=along).T for part in (head, reference, ours)]
        axis.imshow(
            planes[0],
            cmap="gray",
            origin="lower",
            vmin=0,
            vmax=brightest,
            aspect=edges[up] / edges[across],
        )
        for plane, colour in zip(planes[1:], ("lime", "red"), strict=True):
            axis.contour(plane, [0.5], colors=colour, linewidths=0.6)
        for limit, other in ((axis.set_xlim, across), (axis.set_ylim, up)):
            margin = CLOSE_MM / edges[other]
            limit(bounds[other][0] - margin, bounds[other][1] + margin)
        axis.set_axis_off()
    axes[0].set_title(one.name, loc="left", fontsize=7, color="white")


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    references = [one for one in read_references(options.data) if one.name.startswith(SHOWN)]
    for contrast in ("T2w", "EPI", "T1w"):
        chosen = [one for one in references if one.contrast == contrast]
        n_slices = 3 * len(PLACES)
        figure, axes = plt.subplots(
            len(chosen),
            n_slices,
            figsize=(1.2 * n_slices, 1.3 * len(chosen)),
            squeeze=False,
            facecolor="black",
        )
        for row, one in zip(axes, chosen, strict=True):
            draw_row(row, options.data, one)
        figure.subplots_adjust(0, 0, 1, 0.93, 0.02, 0.12)
        path = options.folder / f"{contrast}.png"
        figure.savefig(path, dpi=80)
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()
