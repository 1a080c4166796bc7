"""The words that options take, and what they mean; no science is loaded for them."""

from __future__ import annotations

from typing import Literal

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
