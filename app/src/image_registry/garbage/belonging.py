"""Whether these tables and this storage are those of one registry.

How much is garbage says little about that: whoever may push can make as much of it as they like, and nobody else's
bytes may stay because of them. What repositories hold says it: a manifest that is linked in storage stands in the
tables, and the other way round. Nobody makes the two differ by pushing or deleting; another database, an old one or
another storage does.
"""

from __future__ import annotations

from image_registry.imagestreams.inventory import Inventory
from image_registry.storage.blob_store import BlobStore

MOST_STRANGE = 0.5
"""The part of all manifests that only one side may know."""


def belong_together(store: BlobStore, inventory: Inventory) -> bool:
    """Whether both sides know most of what either knows, and at least something.

    Repositories that are to be cleaned say nothing: their links are older than their rows. Nor do imported manifests
    that nobody has fetched. May raise ``StorageFault`` and ``DatabaseUnavailable``.
    """
    waiting = inventory.to_be_cleaned()
    both = strange = 0
    for repository in {*inventory.repositories(), *store.repositories()} - waiting:
        known, linked = inventory.kept(repository).manifests, store.held(repository).manifests
        both += len(known & linked)
        strange += len(linked - known)
        if missing := known - linked:
            imported = inventory.imported(repository)
            strange += sum(str(digest) not in imported for digest in missing)
    return both > 0 and strange <= MOST_STRANGE * (both + strange)
