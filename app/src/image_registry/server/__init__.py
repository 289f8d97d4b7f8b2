"""Processes: settings, wiring, gunicorn profiles, health, logging.

Level 5: the only place that builds objects and hands them to the rooms below.
"""

from image_registry.server.lean import import_without

import_without("rich", "structlog")
