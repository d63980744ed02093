"""Estimates with intervals, robust against outliers: pure, and the same for the same input."""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Series = NDArray[np.float64]
Statistic = Callable[[Series], Any]
"""Takes an array of the shape (..., n) and returns one figure for each row: the shape (...)."""

_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution
_MOST_AUTOCORRELATION: Final = 0.9  # beyond, a series of this length says next to nothing
_RESAMPLES: Final = 2_000
_SEED: Final = 1


class Estimate(NamedTuple):
    """A value and the interval that it lies in."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Estimate":
        """Return the estimate of `factor` times the same; `factor` is not negative."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def theil_sen(at: ArrayLike, values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the slope of `values` over `at` (increasing), the median of the slopes of all pairs.

    The interval is Sen's (JASA 63, 1968): the order statistics of the slopes that stand as far from their
    middle as the variance of Kendall's statistic says. Neighbours that resemble each other tell less than
    as many independent values: with r, the lag-1 autocorrelation of the residuals, the variance grows by (1
    + r)/(1 - r) (the effective sample size of Bayley and Hammersley, 1946, for an AR(1) series). Ties only
    make it wider. Memory is quadratic: for some hundred values. ValueError below 3 values.
    """
    x, y = np.asarray(at, dtype=np.float64), np.asarray(values, dtype=np.float64)
    count = len(x)
    if count < 3:
        raise ValueError(f"{count} values have no slope with an interval; 3 are needed")
    i, j = np.triu_indices(count, 1)
    slopes = np.sort((y[j] - y[i]) / (x[j] - x[i]))
    slope = float(np.median(slopes))
    variance = count * (count - 1) * (2 * count + 5) / 18
    correlation = min(max(lag1_autocorrelation(y - slope * x), 0.0), _MOST_AUTOCORRELATION)
    reach = _normal_quantile(confidence) * np.sqrt(variance * (1 + correlation) / (1 - correlation))
    low = max(0, int(np.floor((len(slopes) - reach) / 2)))
    high = min(len(slopes) - 1, int(np.ceil((len(slopes) + reach) / 2)))
    return Estimate(slope, float(slopes[low]), float(slopes[high]))


def lag1_autocorrelation(values: ArrayLike) -> float:
    """Return the correlation of each value with the next; what lies further out counts as 3 sigma."""
    deviations = clipped(np.asarray(values, dtype=np.float64))
    power = float(deviations @ deviations)
    return float(deviations[1:] @ deviations[:-1]) / power if power > 0 else 0.0


def clipped(values: Series) -> Series:
    """Return the deviations from their middle, with mean 0; what lies further out counts as 3 sigma."""
    deviations = values - np.median(values)
    reach = 3 * _MAD_TO_SIGMA * np.median(np.abs(deviations))
    deviations = np.clip(deviations, -reach, reach)
    return np.asarray(deviations - deviations.mean())


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Estimate:
    """Return the share `hits / trials` with Wilson's interval (JASA 22, 1927); (0, 0, 1) of no trials.

    Unlike the textbook's p ± z·√(p(1 − p)/n) it stays within 0 and 1, and is honest about 0 hits among few
    trials.
    """
    if trials == 0:
        return Estimate(0.0, 0.0, 1.0)
    z2 = _normal_quantile(confidence) ** 2
    share = hits / trials
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Estimate(share, float(max(0.0, middle - half)), float(min(1.0, middle + half)))


def median(values: Series) -> Any:
    """Return the median of each row."""
    return np.median(values, axis=-1)


def interquartile_mean(values: Series) -> Any:
    """Return the mean of each row's middle half: as deaf to outliers as the median, and less noisy."""
    ordered = np.sort(values, axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def bootstrap_difference(
    before: ArrayLike, after: ArrayLike, statistic: Statistic = median, confidence: float = 0.95
) -> Estimate:
    """Return how much the `statistic` of `after` lies above that of `before`.

    The interval is the percentile bootstrap's (Efron 1979): both are drawn anew, with replacement, 2,000
    times, from a fixed seed. Of logarithms it is the logarithm of a ratio.
    """
    samples = [np.asarray(values, dtype=np.float64) for values in (before, after)]
    rng = np.random.default_rng(_SEED)
    drawn = [statistic(rng.choice(sample, (_RESAMPLES, len(sample)))) for sample in samples]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn[1] - drawn[0], (tail, 1 - tail))
    return Estimate(float(statistic(samples[1]) - statistic(samples[0])), float(low), float(high))


def bootstrap_error(values: ArrayLike, statistic: Statistic = median) -> float:
    """Return the standard error of a statistic, as the bootstrap sees it: 2,000 draws, from a fixed seed."""
    sample = np.asarray(values, dtype=np.float64)
    drawn = statistic(np.random.default_rng(_SEED).choice(sample, (_RESAMPLES, len(sample))))
    return float(np.std(drawn))


def weighted_median(values: Series, weights: Series) -> float:
    """Return the value with half of the weight at or below it."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])


def batch_medians(at: ArrayLike, values: ArrayLike, batches: int) -> tuple[Series, Series]:
    """Return the middles and medians of `batches` equal stretches: outliers go, trends stay."""
    x, y = np.asarray(at, dtype=np.float64), np.asarray(values, dtype=np.float64)
    parts = np.array_split(np.arange(len(x)), min(batches, len(x)))
    return np.array([np.median(x[part]) for part in parts]), np.array([np.median(y[part]) for part in parts])


def _normal_quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
