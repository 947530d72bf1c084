"""``public.json``: the room's description for those who are handed releases and nothing else."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opsroom.base.settings import RoomSettings
from opsroom.observe.erasures import erasures
from opsroom.observe.store import Store


def read_heads(path: Path) -> dict[str, str]:
    """Return the heads of the room's chains that stand in ``public.json``, by chain."""
    try:
        found = json.loads((path / "public.json").read_text(encoding="utf-8")).get("heads", {})
    except (FileNotFoundError, ValueError, AttributeError):
        return {}  # a new room, or a file that is written anew in a moment
    return {str(name): str(head) for name, head in found.items()}


def write_public(path: Path, settings: RoomSettings, store: Store, *, heads: Mapping[str, str] | None = None) -> None:
    """Write ``public.json``: what faces may know of the room (titles, regions, datasets, erasures; no rule values).

    Parameters
    ----------
    path
        The room's folder.
    settings, store
        What there is to say.
    heads
        New heads of the room's chains, by chain; the ones that stand there are kept where absent.
    """
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
    target = path / "public.json"
    if _is(target, _text(facts, heads if heads is not None else read_heads(path))):
        return
    # Alone: whoever only opens the room must not write back the heads that it read before a publication.
    with (path / ".public.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = _text(facts, heads if heads is not None else read_heads(path))
        if not _is(target, text):
            temporary = target.with_suffix(".tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)


def _text(facts: Mapping[str, Any], heads: Mapping[str, str]) -> str:
    whole = {**facts, "heads": dict(heads)} if heads else dict(facts)
    return json.dumps(whole, ensure_ascii=False, indent=1, default=str)


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text
