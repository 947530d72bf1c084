"""What is going on now: work resumption, activity from load, a nowcast of output.

``from opsroom.measure.resumption import resumption``, ``from opsroom.measure.activity import
activity_index`` and ``from opsroom.measure.nowcast import nowcast``.
"""
