"""Who bears what: assumptions on failure and recovery, split by bearer. The bearers are never added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.decide.relief.kernel import ONE

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Losses:
    """What follows from running out of cash. Illiquid is not failed: only some of the illiquid fail.

    Defaults are illustrative and to be set by whoever decides.

    Attributes
    ----------
    fails_if_illiquid
        Probability that a company that has run out of cash fails in the end.
    collateral_recovery
        Share of the secured part of a loan that is recovered after failure.
    unsecured_recovery
        Share of the unsecured part that is recovered.
    """

    fails_if_illiquid: float = 0.3
    collateral_recovery: float = 0.7
    unsecured_recovery: float = 0.1

    def __post_init__(self) -> None:
        if any(not 0 <= x <= 1 for x in (self.fails_if_illiquid, self.collateral_recovery, self.unsecured_recovery)):
            raise UsageError("a probability or recovery lies outside 0 … 1.", code="OPS-U076")

    def shares(self, firms: pd.DataFrame) -> tuple[Ints, Ints]:
        r"""Return expected loss per unit owed at illiquidity, borne by banks and by the state (guarantor).

        Returns
        -------
        bank, state : numpy.ndarray
            Fixed point, one a company.

        Notes
        -----
        :math:`\pi\{1-\sigma\rho_c-(1-\sigma)\rho_u\}` with secured share σ, of which the guaranteed share
        falls on the state and the rest on the bank.
        """
        secured = firms["secured_ppm"].to_numpy(dtype=np.float64) / 1e6
        guaranteed = firms["guarantee_ppm"].to_numpy(dtype=np.float64) / 1e6
        lost = 1.0 - secured * self.collateral_recovery - (1.0 - secured) * self.unsecured_recovery
        loss = self.fails_if_illiquid * lost
        bank = np.rint(loss * (1.0 - guaranteed) * ONE).astype(np.int64)
        state = np.rint(loss * guaranteed * ONE).astype(np.int64)
        return bank, state
