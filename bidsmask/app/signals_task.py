"""What is extracted from a run in the one pass, and what is made of it after each cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bidsmask.app.atlas_columns import AtlasColumns, clean_eigenvariates
from bidsmask.app.products import Product
from bidsmask.cleaning.operator import Cleaned, TemporalOperator, clean
from bidsmask.signals.extract import RawSignals
from bidsmask.signals.extractor import Extractor


@dataclass(frozen=True, eq=False)
class SignalsTask:
    """One extractor, and the signals that are made of it: one product for each cleaning.

    Attributes
    ----------
    extractor : Extractor
    names : list of str
        Of the columns of the signals.
    columns : Product
        What says more of them.
    products : sequence of Product
    sizes : (n_columns,) int array or None
        Where the columns are the eigenvariates of what is extracted: how many each is of.
    of_atlas : AtlasColumns or None
        Whose signals they are; None for voxels.
    """

    extractor: Extractor
    names: list[str]
    columns: Product
    products: Sequence[Product]
    sizes: npt.NDArray[np.intp] | None = None
    of_atlas: AtlasColumns | None = None

    def clean(
        self, operator: TemporalOperator, raw: RawSignals, *, is_last: bool, n_threads: int
    ) -> Cleaned:
        """Return the signals after one cleaning, NaN in columns that are missing or left out."""
        if self.sizes is not None:
            cleaned = clean_eigenvariates(operator, raw, self.sizes, n_threads)
        else:
            values, level = raw.values, raw.reference
            cleaned = clean(operator, values, level, overwrite=is_last, n_threads=n_threads)
            cleaned.values[:, self.extractor.missing] = np.nan
        if self.of_atlas is not None:
            # Of maps all were in the fit: what one leaves out would end up in the others.
            cleaned.values[:, self.of_atlas.left_out] = np.nan
        return cleaned
