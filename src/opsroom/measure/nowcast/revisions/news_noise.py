"""Jacobs and van Norden: a release errs by news that it could not know yet, and by noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.revisions.system import System


@dataclass(frozen=True, slots=True)
class NewsNoise:
    """Parameters, for `e` early releases and a final value, in the data's units.

    Attributes
    ----------
    mean
        Of the final value.
    bias
        Early releases: what they say too much on average.
    ar
        The final value's autoregression.
    sd
        Of the part of its innovation that is known at the first release.
    news
        Early releases: standard deviation of what becomes known between this release and the next.
    noise
        Early releases: standard deviation of the error that has nothing to do with the final value.
    news_memory, noise_memory
        How far news and noise spill over from quarter to quarter.
    """

    mean: float
    bias: Floats
    ar: Floats
    sd: float
    news: Floats
    noise: Floats
    news_memory: float = 0.0
    noise_memory: float = 0.0

    def news_share(self) -> Floats:
        """Return how much of the variance between each early release and the final value is news."""
        news = np.cumsum((self.news**2)[::-1])[::-1] / (1.0 - self.news_memory**2)
        noise = self.noise**2 / (1.0 - self.noise_memory**2)
        return np.asarray(news / (news + noise))

    def system(self) -> System:
        """Return the system: states are the final value and its lags, then each release's news and noise."""
        early, lags = len(self.news), max(len(self.ar), 1)
        size = lags + 2 * early
        at_news, at_noise = slice(lags, lags + early), slice(lags + early, size)
        transition = np.zeros((size, size))
        transition[0, : len(self.ar)] = self.ar
        transition[1:lags, : lags - 1] = np.eye(lags - 1)
        transition[at_news, at_news] = self.news_memory * np.eye(early)
        transition[at_noise, at_noise] = self.noise_memory * np.eye(early)
        # What becomes known after release j is missing from it and from all releases before it.
        push = np.zeros((size, 1 + 2 * early))
        push[0, 0] = self.sd
        push[0, 1 : 1 + early] = self.news
        push[at_news, 1 : 1 + early] = -np.triu(np.tile(self.news, (early, 1)))
        push[at_noise, 1 + early :] = np.diag(self.noise)
        design = np.zeros((early + 1, size))
        design[:, 0] = 1.0
        design[:early, at_news] = np.eye(early)
        design[:early, at_noise] = np.eye(early)
        intercept = self.mean + np.r_[self.bias, 0.0]
        return System(transition, push @ push.T, design, intercept, (0,) * (early + 1))
