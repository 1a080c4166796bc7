"""The words that options take, and what they mean; no science is loaded for them."""

from __future__ import annotations

from typing import Literal

LEVELS = ("participant", "group")
# Folders of the images that each choice means.
DATATYPES = {"func": ("func",), "anat": ("anat",), "both": ("anat", "func")}
# Between two volumes, s. What lies outside was meant in milliseconds, or is damage.
SHORTEST_T_R_S, LONGEST_T_R_S = 0.001, 100.0

WORK = "what to work on"
MASK = "mask"
SIGNALS = "signals"
CLEANING = "cleaning"
RUNNING = "running"

CONFOUNDS = (
    "none",
    "simple",
    "scrubbing",
    "24P",
    "27P",
    "36P",
    "acompcor",
    "tcompcor",
    "aroma",
    "tedana",
)
# Those of them whose components --n-compcor counts.
COMPCOR = ("acompcor", "tcompcor")
MASK_STRATEGIES = (
    "auto",
    "derivative",
    "background",
    "epi",
    "otsu",
    "automask",
    "brain",
    "whole-brain-template",
    "gm-template",
    "wm-template",
    "file",
)
REGION_STATISTICS = (
    "mean",
    "median",
    "sum",
    "minimum",
    "maximum",
    "standard_deviation",
    "variance",
    "eigenvariate",
)

CONNECTIVITY = (
    "pearson",
    "correlation-ledoit-wolf",
    "covariance",
    "ledoit-wolf",
    "partial",
    "precision",
    "partial-sample",
    "precision-sample",
)

# Those that have a Fisher z.
CORRELATIONS = ("pearson", "correlation-ledoit-wolf", "partial", "partial-sample")

COMBINATIONS = ("intersection", "union", "majority", "probability")
COMBINED_OVER = ("run", "session", "participant")


def n_compcor(text: str) -> int | float | Literal["all"]:
    """Return what `--n-compcor` says.

    Raises
    ------
    ValueError
        It is neither a count, nor a share between 0 and 1, nor `all`.
    """
    if text == "all":
        return "all"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    share = float(text)
    if not 0 < share < 1:
        raise ValueError(text)
    return share
