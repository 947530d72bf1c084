"""On how few providers of data a room's figures rest: which of them would go dark with whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError


@dataclass(frozen=True, slots=True)
class ProviderDependence:
    """Dependence of figures on the providers of their data.

    Attributes
    ----------
    frame
        One row a provider, the most needed first: ``datasets`` (used), ``figures`` (that read any of them),
        ``share`` (per cent of all figures), ``only`` (figures that rest on it alone), ``weight`` (per cent: each
        figure counts once, divided equally among its providers).
    hhi
        Herfindahl index of the weights, 0 to 10,000.
    figures
        How many there are.
    """

    frame: pd.DataFrame
    hhi: float
    figures: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row a provider."""
        return self.frame

    def summary(self) -> str:
        """Return who is needed most, and how concentrated the weights are."""
        top = self.frame.iloc[0]
        return (
            f"{top['provider']} is read by {top['figures']} of {self.figures} figures, {top['only']} of which rest on "
            f"it alone; Herfindahl index {self.hhi:,.0f}, as {1e4 / self.hhi:.1f} equal providers."
        )

    def cite(self) -> str:
        """Return method and version."""
        return f"Figures by the providers of what they read; opsroom {__version__}."


def provider_dependence(reads: Mapping[str, Collection[str]], providers: Mapping[str, str]) -> ProviderDependence:
    """Measure on whom a room's figures rest.

    Answers: who could blind this room by not delivering?

    Parameters
    ----------
    reads
        Figure → datasets that it reads. A figure that reads none is left out.
    providers
        Dataset → provider.

    Returns
    -------
    ProviderDependence

    Raises
    ------
    UsageError
        A dataset has no provider, or no figure reads anything.

    Notes
    -----
    That a figure reads a dataset says that it may change without it, not that it would be lost: the drop-out test
    publishes without a provider and sees.
    """
    missing = sorted({d for used in reads.values() for d in used} - set(providers))
    if missing:
        raise UsageError(f"no provider is named for {', '.join(missing)}.", remedy="Name who delivers each dataset.")
    behind = {figure: {providers[d] for d in used} for figure, used in reads.items() if used}
    if not behind:
        raise UsageError("no figure reads anything.", remedy="Give the datasets that each figure reads.")
    used = {d for names in reads.values() for d in names}
    rows = []
    for provider in sorted({name for names in behind.values() for name in names}):
        own = [names for names in behind.values() if provider in names]
        rows.append(
            {
                "provider": provider, "datasets": sum(providers[d] == provider for d in used), "figures": len(own),
                "share": 100.0 * len(own) / len(behind), "only": sum(len(names) == 1 for names in own),
                "weight": 100.0 * sum(1.0 / len(names) for names in own) / len(behind),
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows).sort_values(
        ["figures", "only", "provider"], ascending=[False, False, True], ignore_index=True
    )
    return ProviderDependence(frame, float((frame["weight"] ** 2).sum()), len(behind))
