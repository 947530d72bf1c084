"""What a model beside the factor model says of one quarter."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from opsroom._version import __version__


@dataclass(frozen=True, slots=True)
class Piece:
    """One equation inside a model: its indicator, forecast, standard deviation, weight and lags in months."""

    series: str
    mean: float
    sd: float
    weight: float
    months: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """One model's forecast of one quarter.

    Attributes
    ----------
    target, period, method
        What is forecast, and how.
    mean, sd
        In the target's units; 0 spread where the figure is known.
    df
        Degrees of freedom where the density is Student's t; infinite where it is taken as normal.
    pieces
        The equations inside, and their weights.
    refused
        (series, why) of what could not be used.
    source
        The paper.
    notes
        What was chosen and how it went, such as lags, tightness, convergence.
    """

    target: str
    period: str
    method: str
    mean: float
    sd: float
    df: float = float("inf")
    pieces: tuple[Piece, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row an equation; a single row where there is but one."""
        pieces = self.pieces or (Piece("", self.mean, self.sd, 1.0, 0),)
        return pd.DataFrame(
            [{"series": p.series, "mean": p.mean, "sd": p.sd, "weight": p.weight, "months": p.months} for p in pieces]
        )

    def summary(self) -> str:
        """Return the forecast and what it rests on."""
        lines = [f"{self.method}: {self.target} {self.period}: {self.mean:+.2f} (sd {self.sd:.2f})"]
        lines += [f"  {note}" for note in self.notes]
        lines += [
            f"  {p.series}: {p.mean:+.2f} (sd {p.sd:.2f}), weight {p.weight:.0%}"
            for p in sorted(self.pieces, key=lambda p: -p.weight)
            if p.series
        ]
        return "\n".join(lines + [f"  {series} is not used: {why}" for series, why in self.refused])

    def cite(self) -> str:
        """Return source and version."""
        return f"{self.source}; opsroom {__version__}."


def known(target: str, period: str, method: str, value: float, source: str) -> Forecast:
    """Return the forecast of what is known: itself."""
    return Forecast(target, period, method, value, 0.0, source=source, notes=("the figure is known",))
