"""Whether there is still somebody to talk to: asked by answers that have no end of their own."""

OVER = "image_registry.over"
"""In the WSGI environment: a function that is true when the client is gone, or the process is leaving."""
