"""How far the room missed: decisions with their forecasts, and the scores of what was said.

``from opsroom.evaluate.decisions import Decision, record, load, score`` and
``from opsroom.evaluate.forecasts import score_vintages``.
"""
