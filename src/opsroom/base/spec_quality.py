"""What a dataset's specification says of its quality: the table ``[quality]``."""

from __future__ import annotations

from dataclasses import dataclass

from opsroom.base.spec_toml import failure


@dataclass(frozen=True, slots=True)
class QualitySpec:
    """How each delivery of a dataset is assessed, and when that raises an alarm.

    Attributes
    ----------
    report
        Assess each delivery after its commit. Rows are counted and reconciled either way.
    fields
        Numeric fields whose values are watched; where absent, the first six that are not part of the key.
    promised_lag_days
        Days from the end of the reference period within which the provider promised to deliver; where absent,
        its own habit is the measure.
    missing_share
        Alarm where a share of the expected series that is larger by this than the habit is missing from the newest
        period; where absent, 0.05, and of public datasets 0: there each series counts.
    row_drop
        Alarm where a delivery holds fewer rows than this share of the smallest of the last twelve.
    frozen_periods
        Identical values of a series that count as frozen; 0: five, of quarters and years four.
    frozen_share
        Alarm where more than this share of the series is frozen and at most half as many were before; where absent,
        0.2, and of public datasets 0.
    drift
        Alarm where the population stability index against the deliveries before exceeds it.
    outlier_scale
        Robust standard deviations from the median log-ratio beyond which a series is an outlier.
    outlier_share
        Alarm where a share of the series that is larger by this than the habit are outliers.
    sample_rows
        Rows of the delivery or of the baseline beyond which a sample of the series is measured, drawn by a hash of
        the key, so that about so many remain; 0: all series always.
    """

    report: bool = True
    fields: tuple[str, ...] = ()
    promised_lag_days: int | None = None
    missing_share: float | None = None
    row_drop: float = 0.5
    frozen_periods: int = 0
    frozen_share: float | None = None
    drift: float = 0.25
    outlier_scale: float = 6.0
    outlier_share: float = 0.05
    sample_rows: int = 250_000

    def __post_init__(self) -> None:
        for name in ("missing_share", "row_drop", "frozen_share", "outlier_share"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise failure("[quality]", f"{name} is a share between 0 and 1.", "Correct it.")
        if self.drift <= 0 or self.outlier_scale <= 0:
            raise failure("[quality]", "drift and outlier_scale are above 0.", "Correct them.")
        if self.sample_rows < 0:
            raise failure("[quality]", "sample_rows is not negative.", "Correct it.")
        if self.frozen_periods < 0 or self.frozen_periods == 1:
            raise failure("[quality]", "frozen_periods is 2 or more, or 0 for the default.", "Correct it.")
        if self.promised_lag_days is not None and self.promised_lag_days < 0:
            raise failure("[quality]", "promised_lag_days is not negative.", "Correct it.")

    def missing(self, *, confidential: bool) -> float:
        """Return `missing_share`, or what it is where nothing is said."""
        return (0.05 if confidential else 0.0) if self.missing_share is None else self.missing_share

    def frozen(self, *, confidential: bool) -> float:
        """Return `frozen_share`, or what it is where nothing is said."""
        return (0.2 if confidential else 0.0) if self.frozen_share is None else self.frozen_share


USUAL_QUALITY = QualitySpec()
"""What holds where the specification says nothing."""
