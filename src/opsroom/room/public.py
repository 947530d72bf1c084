"""``public.json``: the room's description for those who are handed releases and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from opsroom.base.settings import RoomSettings
from opsroom.observe.erasures import erasures
from opsroom.observe.store import Store


def write_public(path: Path, settings: RoomSettings, store: Store) -> None:
    """Write ``public.json``: what faces may know of the room (titles, regions, datasets, erasures; no rule values)."""
    gone = [
        {"number": e.number, "dataset": e.dataset, "from_version": e.from_version, "version": e.version}
        for e in erasures(store.state)
    ]
    datasets = {
        name: {
            "title": spec.title,
            "provider": spec.provider,
            "licence": spec.licence,
            "source": spec.source,
            "frequency": spec.frequency,
            "confidential": spec.confidential,
            "unit": spec.unit,
            "legal_basis": spec.legal_basis,
        }
        for name, spec in sorted(store.specs.items())
    }
    facts = {**settings.public(), "datasets": datasets, **({"erasures": gone} if gone else {})}
    text = json.dumps(facts, ensure_ascii=False, indent=1, default=str)
    target = path / "public.json"
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        temporary = target.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
