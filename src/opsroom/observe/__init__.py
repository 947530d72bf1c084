"""Observe: deliveries are checked, compared with what is known, and kept for ever, readable as of any day."""
