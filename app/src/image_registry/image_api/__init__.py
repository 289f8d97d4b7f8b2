"""The aggregated API ``image.alauda.io/v1``: discovery, OpenAPI, negotiation, verbs, tables (design, D6).

Level 4. Knows nothing of ``distribution_api``.
"""
