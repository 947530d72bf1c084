"""Many networks that have the same margins, and what they agree on: an interval for any measure of risk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.warn.contagion.density import minimum_density
from opsroom.warn.contagion.fitness import fitness_model
from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.network import Network


@dataclass(frozen=True, slots=True)
class EnsembleResult:
    """A measure of risk over networks that the margins do not tell apart. Confidential where the measure is.

    Attributes
    ----------
    values
        Shape (draws, measures).
    level
        Nominal level of the interval.
    method
        How the networks were drawn.
    """

    values: Floats
    level: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Return mean, lower and upper bound, one row a measure."""
        tail = 0.5 * (1.0 - self.level)
        lower, upper = np.quantile(self.values, [tail, 1.0 - tail], axis=0)
        return pd.DataFrame({"mean": self.values.mean(axis=0), "lower": lower, "upper": upper})

    def summary(self) -> str:
        """Return the first measure in a line."""
        row = self.to_frame().iloc[0]
        return (
            f"{len(self.values)} networks ({self.method}): {row['mean']:.4g}, "
            f"{100 * self.level:.0f} % interval {row['lower']:.4g} to {row['upper']:.4g}."
        )

    def cite(self) -> str:
        """Return the source of the networks."""
        return {
            "fitness": "Cimini, Squartini, Garlaschelli and Gabrielli (2015), Scientific Reports 5.",
            "minimum density": "Anand, Craig and von Peter (2015), Quantitative Finance 15(4).",
        }[self.method]


def networks(
    lent: npt.ArrayLike,
    borrowed: npt.ArrayLike,
    *,
    method: Literal["fitness", "minimum density"] = "fitness",
    links: float | None = None,
    draws: int = 100,
    seed: int = 0,
) -> Iterator[Links]:
    """Draw networks with given margins, one after the other.

    Parameters
    ----------
    lent, borrowed
        What each node has lent and borrowed in all.
    method
        ``fitness``: margins hold in the mean; ``minimum density``: they hold exactly, with few links.
    links
        Expected number of links, for ``fitness``.
    draws, seed
        How many, and from which random numbers.
    """
    seeds = np.random.default_rng(seed).integers(0, 2**31 - 1, draws)
    if method == "fitness":
        if links is None:
            raise UsageError(
                "the fitness model needs an expected number of links.", remedy="Give links=.", code="OPS-U219"
            )
        model = fitness_model(lent, borrowed, links=links)
        yield from (model.draw(int(s)) for s in seeds)
    elif method == "minimum density":
        yield from (minimum_density(lent, borrowed, seed=int(s), restarts=1) for s in seeds)
    else:
        raise UsageError("networks are drawn by fitness or minimum density.", remedy="Name one.", code="OPS-U220")


def over_networks(
    network: Network,
    layer: str,
    lent: npt.ArrayLike,
    borrowed: npt.ArrayLike,
    measure: Callable[[Network], npt.ArrayLike],
    *,
    method: Literal["fitness", "minimum density"] = "fitness",
    links: float | None = None,
    draws: int = 100,
    level: float = 0.9,
    seed: int = 0,
) -> EnsembleResult:
    """Measure a risk on many networks with the same margins.

    It answers: how far does a risk hang on who exactly has lent to whom, which nobody knows?

    Parameters
    ----------
    network
        Nodes, and layers that are known.
    layer
        Name of the layer that is drawn.
    lent, borrowed, method, links, draws, seed
        As in `networks`.
    measure
        Network → a number, or several.
    level
        Nominal level of the interval, of the ensemble: it does not hold what no member of it has.

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.warn.contagion import debtrank, exposure_network
    >>> net = exposure_network(pd.DataFrame({"id": list("abcd"), "buffer": [1.0, 2.0, 2.0, 1.0]}))
    >>> found = over_networks(net, "interbank", [1, 1, 1, 1], [1, 1, 1, 1], lambda x: debtrank(x, ["a"]).additional,
    ...                       links=6, draws=20)
    >>> len(found.values)
    20
    """
    if not (0 < level < 1 and draws >= 1):
        raise UsageError("level lies between 0 and 1, draws are 1 or more.", remedy="Mend the call.", code="OPS-U221")
    members = networks(lent, borrowed, method=method, links=links, draws=draws, seed=seed)
    values = [np.atleast_1d(np.asarray(measure(network.with_layer(layer, x)), dtype=np.float64)) for x in members]
    return EnsembleResult(np.stack(values), level, method)
