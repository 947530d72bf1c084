"""Kishor and Koenig: each release moves part of the way from what was expected to an efficient release."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.revisions.system import System


@dataclass(frozen=True, slots=True)
class KishorKoenig:
    """Parameters, for `e` releases before the efficient one, in the data's units.

    Attributes
    ----------
    mean
        Of the efficient release.
    bias
        Releases before it: what they say too much on average.
    ar
        The efficient release's autoregression.
    sd
        Of its innovation.
    gain
        Releases x quarters (the newest first): how much of the distance between the efficient values and what was
        expected each release takes up. Diagonal without spillovers.
    noise
        Standard deviation of each release's own error.
    """

    mean: float
    bias: Floats
    ar: Floats
    sd: float
    gain: Floats
    noise: Floats

    def system(self) -> System:
        """Return the system: efficient values of the newest quarters, then what their vintage says of them."""
        early, order = len(self.noise), len(self.ar)
        n = max(early + 1, order)
        forward = np.eye(n, k=1)
        forward[-1] = 0.0
        for lag in range(1, order + 1):
            forward[-1, n - lag] = self.ar[lag - 1]
        gain = np.eye(n)
        noise = np.zeros(n)
        for release in range(early):
            row = n - 1 - release
            gain[row] = 0.0
            for age in range(early + 1):
                gain[row, n - 1 - age] = self.gain[release, age]
            noise[row] = self.noise[release] ** 2
        transition = np.block([[forward, np.zeros((n, n))], [gain @ forward, (np.eye(n) - gain) @ forward]])
        push = np.zeros(2 * n)
        push[n - 1] = self.sd
        push[n:] = gain[:, -1] * self.sd
        shock = np.outer(push, push) + np.diag(np.r_[np.zeros(n), noise])
        design = np.zeros((early + 1, 2 * n))
        for release in range(early + 1):
            design[release, 2 * n - 1 - release] = 1.0
        intercept = self.mean + np.r_[self.bias, 0.0]
        return System(transition, shock, design, intercept, tuple(range(early + 1)))
