"""What is going on now: work resumption, activity from load, a nowcast of output, late reports, restrictions.

``from opsroom.measure.resumption import resumption``, ``from opsroom.measure.activity import
activity_index``, ``from opsroom.measure.nowcast import nowcast``, ``from opsroom.measure.delays import
nowcast_delays``, ``from opsroom.measure.restriction import restriction_index`` and ``from
opsroom.measure.seasonal import seasonal_adjust``.
"""
