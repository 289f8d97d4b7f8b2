"""``make bench``: the registry measured beside its peers, on one machine, in one interleaved run."""
