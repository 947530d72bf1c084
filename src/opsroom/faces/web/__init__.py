"""The web room: pages drawn on the server from stored releases."""

from __future__ import annotations

from opsroom.faces.web.app import create_app

__all__ = ["create_app"]
