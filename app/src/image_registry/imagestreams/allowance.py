"""What bytes a namespace may still take, asked while they come and before anything means them.

What :class:`~image_registry.imagestreams.service.ImageStreams` is for the registry's door and for reads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from image_registry.imagestreams.accounting import Accounts
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.limits import NAMESPACED, SIZE, STORAGE, Limits
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


class Allowance:
    """Every method may raise :class:`MetadataUnavailable`, and :class:`LimitsUnknown` where nobody knows the limits."""

    def __init__(self, accounts: Accounts, *, clock: Callable[[], datetime], limits: Callable[[str], Limits]) -> None:
        self._accounts, self._clock, self._limits = accounts, clock, limits

    def counts_bytes(self, repository: Repository) -> bool:
        """Whether limits of bytes make it worth knowing how large blobs really are."""
        return any(limit.resource in (SIZE, STORAGE) for limit in self._limits(repository.namespace))

    def expect(self, repository: Repository, upload_id: str, size: int, wanted: Digest | None = None) -> None:
        """An upload will have ``size`` bytes, which are reserved. Raises :class:`LimitExceeded`."""
        if given := self._limits(repository.namespace):
            with available():
                self._accounts.reserve(repository, upload_id, size, given, self._clock(), wanted)

    def admit(self, repository: Repository, digest: Digest, size: int, upload_id: str = "") -> None:
        """A blob is about to be linked into the repository. Raises :class:`LimitExceeded`."""
        if given := self._limits(repository.namespace):
            with available():
                self._accounts.admit(repository, digest, size, given, self._clock(), upload_id=upload_id)

    def release(self, repository: Repository, upload_id: str) -> None:
        """An upload ended without a blob: what was reserved for it is free."""
        if self._limits(repository.namespace):
            with available():
                self._accounts.release(upload_id)

    def usage(self, namespace: str, resources: Collection[str] = NAMESPACED) -> dict[str, int]:
        """What the namespace has, by the resource that limits name; bytes, the dearest, with what is reserved."""
        with available():
            return self._accounts.usage(namespace, self._clock(), resources)

    def forget_expired(self) -> int:
        """Give back bytes whose manifest did not come in time; how many reservations that were."""
        with available():
            return self._accounts.forget_expired(self._clock())
