"""Another registry: what it holds, asked over the network with nothing believed that cannot be verified.

Level 1 of the house, for import, pull-through, mirroring and migration. It knows nothing of our own storage, streams or
cluster; who calls it brings the credentials and says which registries may be asked.
"""
