"""Images copied between registries and folders: looked at, planned, and then sent, each blob once.

Level 3 of the house. ``ac image mirror`` and the migration are doors to it. It knows nothing of clusters, streams or
our own storage: a registry here is whatever speaks the protocol.
"""
