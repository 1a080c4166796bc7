"""How right the masks are: Dice against masks of real heads, for every strategy asked for.

    python benchmarks/masks.py ../shared/data [--strategies brain epi automask] [--only NAME ...]

Prints the table of docs/masks.md. One image at a time, each in a process of its own; of the first
strategy the seconds of the processor, for the mask and the prior without the reading, and the
peak of memory. A template's own image gets another template as its prior. The medians are those
of the masks that are trusted.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsmask.errors import BidsmaskError
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume, read_volume
from bidsmask.masks import head_files
from bidsmask.masks.brain import brain_mask
from bidsmask.masks.brain_prior import HEADS, TEMPLATE, Contrast, Prior
from bidsmask.masks.strategies import STRATEGIES, compute_mask

COMPUTED = sorted((name for name, one in STRATEGIES.items() if one.compute), key="brain".__ne__)
OTHER_TEMPLATE = "MNI152NLin6Asym"


@dataclass(frozen=True)
class Reference:
    """A head, and its mask."""

    image: Path
    mask: Path
    contrast: Contrast
    trust: str

    @property
    def name(self) -> str:
        """The file's name without its extension, shortened."""
        name = self.image.name.removesuffix(".nii.gz")
        return name.removeprefix("tpl-").replace("_task-oneback_run-1", "")[:44]

    @property
    def template(self) -> str:
        """The template that serves as its prior: never itself."""
        return OTHER_TEMPLATE if self.image.name.startswith(f"tpl-{TEMPLATE}") else TEMPLATE


@dataclass(frozen=True)
class Score:
    """What one strategy made of one head."""

    dice: float
    cpu_seconds: float
    peak_mb: float
    remark: str = ""


def read_references(data: Path) -> list[Reference]:
    """Return what references.tsv lists."""
    folder = data / "references"
    with (folder / "references.tsv").open(encoding="utf-8") as file:
        return [
            Reference(folder / row["file"], folder / row["mask"], row["modality"], row["trust"])
            for row in csv.DictReader(file, delimiter="\t")
        ]


def read(path: Path) -> tuple[np.ndarray, Grid]:
    """Return an image's values, of a series their mean, and its grid."""
    image = open_image(path)
    values = mean_volume(image) if image.n_volumes > 1 else read_volume(image)
    return values, image.grid


def read_prior(data: Path, template: str, contrast: Contrast) -> Prior:
    """Build the prior of a contrast from a template, or of T1w where it has no such head."""
    start = data / "templateflow" / f"tpl-{template}" / f"tpl-{template}_res-02_"
    kinds = (HEADS[contrast], HEADS["T1w"], "desc-brain_mask")
    head, t1w, mask = (Path(f"{start}{kind}.nii.gz") for kind in kinds)
    if not head.exists():
        head, contrast = t1w, "T1w"
    return head_files.read_prior(head_files.HeadFiles(head, t1w, mask, contrast))


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return twice the overlap over the sum of the volumes."""
    return float(2 * np.count_nonzero(one & other) / (one.sum() + other.sum()))


def score(data: Path, reference: Reference, strategy: str) -> Score:
    """Mask one head, timed."""
    values, grid = read(reference.image)
    truth = read(reference.mask)[0] > 0.5
    remark = ""
    start = time.process_time()
    try:
        if strategy == "brain":
            prior = read_prior(data, reference.template, reference.contrast)
            found = brain_mask(values, grid, prior, reference.contrast)
            voxels = found.voxels
            remark = f"confidence {found.confidence:.2f}" + "".join(f"; {d}" for d in found.doubts)
        else:
            voxels = compute_mask(strategy, values, grid, {}, reference.image).voxels
    except BidsmaskError as error:
        voxels, remark = np.zeros(grid.shape, bool), str(error)
    cpu_seconds = time.process_time() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Score(dice(voxels, truth), cpu_seconds, peak_mb, remark)


def score_all(data: Path, reference: Reference, strategies: Sequence[str]) -> list[Score]:
    """Score strategies one after the other: the peak of memory is the first one's."""
    return [score(data, reference, strategy) for strategy in strategies]


def row(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def summaries(kept: dict[str, list[list[float]]], n_strategies: int) -> Iterator[str]:
    """Yield the median and the lowest Dice of each contrast's trusted masks."""
    for contrast, dices in kept.items():
        for word, measure in (("median", np.median), ("lowest", np.min)):
            cells = [f"{measure([one[n] for one in dices]):.3f}" for n in range(n_strategies)]
            yield row([f"**{word} of {len(dices)}**", contrast, "trusted", *cells, "", ""])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--strategies", nargs="+", default=COMPUTED, choices=COMPUTED)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of names")
    options = parser.parse_args()
    head = (
        "image",
        "contrast",
        "trust",
        *options.strategies,
        f"{options.strategies[0]}: s cpu, MB",
        "",
    )
    print(row(head))
    print(row(["---"] * len(head)))
    trusted: dict[str, list[list[float]]] = {}
    for one in read_references(options.data):
        if not any(part in one.image.name for part in options.only):
            continue
        with multiprocessing.get_context("spawn").Pool(1) as process:
            got = process.apply(score_all, (options.data, one, options.strategies))
        dices = [each.dice for each in got]
        if one.trust == "trusted":
            trusted.setdefault(one.contrast, []).append(dices)
        costs = f"{got[0].cpu_seconds:.0f}, {got[0].peak_mb:.0f}"
        remark = "; ".join(each.remark for each in got if each.remark)
        cells = (one.name, one.contrast, one.trust, *(f"{each:.3f}" for each in dices))
        print(row([*cells, costs, remark]), flush=True)
    for line in summaries(trusted, len(options.strategies)):
        print(line)


if __name__ == "__main__":
    main()
