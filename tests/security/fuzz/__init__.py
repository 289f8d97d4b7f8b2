"""Malformed requests and raw bytes against a served registry, without end: ``make fuzz DURATION=600 SEED=…``."""
