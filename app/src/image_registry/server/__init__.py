"""Processes: settings, wiring, gunicorn profiles, health, logging.

Level 5: the only place that builds objects and hands them to the rooms below.
"""
