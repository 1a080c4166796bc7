"""Brain masks and cleaned 2D time series from BIDS datasets and their fMRIPrep derivatives."""

from bidsmask._version import __version__

__all__ = ["__version__"]
