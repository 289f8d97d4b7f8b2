"""Values of the OCI specifications: digests, names, descriptors, manifests, errors.

Level 0 of the house: pure values without I/O. Everything above may import this room; it imports nothing of ours.
"""
