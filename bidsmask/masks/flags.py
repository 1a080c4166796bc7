"""What is odd about a mask, in plain words, each with its number and its threshold.

A flag that is bad says that the mask is not that of the brain in the image; the others tell
what to look at. The thresholds lie between all trusted masks and the made-up faults of
tests/masks/test_doctor_references.py, but for two that it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bidsmask.masks.doctor import SHELL_MM, Examination
from bidsmask.masks.edges import NEAR_MM

SIDES = {"L": "left", "R": "right", "A": "front", "P": "back", "I": "bottom", "S": "top"}

PART_ML = 1.0
HOLES_ML = 1.0
SIDE_SHARE = 0.05
LEAST_DICE = 0.85
ASYMMETRY = 0.14
FLAT_SHARE = 0.032
LEAST_ELONGATION = 1.15
LEAST_SPHERICITY = 0.45
TUNNEL_ML = 2.0
LEAST_CONTRAST = 0.05
NO_SIGNAL_SHARE = 0.05
FORMS_APART_MM = 1.0
EMPTY_SLICES = 0.5
SHIFT_MM = 5.0
GAIN = 0.1  # of fit, before a mask is said to lie wrong
TILT_DEGREES = 8.0
LEAST_TILTED_FIT = 0.6  # a ball, however it is turned, never fits better
DEEP_SHARE = 0.35
SCALP_SHARE = 0.8
DEEP_SHARE_OF_LARGE = 0.15
HIGH_SHARE = 0.35
LEAST_FIT = 0.5

# By the code of the flag; that of the volume is the caller's.
THRESHOLDS = {
    "several-parts": PART_ML,
    "holes": HOLES_ML,
    "half-a-brain": ASYMMETRY,
    "cut": FLAT_SHARE,
    "eyes-kept": 0.0,
    "upside-down": GAIN,
    "back-to-front": GAIN,
    "displaced": SHIFT_MM,
    "tilted": TILT_DEGREES,
    "ball": LEAST_ELONGATION,
    "ragged": LEAST_SPHERICITY,
    "tunnel": TUNNEL_ML,
    "scalp-kept": SCALP_SHARE,
    "skull-kept": DEEP_SHARE,
    "brain-left-out": HIGH_SHARE,
    "off-the-edges": LEAST_FIT,
    "no-contrast": LEAST_CONTRAST,
    "unlike-derivative": LEAST_DICE,
    "cut-by-field-of-view": SIDE_SHARE,
    "no-signal": NO_SIGNAL_SHARE,
    "sform-and-qform-differ": FORMS_APART_MM,
    "empty-slices": EMPTY_SLICES,
}


@dataclass(frozen=True)
class Flag:
    """Something odd about a mask.

    Attributes
    ----------
    code : str
        Its kind, in kebab case.
    sentence : str
        In plain words, with number and threshold.
    value, threshold : float
        As in the sentence.
    is_bad : bool
        Whether the mask is wrong, not merely to be looked at.
    """

    code: str
    sentence: str
    value: float
    threshold: float
    is_bad: bool = True


@dataclass(frozen=True)
class Bounds:
    """The volume that a brain may have, ml; the defaults are those of human adults' heads.

    Raises
    ------
    ValueError
        Negative, or the wrong way round.
    """

    low_ml: float = 700.0
    high_ml: float = 2200.0

    def __post_init__(self) -> None:
        if not 0 <= self.low_ml < self.high_ml:
            raise ValueError(f"no volume lies between {self.low_ml:g} and {self.high_ml:g} ml")


ADULT = Bounds()


def find_flags(
    exam: Examination, bounds: Bounds = ADULT, *, is_brain: bool = True
) -> tuple[Flag, ...]:
    """Return what is odd about a mask.

    Parameters
    ----------
    exam : Examination
        Its agreement with a mask called `derivative` is judged.
    bounds : Bounds
        Of the volume.
    is_brain : bool
        Whether the mask should be that of a whole brain; of tissues and regions, only what
        holds for any mask is told.

    Returns
    -------
    tuple of Flag
        The bad ones first.
    """
    flags = [*_for_any(exam)]
    if is_brain:
        flags += [*_for_brains(exam, bounds), *_for_places(exam, bounds)]
    return tuple(sorted(flags, key=lambda flag: not flag.is_bad))


def _for_any(exam: Examination) -> Iterator[Flag]:
    """Yield what is odd whatever the mask is of."""
    for side, share in exam.side_shares.items():
        if share > SIDE_SHARE:
            yield Flag(
                "cut-by-field-of-view",
                f"{share:.0%} of the mask's surface lies at the {SIDES[side]} of the field of "
                f"view (more than {SIDE_SHARE:.0%}): the image ends there",
                share,
                SIDE_SHARE,
                is_bad=False,
            )
    if exam.no_signal_share > NO_SIGNAL_SHARE:
        yield Flag(
            "no-signal",
            f"{exam.no_signal_share:.0%} of the mask's voxels have no signal (more than "
            f"{NO_SIGNAL_SHARE:.0%})",
            exam.no_signal_share,
            NO_SIGNAL_SHARE,
            is_bad=False,
        )
    if exam.forms_apart_mm > FORMS_APART_MM:
        yield Flag(
            "sform-and-qform-differ",
            f"the image's sform and qform place a voxel {exam.forms_apart_mm:.1f} mm apart (more "
            f"than {FORMS_APART_MM:g} mm): programs differ in which they believe",
            exam.forms_apart_mm,
            FORMS_APART_MM,
            is_bad=False,
        )
    empty = max(exam.empty_slices)
    if empty > EMPTY_SLICES:
        yield Flag(
            "empty-slices",
            f"{empty:.0%} of the image's slices along one axis are empty (more than "
            f"{EMPTY_SLICES:.0%})",
            empty,
            EMPTY_SLICES,
            is_bad=False,
        )


def _for_brains(exam: Examination, bounds: Bounds) -> Iterator[Flag]:
    """Yield what is odd about the mask of a brain, wherever it lies."""
    if not bounds.low_ml <= exam.volume_ml <= bounds.high_ml:
        is_small = exam.volume_ml < bounds.low_ml
        limit = bounds.low_ml if is_small else bounds.high_ml
        words = "less" if is_small else "more"
        yield Flag(
            "volume",
            f"the mask holds {exam.volume_ml:,.0f} ml, {words} than a brain ({limit:,.0f} ml)",
            exam.volume_ml,
            limit,
        )
    parts = sum(volume > PART_ML for volume in exam.part_volumes_ml)
    if parts > 1:
        yield Flag(
            "several-parts",
            f"the mask falls into {parts} parts of more than {PART_ML:g} ml",
            exam.part_volumes_ml[1],
            PART_ML,
        )
    holes_ml = sum(exam.hole_volumes_ml)
    if holes_ml > HOLES_ML:
        yield Flag(
            "holes",
            f"the mask has holes of {holes_ml:.1f} ml (more than {HOLES_ML:g} ml)",
            holes_ml,
            HOLES_ML,
        )
    if exam.asymmetry > ASYMMETRY:
        yield Flag(
            "half-a-brain",
            f"{exam.asymmetry:.0%} of the mask has no counterpart on the other side (more than "
            f"{ASYMMETRY:.0%}): one half may be missing",
            exam.asymmetry,
            ASYMMETRY,
        )
    if exam.flat_share > FLAT_SHARE:
        yield Flag(
            "cut",
            f"{exam.flat_share:.0%} of the mask's surface is flat and faces the "
            f"{SIDES[exam.flat_side]} (more than {FLAT_SHARE:.1%}): it looks cut, but the image "
            "goes on",
            exam.flat_share,
            FLAT_SHARE,
        )
    if exam.elongation < LEAST_ELONGATION:
        yield Flag(
            "ball",
            f"the mask is as wide in all directions (by {exam.elongation:.2f} at most, less than "
            f"{LEAST_ELONGATION:g}), as a ball is and no brain",
            exam.elongation,
            LEAST_ELONGATION,
        )
    if exam.sphericity < LEAST_SPHERICITY:
        yield Flag(
            "ragged",
            f"the mask's surface is ragged (sphericity {exam.sphericity:.2f}, less than "
            f"{LEAST_SPHERICITY:g}): it follows each fold, or is not a brain's",
            exam.sphericity,
            LEAST_SPHERICITY,
            is_bad=False,
        )
    if exam.tunnels_ml > TUNNEL_ML:
        yield Flag(
            "tunnel",
            f"a gap of {exam.tunnels_ml:.1f} ml (more than {TUNNEL_ML:g} ml) leads into the mask, "
            "where the image is as bright as inside",
            exam.tunnels_ml,
            TUNNEL_ML,
        )
    if exam.eyes_ml > 0:
        yield Flag(
            "eyes-kept",
            f"{exam.eyes_ml:.0f} ml stick out where an eye is, or both are (more than 0 ml)",
            exam.eyes_ml,
            0.0,
        )
    # A loose mask's shell holds bright scalp; then it is the edges that tell.
    if exam.has_image and not (exam.contrast >= LEAST_CONTRAST or exam.fit >= LEAST_FIT):
        side = "brighter" if exam.contrast < 0 else "darker"
        share = f"are {side} by {abs(exam.contrast):.0%} than the mask"
        yield Flag(
            "no-contrast",
            f"the {SHELL_MM:g} mm around the mask "
            + (share if np.isfinite(exam.contrast) else "cannot be told from it")
            + f" (less than {LEAST_CONTRAST:.0%} darker), and its surface lies on no edges",
            exam.contrast,
            LEAST_CONTRAST,
        )
    derivative = exam.agreements.get("derivative")
    if derivative is not None and derivative.dice < LEAST_DICE:
        yield Flag(
            "unlike-derivative",
            f"the mask's Dice with that of the preprocessing is {derivative.dice:.3f} (less than "
            f"{LEAST_DICE:g})",
            derivative.dice,
            LEAST_DICE,
        )


def _for_places(exam: Examination, bounds: Bounds) -> Iterator[Flag]:
    """Yield the one likeliest reason why a mask's surface lies beside the image's edges."""
    moved_mm = float(np.linalg.norm(exam.shift_mm))
    is_large = exam.volume_ml > bounds.high_ml
    deep = DEEP_SHARE_OF_LARGE if is_large else DEEP_SHARE
    turns = {"upside-down": exam.upside_down_fit, "back-to-front": exam.back_to_front_fit}
    turn, turned_fit = max(turns.items(), key=lambda item: np.nan_to_num(item[1]))
    tilts = exam.tilt_degrees > TILT_DEGREES and exam.tilted_fit > max(
        exam.moved_fit + GAIN, exam.even_fit, LEAST_TILTED_FIT
    )
    others = (exam.moved_fit + GAIN, exam.tilted_fit + GAIN if tilts else 0, exam.even_fit)
    if turned_fit > max(others):
        yield Flag(
            turn,
            f"the mask seems to be {turn.replace('-', ' ')}: turned around, {turned_fit:.0%} of "
            f"its surface would lie on edges of the image, now {exam.fit:.0%} do (a gain of more "
            f"than {GAIN:.0%})",
            turned_fit - exam.fit,
            GAIN,
        )
    elif tilts:
        yield Flag(
            "tilted",
            f"the mask would fit turned by {exam.tilt_degrees:.0f} degrees (more than "
            f"{TILT_DEGREES:g}): {exam.tilted_fit:.0%} of its surface would lie on edges of the "
            f"image, now {exam.fit:.0%} do",
            exam.tilt_degrees,
            TILT_DEGREES,
        )
    elif (
        moved_mm > SHIFT_MM and exam.moved_fit > exam.fit + GAIN and exam.moved_fit > exam.even_fit
    ):
        yield Flag(
            "displaced",
            f"the mask would fit {_direction(exam.shift_mm)} (more than {SHIFT_MM:g} mm away): "
            f"{exam.moved_fit:.0%} of its surface would lie on edges of the image, now "
            f"{exam.fit:.0%} do",
            moved_mm,
            SHIFT_MM,
        )
    elif exam.deep_share > deep:
        yield Flag(
            "skull-kept",
            f"under {exam.deep_share:.0%} of the mask's surface the brain ends {NEAR_MM:g} mm or "
            f"more farther within (more than {deep:.0%}): skull or scalp is kept",
            exam.deep_share,
            deep,
        )
    elif exam.high_share > HIGH_SHARE:
        yield Flag(
            "brain-left-out",
            f"over {exam.high_share:.0%} of the mask's surface the brain goes on for {NEAR_MM:g} "
            f"mm or more (more than {HIGH_SHARE:.0%})",
            exam.high_share,
            HIGH_SHARE,
        )
    elif exam.scalp_share > SCALP_SHARE:
        yield Flag(
            "scalp-kept",
            f"somewhere on the vault the brain ends {NEAR_MM:g} mm or more farther within under "
            f"{exam.scalp_share:.0%} of the mask's surface (more than {SCALP_SHARE:.0%}): skull or "
            "scalp is kept there",
            exam.scalp_share,
            SCALP_SHARE,
        )
    elif exam.fit < LEAST_FIT:
        yield Flag(
            "off-the-edges",
            f"{exam.fit:.0%} of the mask's surface lies on edges of the image (less than "
            f"{LEAST_FIT:.0%})",
            exam.fit,
            LEAST_FIT,
        )


def _direction(shift_mm: tuple[float, float, float]) -> str:
    """Return a shift in words: `9 mm farther left and 3 mm farther up`."""
    words = (("left", "right"), ("back", "front"), ("down", "up"))
    parts = [
        f"{abs(mm):.0f} mm farther {pair[int(mm > 0)]}"
        for mm, pair in zip(shift_mm, words, strict=True)
        if round(mm)
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
