"""What is stored in SQL: tables, migrations, queries, the revision log and the outbox (design, D1, D7).

Level 1. Knows nothing of Kubernetes or HTTP.
"""
