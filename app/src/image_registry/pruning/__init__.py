"""What may go, what stays and because of whom: usage, rules, a plan that is data, and the one who carries it out.

Knows nothing of HTTP and prints nothing; ``ac adm prune images`` is one door to it.
"""
