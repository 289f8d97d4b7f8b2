"""Who calls, and what they may do (design, D5).

Level 2. Knows nothing of HTTP routes.
"""
