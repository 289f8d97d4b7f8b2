"""What keeps the cluster in its desired state: certificates and node trust.

Level 4. Knows nothing of HTTP servers.
"""
