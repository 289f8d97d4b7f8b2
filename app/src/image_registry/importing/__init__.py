"""Images of other registries: importing them into streams, once or again and again, and pulling them through.

Level 3 of the house: what ``remote`` finds is given to the rules in ``imagestreams``, and ``storage`` keeps it.
"""
