"""What keeps the cluster in its desired state: certificates, node trust, and the release that Config describes.

Level 4. Knows nothing of HTTP servers.
"""
