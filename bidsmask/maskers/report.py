"""A page about a fitted masker: what it takes signals from, outlined on the images, and how.

The page is one HTML file that loads nothing from elsewhere; its pictures are PNG within it.
"""

from __future__ import annotations

import base64
import html
import struct
import tempfile
import webbrowser
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bidsmask.images.grid import Grid

# Of the extent of what is outlined, along each axis.
PLACES = (0.25, 0.5, 0.75)
PIXEL_SHARE = 3.0  # pixels to the smallest edge of a voxel
MOST_PIXELS = 400
GAP = 4
COLOURS = np.array(
    [[230, 60, 40], [60, 160, 230], [80, 190, 80], [240, 170, 30], [180, 90, 210], [40, 190, 180]],
    np.uint8,
)
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "img{max-width:100%;background:#000}table{border-collapse:collapse}"
    "td,th{padding:.15em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
    "p.warning{color:#a33}figure{margin:1em 0}"
)


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture: slices of an image with outlines on them.

    Attributes
    ----------
    title : str
    background : (i, j, k) array or None
        Shown in grey; None for black.
    labels : (i, j, k) int or bool array
        Each value but 0 is outlined, in one of six colours.
    grid : Grid
        Of both.
    """

    title: str
    background: NDArray[Any] | None
    labels: NDArray[Any]
    grid: Grid


class Report:
    """An HTML page, which notebooks show and `save_as_html` writes."""

    def __init__(self, page: str) -> None:
        self.page = page

    def __str__(self) -> str:
        return self.page

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{html.escape(self.page)}" width="100%" height="700"></iframe>'

    def get_standalone(self) -> str:
        """Return the page."""
        return self.page

    def save_as_html(self, file_name: str | Path) -> None:
        """Write the page to a file."""
        Path(file_name).expanduser().write_text(self.page, encoding="utf-8")

    def open_in_browser(self) -> None:
        """Show the page in the browser, from a temporary file."""
        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False) as file:
            file.write(self.page)
        webbrowser.open(Path(file.name).as_uri())


def build_report(
    title: str,
    summary: Mapping[str, Any],
    layers: Sequence[Layer],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    notes: Sequence[str],
) -> Report:
    """Return the page.

    Parameters
    ----------
    title : str
    summary : mapping
        What is said first, by name.
    layers : sequence of Layer
        Its pictures.
    tables : mapping
        Rows by the title of their table; all rows of one have the same columns.
    notes : sequence of str
        What the reader should know, before the pictures.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f'<p class="warning">{html.escape(note)}</p>' for note in notes]
    parts.append(_table([{"": name, " ": value} for name, value in summary.items()]))
    for layer in layers:
        data = base64.b64encode(_png(_slices(layer))).decode()
        name = html.escape(layer.title)
        parts.append(
            f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
            f"<figcaption>{name}; sagittal, coronal and axial slices, left is left</figcaption>"
            "</figure>"
        )
    for name, rows in tables.items():
        parts += [f"<h2>{html.escape(name)}</h2>", _table(rows)]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return Report(
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>'
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as an HTML table; names that are blank give no head."""
    if not rows:
        return ""
    lines = ["<table>"]
    if "".join(rows[0]).strip():
        lines.append("".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0]))
    for row in rows:
        cells = "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values())
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


def _slices(layer: Layer) -> NDArray[np.uint8]:
    """Return rows of three sagittal, coronal and axial slices, (rows, columns, 3)."""
    orientations: Any = nib.orientations  # it is not typed
    turn = orientations.io_orientation(layer.grid.affine)
    labels = orientations.apply_orientation(np.asarray(layer.labels), turn)
    grey = np.zeros(labels.shape)
    if layer.background is not None:
        grey = orientations.apply_orientation(np.asarray(layer.background, float), turn)
        grey = _in_range(np.where(np.isfinite(grey), grey, 0), labels != 0)
    edges_mm = layer.grid.voxel_sizes_mm[np.argsort(turn[:, 0])]
    shown = labels != 0 if labels.any() else np.ones(labels.shape, bool)
    rows = []
    for axis in range(3):
        across, up = (other for other in range(3) if other != axis)
        used = np.flatnonzero(shown.any(axis=(across, up)))
        pictures = []
        for place in PLACES:
            number = round(used[0] + place * (used[-1] - used[0]))
            pixels = (edges_mm[across], edges_mm[up])
            planes = [part.take(number, axis=axis) for part in (grey, labels)]
            pictures.append(_coloured(*(_enlarged(plane, pixels, edges_mm) for plane in planes)))
        rows.append(np.hstack([np.pad(one, ((0, GAP), (0, GAP), (0, 0))) for one in pictures]))
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _in_range(grey: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values from 0 to 255, the brightest hundredth of what is outlined at the top."""
    known = grey[inside] if inside.any() else grey
    low, high = min(grey.min(), 0), np.percentile(known, 99)
    return np.asarray(((grey - low) / (high - low or 1)).clip(0, 1) * 255)


def _enlarged(
    plane: NDArray[Any], pixels_mm: tuple[float, float], edges_mm: NDArray[Any]
) -> NDArray[Any]:
    """Return a plane (across, up) as rows from the top, in square pixels."""
    step = edges_mm.min() / PIXEL_SHARE
    step = max(
        step, max(n * mm for n, mm in zip(plane.shape, pixels_mm, strict=True)) / MOST_PIXELS
    )
    across, up = (
        ((np.arange(max(1, round(n * mm / step))) + 0.5) * step / mm).astype(int).clip(0, n - 1)
        for n, mm in zip(plane.shape, pixels_mm, strict=True)
    )
    return plane[np.ix_(across, up)].T[::-1]


def _coloured(grey: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture with the borders of labels in colour."""
    picture = np.repeat(grey.astype(np.uint8)[..., np.newaxis], 3, axis=2)
    around = np.pad(labels, 1)
    is_edge = np.zeros(labels.shape, bool)
    for axis in range(2):
        for step in (1, -1):
            is_edge |= np.roll(around, step, axis)[1:-1, 1:-1] != labels
    is_edge &= labels != 0
    ranks = np.unique(labels[is_edge], return_inverse=True)[1]
    picture[is_edge] = COLOURS[ranks.ravel() % len(COLOURS)]
    return picture


def _png(picture: NDArray[np.uint8]) -> bytes:
    """Return (rows, columns, 3) pixels as a PNG file (RFC 2083)."""
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = picture.reshape(height, -1)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(rows.tobytes(), 9),
        b"IEND": b"",
    }
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
