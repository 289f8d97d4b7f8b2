"""A legacy registry for tests: the objects of the platform's first generations around Debian's docker-registry.

The names are those that are documented. Where nothing is documented the shape is an assumption, and the same one
everywhere: ``objects`` is also what tests without a cluster discover.
"""
