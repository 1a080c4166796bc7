"""What a field of view shows, and that no mask goes beyond it."""

from __future__ import annotations

import numpy as np

from bidsmask.images.grid import Grid
from bidsmask.masks.brain import brain_mask
from bidsmask.masks.decision import lit_field
from bidsmask.masks.head import Head, isotropic_grid
from tests.make_heads import head_grid, head_image, head_prior, true_brain


def test_a_hole_and_a_gap_are_seen_but_not_what_lies_beyond_the_last_slice_with_signal():
    grid = Grid((20, 20, 20), np.diag([2.0, 2, 3, 1]))
    values = np.ones(grid.shape, np.float32)
    values[..., 15:] = 0
    values[8:13, 8:13, 5:9] = 0
    values[3:17, 4, 3:9] = 0
    fine = isotropic_grid(grid, 1.5)
    seen = lit_field(Head(values, grid), fine)
    height = fine.to_mm(np.indices(fine.shape).reshape(3, -1).T)[:, 2].reshape(fine.shape)
    assert np.array_equal(seen, height < (14 + 15) / 2 * 3)


def test_no_mask_goes_beyond_the_field_of_view():
    values = head_image("EPI")
    cut = values.copy()
    cut[..., :22] = 0
    found = brain_mask(cut, head_grid(), head_prior("EPI"), "EPI").voxels
    assert not found[..., :22].any()
    lowest = true_brain()[..., 22]
    assert (found[..., 22] & lowest).sum() > 0.95 * lowest.sum()
