import numpy as np
import pytest

from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.freedom import DegreesOfFreedom, effective_freedom
from bidsmask.cleaning.operator import build_operator
from bidsmask.errors import NoDegreesOfFreedom
from tests.make_cleaning import censored, regressors

NO_FILTER = TemporalFilter("none")


def ledger(
    n_volumes: int, n_confounds: int, cleaning: Cleaning, t_r_s: float = 2.0, n_censored: int = 0
) -> DegreesOfFreedom:
    confounds = np.random.default_rng(0).standard_normal((n_volumes, n_confounds))
    censoring = censored(n_volumes, range(20, 20 + n_censored))
    return build_operator(cleaning, t_r_s, censoring, regressors(confounds), "run").freedom


def test_projection_of_rank_r_leaves_r() -> None:
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 12)))[0]
    assert effective_freedom(q @ q.T) == pytest.approx(12)


def test_rounding_is_no_freedom() -> None:
    assert effective_freedom(1e-16 * np.random.default_rng(0).standard_normal((9, 9))) == 0


def test_every_step_has_its_line() -> None:
    assert ledger(100, 6, Cleaning(True, NO_FILTER), n_censored=10) == DegreesOfFreedom(
        volumes=100,
        censored=10,
        intercept_and_trend=2,
        filter=0,
        regressors=6,
        remaining=82,
    )


@pytest.mark.parametrize(
    ("detrend", "standardize", "cost"),
    [(True, "none", 2), (True, "psc", 2), (False, "zscore", 1), (False, "none", 1)],
)
def test_mean_and_trend_cost_one_each(detrend: bool, standardize: str, cost: int) -> None:
    freedom = ledger(50, 0, Cleaning(detrend, NO_FILTER, standardize))  # type: ignore[arg-type]
    assert (freedom.intercept_and_trend, freedom.remaining) == (cost, 50 - cost)


def test_cosines_cost_their_number() -> None:
    freedom = ledger(200, 5, Cleaning(True, TemporalFilter("cosine", 0.008)))
    assert (freedom.filter, freedom.regressors, freedom.remaining) == (6, 5, 187)


@pytest.mark.parametrize("n_censored", [0, 15])
@pytest.mark.parametrize("kind", ["butterworth", "regression", "cosine"])
def test_the_ledger_adds_up(kind: str, n_censored: int) -> None:
    low_pass = None if kind == "cosine" else 0.1
    chosen = TemporalFilter(kind, 0.01, low_pass)  # type: ignore[arg-type]
    freedom = ledger(150, 7, Cleaning(True, chosen), n_censored=n_censored)
    left = freedom.volumes - freedom.censored - freedom.intercept_and_trend
    left -= freedom.regressors
    assert freedom.remaining == pytest.approx(left - freedom.filter, abs=2e-3)
    assert freedom.filter >= 0


@pytest.mark.parametrize(
    ("n_volumes", "t_r_s", "expected"), [(100, 2.0, 5.5), (200, 2.0, 37), (300, 0.8, 12)]
)
def test_36_confounds_and_a_band_leave_what_simulation_gave(
    n_volumes: int, t_r_s: float, expected: float
) -> None:
    odd = Cleaning(True, TemporalFilter("butterworth", 0.01, 0.1, "odd"))
    assert ledger(n_volumes, 36, odd, t_r_s).remaining == pytest.approx(expected, rel=0.2)


def test_variance_of_white_noise_has_the_spread_of_so_many_degrees_of_freedom() -> None:
    random = np.random.default_rng(0)
    cleaning = Cleaning(True, TemporalFilter("butterworth", 0.01, 0.1), "none")
    operator = build_operator(
        cleaning, 2.0, censored(200, []), regressors(np.empty((200, 0))), "run"
    )
    power = ((operator.matrix @ random.standard_normal((200, 20000))) ** 2).sum(axis=0)
    # A chi-squared variable with n degrees of freedom has mean²/variance = n/2.
    assert 2 * power.mean() ** 2 / power.var() == pytest.approx(
        operator.freedom.remaining, rel=0.05
    )


@pytest.mark.parametrize("n_confounds", [38, 39, 40, 60])
def test_nothing_left_is_refused_with_the_ledger(n_confounds: int) -> None:
    with pytest.raises(
        NoDegreesOfFreedom, match=r"40 volumes - 0 censored - 2 .* 38 regressors = 0\.0"
    ):
        ledger(40, n_confounds, Cleaning(True, NO_FILTER))


def test_one_degree_left_is_enough() -> None:
    assert ledger(40, 37, Cleaning(True, NO_FILTER)).remaining == 1


def test_narrow_band_filled_by_confounds_is_refused() -> None:
    # .02 to .0215 Hz in 100 volumes of 2 s is less than one cosine wide.
    band = Cleaning(True, TemporalFilter("regression", 0.0201, 0.0224))
    with pytest.raises(NoDegreesOfFreedom):
        ledger(100, 3, band)
