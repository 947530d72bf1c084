"""Ground floor: errors, periods, specifications, results, state, settings, charts. Imports nothing above."""
