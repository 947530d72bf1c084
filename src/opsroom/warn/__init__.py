"""What is out of line with its own history: loans, credit, prices.

``from opsroom.warn.delinquency import delinquency`` and ``from opsroom.warn.credit_gap import credit_gap``.
"""
