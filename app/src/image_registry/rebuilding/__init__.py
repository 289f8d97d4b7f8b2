"""Making the tables from storage: adoption in place of a tree of CNCF distribution, and recovery of a lost database.

Level 3. Knows nothing of HTTP; what it finds goes into the tables through the rules of ``imagestreams`` alone.
"""
