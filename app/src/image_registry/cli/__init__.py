"""The ``ac`` command.

Level 5. Knows nothing of ``server``.
"""
