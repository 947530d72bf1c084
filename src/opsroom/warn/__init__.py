"""What is out of line with its own history: loans, credit, prices; and how often such warnings were right.

``from opsroom.warn.delinquency import delinquency``, ``from opsroom.warn.credit_gap import credit_gap`` and
``from opsroom.warn.early_warning import track_record``.
"""
