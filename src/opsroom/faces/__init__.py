"""The only face of the room: briefing, web room, API and command line. Faces read stored releases."""
