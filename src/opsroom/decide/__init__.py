"""What can be done, for whom, at whose expense: instruments compared with doing nothing.

One instrument is a folder or file of its own: ``from opsroom.decide.relief import relief, Holiday``.
"""
