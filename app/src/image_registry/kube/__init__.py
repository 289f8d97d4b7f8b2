"""The cluster as this house needs it: a small client, token and access reviews.

Level 1. Knows nothing of SQL.
"""
