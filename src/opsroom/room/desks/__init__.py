"""The desks: one file a kind, named as in ``room.toml``. A desk reads a `View`, calls a method, returns cells."""
