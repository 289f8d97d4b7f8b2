"""Blob bytes in the layout of CNCF distribution (design, D2).

Level 1. Knows nothing of SQL or Kubernetes.
"""
