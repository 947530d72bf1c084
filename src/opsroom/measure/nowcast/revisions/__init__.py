"""Revisions: how a published figure will still change, and what its final value will be."""
