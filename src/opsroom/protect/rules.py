"""Primary rules: which quantities betray a contributor by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import SettingsError
from opsroom.base.results import TOP

Numbers = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
ZeroCells = Literal["publish", "suppress"]
Attackers = Literal["outsider", "contributor", "coalition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A named, versioned profile of primary rules.

    Which published number would betray a company? Values are customary and set by the room's
    steward; they are part of no release, since knowing them helps an attacker.

    Attributes
    ----------
    min_contributors
        A quantity needs this many enterprise groups with a non-zero contribution.
    dominance
        (n, k) rules: sensitive when the n largest groups (n ≤ 3) hold more than k % of the total
        of absolute contributions.
    p_percent
        Sensitive when the total without the two largest is less than p % of the largest: the second
        could estimate the first closer than p %. Where coalitions are attackers, without the three largest.
        None switches the rule off.
    min_share_side
        A share needs this many groups on either side, so that 0 % and 100 % are refused.
        None: as `min_contributors`.
    zero_cells
        What happens to a count or sum to which nobody contributes. Such a side of a share is always
        refused.
    interval
        Half the width of the protection interval, in per cent of the value, of a quantity with too few
        contributors; of one that a magnitude rule finds sensitive it is what that rule asks for.
    attackers
        Who must not be able to estimate a sensitive quantity: an ``outsider``; a ``contributor``, too, who knows
        what it contributes, and all of what it alone contributes to; or a ``coalition``, too, of the second and
        third largest contributor of a sensitive quantity, who pool what they know of everything.
    group
        Column of the enterprise group (the holding) in microdata, for callers that make tables from microdata.
    waiver
        Column of microdata that says which groups have agreed to be recognised. A quantity is not sensitive on
        their account.
    request
        Column of microdata that says which groups have asked to be protected. Where it is given, a quantity
        is sensitive only if one of its three largest contributors has (passive confidentiality).
    profile, version
        Name and version of the profile, stamped on releases.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4.
    """

    min_contributors: int = 3
    dominance: tuple[tuple[int, float], ...] = ((2, 85.0),)
    p_percent: float | None = None
    min_share_side: int | None = None
    zero_cells: ZeroCells = "publish"
    interval: float = 15.0
    attackers: Attackers = "contributor"
    group: str | None = None
    waiver: str | None = None
    request: str | None = None
    profile: str = "business"
    version: int = 1

    def __post_init__(self) -> None:
        def refuse(what: str) -> SettingsError:
            return SettingsError(f"rules: {what}.", remedy="Correct [rules] in room.toml.", code="OPS-C010")

        if self.min_contributors < 1:
            raise refuse("min_contributors is below 1")
        if self.min_share_side is not None and self.min_share_side < 1:
            raise refuse("min_share_side is below 1")
        for n, k in self.dominance:
            if not 1 <= n <= TOP:
                raise refuse(f"a dominance rule counts the largest 1 to {TOP} contributors")
            if not 0 < k <= 100:
                raise refuse("a dominance limit is a per cent above 0 and at most 100")
        if self.p_percent is not None and not 0 < self.p_percent <= 100:
            raise refuse("p_percent is a per cent above 0 and at most 100")
        if self.zero_cells not in ("publish", "suppress"):
            raise refuse("zero_cells is 'publish' or 'suppress'")
        if not 0 < self.interval <= 100:
            raise refuse("interval is a per cent above 0 and at most 100")
        if self.attackers not in ("outsider", "contributor", "coalition"):
            raise refuse("attackers is 'outsider', 'contributor' or 'coalition'")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Rules:
        """Read ``[rules]`` of ``room.toml``: a profile's name and what differs from it.

        Parameters
        ----------
        settings
            ``profile`` (``business``, ``strict`` or ``public``) and any attribute of `Rules`;
            ``dominance`` as a list of ``[n, k]``.

        Raises
        ------
        SettingsError
            If the profile or a key is unknown, or a value cannot be.
        """
        given = dict(settings)
        name = str(given.pop("profile", "business"))
        if name not in PROFILES:
            raise SettingsError(
                f"room.toml names an unknown profile of rules {name!r}.",
                remedy=f"Use one of: {', '.join(PROFILES)}.",
                code="OPS-C010",
            )
        allowed = {f.name for f in fields(cls)} - {"profile"}
        if unknown := sorted(set(given) - allowed):
            raise SettingsError(
                f"room.toml: [rules] has unknown key(s) {', '.join(unknown)}.",
                remedy=f"Use: {', '.join(sorted(allowed))}.",
                code="OPS-C010",
            )
        base = {f.name: getattr(PROFILES[name], f.name) for f in fields(cls)}
        try:
            if "dominance" in given:
                given["dominance"] = tuple((int(n), float(k)) for n, k in given["dominance"])
            return cls(**{**base, **given})
        except (TypeError, ValueError):
            raise SettingsError(
                "room.toml: a value in [rules] has the wrong type.",
                remedy="Write, for example, dominance = [[2, 85]].",
                code="OPS-C010",
            ) from None

    def sensitive(self, value: Numbers, groups: Numbers, tops: Numbers, absolute: Numbers | None = None) -> Flags:
        """Say which quantities are sensitive by themselves.

        Parameters
        ----------
        value, groups
            Sum and number of contributing groups, shape (n,).
        tops
            Largest absolute contributions of a group, shape (n, 3), descending.
        absolute
            Sum of absolute contributions, shape (n,). Where it is not given it is taken as small as it
            can be, which errs towards suppression.

        Returns
        -------
        numpy.ndarray of bool, shape (n,)
        """
        count = np.asarray(groups, dtype=np.float64)
        largest = np.asarray(tops, dtype=np.float64)
        total = np.maximum(np.abs(np.asarray(value, dtype=np.float64)), largest.sum(axis=1))
        if absolute is not None:
            total = np.fmax(total, np.asarray(absolute, dtype=np.float64))
        flags: Flags = (count > 0) & (count < self.min_contributors)
        for n, k in self.dominance:
            flags |= (count > 0) & (largest[:, :n].sum(axis=1) * 100 > k * total * (1 + 1e-12))
        if self.p_percent is not None:
            remainder = total - largest[:, 0] - largest[:, 1]
            if self.attackers == "coalition":
                remainder = remainder - largest[:, 2]
            flags |= (count > 0) & (remainder * 100 < self.p_percent * largest[:, 0])
        if self.zero_cells == "suppress":
            flags |= count == 0
        return flags

    def width(self, value: Numbers, groups: Numbers, tops: Numbers, absolute: Numbers | None = None) -> Numbers:
        """Say how far on either side nobody may come to a sensitive quantity.

        Parameters
        ----------
        value, groups, tops, absolute
            As in `sensitive`.

        Returns
        -------
        numpy.ndarray, shape (n,)
            Half the width of the protection interval, the largest that a rule asks for; 0 where none finds
            the quantity sensitive.

        Notes
        -----
        An estimate of the total to within w tells a contributor who knows its own part those of the others to
        within w. With (n, k) dominance that must not be closer than ``100 / k`` times the n largest less the total;
        with p per cent not closer than p % of the largest less what the others hide of it (Hundepool et al. 2012,
        table 4.3).
        """
        count = np.asarray(groups, dtype=np.float64)
        largest = np.asarray(tops, dtype=np.float64)
        total = np.maximum(np.abs(np.asarray(value, dtype=np.float64)), largest.sum(axis=1))
        if absolute is not None:
            total = np.fmax(total, np.asarray(absolute, dtype=np.float64))
        few = (count > 0) & (count < self.min_contributors)
        found = np.where(few, self.interval / 100 * total, 0.0)
        for n, k in self.dominance:
            found = np.maximum(found, 100 / k * largest[:, :n].sum(axis=1) - total)
        if self.p_percent is not None:
            rest = total - largest[:, 0] - largest[:, 1]
            if self.attackers == "coalition":
                rest = rest - largest[:, 2]
            found = np.maximum(found, self.p_percent / 100 * largest[:, 0] - rest)
        if self.zero_cells == "suppress":
            found = np.where(count == 0, np.maximum(found, 1.0), found)
        width: Numbers = np.where(count > 0, found, np.where(self.zero_cells == "suppress", found, 0.0))
        return width

    def one_sided(self, groups: Numbers, rest_groups: Numbers) -> Flags:
        """Say which shares have too few groups on one side; a share of nothing is not sensitive."""
        least = self.min_share_side or self.min_contributors
        inside, outside = np.asarray(groups), np.asarray(rest_groups)
        flags: Flags = ((inside < least) | (outside < least)) & (inside + outside > 0)
        return flags

    def change_rules(self) -> Rules:
        """Return the rules for a table of changes: never without a rule on magnitudes."""
        if self.dominance or self.p_percent is not None:
            return self
        base = {f.name: getattr(self, f.name) for f in fields(self)}
        return Rules(**{**base, "p_percent": 10.0})


BUSINESS = Rules()
STRICT = Rules(
    min_contributors=10,
    dominance=((1, 75.0), (2, 85.0)),
    p_percent=10.0,
    zero_cells="suppress",
    profile="strict",
)
PUBLIC = Rules(min_contributors=1, dominance=(), profile="public")

PROFILES: Mapping[str, Rules] = {"business": BUSINESS, "strict": STRICT, "public": PUBLIC}
"""``public`` stamps results of public data only: the gate never applies it to confidential cells."""
