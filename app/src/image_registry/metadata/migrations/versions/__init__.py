"""Alembic migrations of the metadata schema, run by :mod:`image_registry.metadata.schema`."""
