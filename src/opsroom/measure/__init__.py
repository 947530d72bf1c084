"""What is going on now: work resumption, activity from load, a composite weekly index, four flows, a nowcast of output.

``from opsroom.measure.resumption import resumption``, ``from opsroom.measure.activity import activity_index``,
``from opsroom.measure.composite import composite``, ``from opsroom.measure.flows import flows`` and
``from opsroom.measure.nowcast import nowcast``.
"""
