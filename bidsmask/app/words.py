"""The words that options choose from; numpy and the science are not loaded for them."""

from __future__ import annotations

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
