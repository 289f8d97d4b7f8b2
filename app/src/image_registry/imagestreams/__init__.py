"""The rules: what a push, a tag or a delete does to Images, streams and tag history.

Level 2. Knows nothing of HTTP, SQL dialects or the Kubernetes wire format; every door (registry, Image API, commands)
comes through here, so a rule exists once.
"""
