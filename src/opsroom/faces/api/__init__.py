"""The API: a machine-readable twin of every page."""

from __future__ import annotations

from opsroom.faces.api.app import create_api

__all__ = ["create_api"]
