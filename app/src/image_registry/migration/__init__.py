"""From a registry of the platform's first generations to this one.

Discover, assess, plan: three functions with data in between, and none of them writes anything anywhere. What a later
phase does is written in the plan before it begins, step by step, and what it did is written in a journal.

Level 3, above its neighbours: it asks ``pruning`` who uses what and ``rebuilding`` what lies in a storage.
"""
