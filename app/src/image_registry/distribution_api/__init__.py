"""The OCI Distribution HTTP API: ``/v2/`` and the token endpoint.

Level 4. Thin: parses requests into values of ``oci`` and calls the rules. Knows nothing of ``image_api``.
"""
