"""LPPLS: a clear word where the extra is absent; with it, a planted run-up is seen and draws can be repeated."""

from __future__ import annotations

import random
from importlib.util import find_spec

import numpy as np
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.exuberance import lppls_confidence, singularity

absent = pytest.mark.skipif(find_spec("lppls") is None, reason="the extra lppls is not installed")


def test_an_extra_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singularity, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"opsroom\[lppls\]") as caught:
        lppls_confidence(np.ones(200))
    assert caught.value.code == "OPS-U353"


def test_what_cannot_be_fitted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singularity, "find_spec", lambda _: object())
    with pytest.raises(FitError, match="positive prices"):
        lppls_confidence(np.zeros(200))
    with pytest.raises(FitError, match="120"):
        lppls_confidence(np.ones(50))
    with pytest.raises(UsageError, match="windows"):
        lppls_confidence(np.ones(200), smallest=5)


@pytest.mark.long
@absent
def test_a_planted_run_up_is_seen() -> None:
    rng = np.random.default_rng(0)
    t, end = np.arange(120.0), 130.0
    log_price = 6.0 - 0.05 * (end - t) ** 0.6 * (1.0 + 0.08 * np.cos(8.0 * np.log(end - t))) + rng.normal(0, 0.002, 120)
    given = {"window": 120, "smallest": 100, "inner": 10, "searches": 10}
    state = random.getstate()
    found = lppls_confidence(np.exp(log_price), **given)  # type: ignore[arg-type]  # by name
    assert random.getstate() == state
    assert list(found.confidence.index) == [119]
    assert len(found.fits) == 3
    assert found.confidence["positive"].iloc[0] > 0.0
    assert found.confidence["negative"].iloc[0] == 0.0
    again = lppls_confidence(np.exp(log_price), **given)  # type: ignore[arg-type]  # by name
    assert again.fits.equals(found.fits)
    assert "no known error rate" in found.summary()
    assert "lppls" in found.cite()
