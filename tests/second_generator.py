"""A second economy of electricity, unlike Meridia and unlike the estimator: parameters and forms are drawn per seed.

Nothing here is a spline, a hinge, a Fourier series or a dummy that the estimator has. Weather acts through a logistic
or a softplus response of a building that cools down slowly; the year is a pair of bumps; weekends shrink in the summer
of a country; holidays spill over to their neighbours; noise is Student's t with memory, on a level that drifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Truth:
    """Load of one series, its weather, and what each part of it was (log points)."""

    load: pd.Series
    temperature: pd.Series
    weather: pd.Series
    calendar: pd.Series
    shock: pd.Series
    country: str


def generate(
    seed: int,
    *,
    start: str = "2014-01-01",
    end: str = "2020-06-30",
    shock_from: str = "2020-03-16",
    drop: float | None = None,
) -> Truth:
    """Return a series with planted weather and calendar and a shock at the end.

    Parameters
    ----------
    seed
        Draws country, climate, responses, holidays' weight, noise.
    start, end
        First and last day.
    shock_from
        First day of the fall.
    drop
        Depth of the fall, a share; None: drawn.
    """
    rng = np.random.default_rng([20, seed])
    dates = pd.date_range(start, end, name="date")
    country = str(rng.choice(["DE", "IT", "KR", "TR", "US"]))
    n, doy = len(dates), dates.day_of_year.to_numpy()
    temperature = _climate(rng, n, doy)
    weather = _response(rng, temperature)
    calendar = _calendar(rng, dates, country)
    fall = float(rng.uniform(0.05, 0.35)) if drop is None else drop
    shock = np.zeros(n)
    after = np.flatnonzero(np.asarray(dates >= shock_from))
    ramp = 1 - np.exp(-np.arange(len(after)) / rng.uniform(2, 8))
    shock[after] = np.log1p(-fall * ramp)
    noise = _noise(rng, n)
    level = rng.uniform(3, 12) + weather + calendar + shock + noise
    columns = {"weather": weather, "calendar": calendar, "shock": shock}
    parts = {name: pd.Series(values, index=dates) for name, values in columns.items()}
    return Truth(
        pd.Series(np.exp(level), index=dates, name="load"),
        pd.Series(temperature, index=dates),
        country=country,
        **parts,
    )


def _climate(rng: np.random.Generator, n: int, doy: npt.NDArray[np.int32]) -> Floats:
    """Return daily means: a skewed year, fronts that pass in days, some years warmer than others."""
    phase = 2 * np.pi * (doy - rng.uniform(15, 35)) / 365.25
    mean, swing = rng.uniform(8, 17), rng.uniform(7, 13)
    year = mean - swing * np.cos(phase + rng.uniform(0, 0.3) * np.sin(phase))
    front = np.zeros(n)
    memory, size = rng.uniform(0.6, 0.8), rng.uniform(1.5, 2.8)
    slow = 0.0
    for t in range(1, n):
        slow = 0.995 * slow + rng.normal(0, 0.06)
        front[t] = memory * front[t - 1] + rng.normal(0, size)
    return year + front + slow


def _response(rng: np.random.Generator, temperature: Floats) -> Floats:
    """Return the log effect of a building's temperature, which follows that outside; it saturates."""
    inertia = rng.uniform(0.1, 0.5)
    inside = np.empty(len(temperature))
    inside[0] = temperature[0]
    for t in range(1, len(temperature)):
        inside[t] = inertia * inside[t - 1] + (1 - inertia) * temperature[t]
    cold_at, hot_at = rng.uniform(6, 12), rng.uniform(21, 25)
    width = rng.uniform(2, 4)
    cold = rng.uniform(0.08, 0.3) / (1 + np.exp((inside - cold_at) / width))
    hot = rng.uniform(0.05, 0.25) * np.tanh(np.logaddexp(0, (inside - hot_at) / 2) / 4)
    return np.asarray(np.log1p(cold + hot))


def _calendar(rng: np.random.Generator, dates: pd.DatetimeIndex, country: str) -> Floats:
    """Return the log effect of weekdays, seasons, holidays and the days about them, and a moving feast's run-up."""
    import holidays

    weekday, doy = dates.day_of_week.to_numpy(), dates.day_of_year.to_numpy()
    base = np.array([-0.02, 0, 0, 0, -0.01, -rng.uniform(0.06, 0.2), -rng.uniform(0.12, 0.3)])
    effect = base[weekday]
    summer = np.exp(-0.5 * ((doy - rng.uniform(205, 225)) / rng.uniform(12, 25)) ** 2)
    effect = effect * (1 - rng.uniform(0, 0.3) * summer) - rng.uniform(0.02, 0.12) * summer
    distance = np.minimum(np.abs(doy - 361), np.minimum(doy + 4, 370 - doy))
    effect -= rng.uniform(0.03, 0.1) * np.exp(-((distance / 6) ** 2))
    off = set(
        holidays.country_holidays(country, years=range(dates.year.min() - 1, dates.year.max() + 2), language="en_US")
    )
    is_off = np.array([day.date() in off for day in dates])
    floor = base[6] + rng.uniform(-0.03, 0.03)
    effect = np.where(is_off, np.minimum(effect, floor), effect)
    spill = rng.uniform(0.0, 0.05)
    near = np.zeros(len(dates))
    near[1:] += is_off[:-1] & ~is_off[1:] & (weekday[1:] < 5)
    near[:-1] += is_off[1:] & ~is_off[:-1] & (weekday[:-1] < 5)
    bridge = ~is_off & (((weekday == 0) & np.roll(is_off, -1)) | ((weekday == 4) & np.roll(is_off, 1)))
    return np.asarray(effect - spill * near - rng.uniform(0.02, 0.12) * bridge)


def _noise(rng: np.random.Generator, n: int) -> Floats:
    """Return Student's t noise with short memory, on a level that drifts."""
    memory, size, drift = rng.uniform(0.1, 0.6), rng.uniform(0.008, 0.02), rng.uniform(0, 0.0004)
    shocks = rng.standard_t(6, n) * size * np.sqrt(4 / 6)
    out = np.zeros(n)
    for t in range(1, n):
        out[t] = memory * out[t - 1] + shocks[t]
    return np.asarray(out + np.cumsum(rng.normal(0, drift, n)) + rng.normal(0, 0.01) * np.arange(n) / 365)
