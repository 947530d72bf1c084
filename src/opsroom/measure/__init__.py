"""What is going on now, from meters, payments, filings, loads and series, each figure with its uncertainty.

``from opsroom.measure.resumption import resumption``, ``from opsroom.measure.activity import activity_index``,
``from opsroom.measure.composite import composite``, ``from opsroom.measure.flows import flows``,
``from opsroom.measure.nowcast import nowcast``, ``from opsroom.measure.delays import nowcast_delays``,
``from opsroom.measure.restriction import restriction_index`` and
``from opsroom.measure.seasonal import seasonal_adjust``.
"""
