"""Alembic's entry: uses the connection that ``schema.upgrade`` hands over, inside its transaction."""

from alembic import context

from image_registry.metadata.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
