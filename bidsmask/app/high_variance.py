"""Confounds that only the voxels of a series can tell: what those that vary most have in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bidsmask.app.preparation import CleaningPlan, Preparation
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.high_variance import confounds_of_high_variance
from bidsmask.cleaning.operator import build_operator
from bidsmask.images.image import Image
from bidsmask.images.stream import stream

# nilearn's numbers, as its maskers take them.
N_CONFOUNDS, PERCENT_OF_VOXELS = 5, 2.0


def with_high_variance(preparation: Preparation, where: Path) -> Preparation:
    """Return a Preparation whose operators hold the confounds of high variance, where asked for.

    They are of all voxels of the series, whatever the mask, before smoothing; each series is
    read twice for them.

    Raises
    ------
    NoDegreesOfFreedom
        They leave nothing of the run `where`.
    DamagedFile
        The series is damaged.
    """
    wanted = [one for one in preparation.cleanings if one.choice.confounds.high_variance]
    if not wanted:
        return preparation
    images = {one.material.image.path: one.material.image for one in wanted}
    found = {path: of_series(image) for path, image in images.items()}

    def rebuilt(plan: CleaningPlan) -> CleaningPlan:
        if not plan.choice.confounds.high_variance:
            return plan
        own = found[plan.material.image.path]
        names = plan.regressors.names + own.names
        values = np.hstack([plan.regressors.values, own.values])
        order = sorted(range(len(names)), key=names.__getitem__)
        regressors = Regressors(values[:, order], tuple(names[one] for one in order))
        operator = build_operator(
            plan.choice.cleaning, preparation.t_r_s, plan.censoring, regressors, where
        )
        return replace(plan, regressors=regressors, operator=operator)

    plans = {plan: rebuilt(plan) for plan in preparation.cleanings}
    matrices = [replace(one, cleaning=plans[one.cleaning]) for one in preparation.matrices]
    return replace(preparation, cleanings=tuple(plans.values()), matrices=tuple(matrices))


def of_series(image: Image) -> Regressors:
    """Return the confounds of high variance of a series: nilearn's `high_variance_confounds`."""
    # A scale and an offset of stored values change nothing of a unit vector without a line.
    values = confounds_of_high_variance(
        lambda: stream(image), image.n_volumes, N_CONFOUNDS, PERCENT_OF_VOXELS
    )
    return Regressors(values, tuple(f"high_variance_{i:02d}" for i in range(N_CONFOUNDS)))
