"""The briefing: one day's story, key figures and figures as HTML, PDF, XLSX or JSON."""

from __future__ import annotations

from opsroom.faces.brief.briefing import Briefing, make_brief

__all__ = ["Briefing", "make_brief"]
