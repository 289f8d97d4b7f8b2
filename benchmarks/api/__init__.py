"""How the Image API does with as many objects as a large platform has: ``python -m benchmarks.api``."""

HOST = "image-registry.image-registry-system.svc:5000"
"""What the registry is called in references."""
