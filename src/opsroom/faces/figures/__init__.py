"""The figures: each drawn from releases as of a day, with its data, words and stamps."""

from __future__ import annotations

from opsroom.faces.figures.figure import Figure
from opsroom.faces.figures.registry import attempt, available, build, grouped

__all__ = ["Figure", "attempt", "available", "build", "grouped"]
