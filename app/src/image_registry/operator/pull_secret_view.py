"""ServiceAccounts, their Secrets and bindings as they were last seen: a few words about each, never a token.

Filled by lists and watches, and by the answers to our own writes. What is older than what is known is not believed,
so a watch that is behind can not take back what has just been written. But what a list shows that began later than a
thing was seen is believed whatever its version: a cluster that was restored from a backup counts from an older one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from image_registry.operator import pull_secret_content as content
from image_registry.operator.pull_secret_plan import Account, BindingState, Held, binding_state

Item = Mapping[str, Any]
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Seen(Generic[V]):
    value: V
    version: int
    when: float


class _Store(Generic[K, V]):
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[K, _Seen[V]] = {}

    def put(self, key: K, value: V, version: str, begun: float = -math.inf) -> bool:
        """Says whether it is news; ``begun`` is when the question was asked, if that is known."""
        known, number = self._seen.get(key), _number(version)
        if known is not None and number > 0:
            behind = known.version > number and known.when >= begun
            if known.version == number or behind:
                return False
        self._seen[key] = _Seen(value, number, self._clock())
        return True

    def remove(self, key: K) -> V | None:
        known = self._seen.pop(key, None)
        return None if known is None else known.value

    def get(self, key: K) -> V | None:
        known = self._seen.get(key)
        return None if known is None else known.value

    def vanished(self, there: set[K], begun: float) -> list[K]:
        """What a list that began then did not show, and nobody has seen since."""
        return [key for key, seen in self._seen.items() if key not in there and seen.when < begun]

    def keys(self) -> list[K]:
        return list(self._seen)

    def values(self) -> list[V]:
        return [seen.value for seen in self._seen.values()]


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


def account_of(item: Item) -> Account:
    """A ServiceAccount in the words of the plan."""
    metadata = item.get("metadata") or {}
    return Account(
        namespace=str(metadata.get("namespace")),
        name=str(metadata.get("name")),
        uid=str(metadata.get("uid")),
        version=str(metadata.get("resourceVersion")),
        pulls=tuple(str(entry.get("name")) for entry in item.get("imagePullSecrets") or ()),
        reference=str((metadata.get("annotations") or {}).get(content.REFERENCE) or ""),
        ending=bool(metadata.get("deletionTimestamp")),
    )


def held_of(item: Item) -> Held:
    """A Secret in the words of the plan; ``account`` is empty if it says of none that it is theirs."""
    metadata = item.get("metadata") or {}
    owners = [one for one in metadata.get("ownerReferences") or () if one.get("kind") == "ServiceAccount"]
    notes = metadata.get("annotations") or {}
    name = str(metadata.get("name"))
    account = str(notes.get(content.ACCOUNT) or (owners[0].get("name") if owners else ""))
    owner = str(owners[0].get("uid")) if len(owners) == 1 else ""
    right_type = item.get("type") == content.TYPE and not item.get("immutable")
    wanted = content.metadata(account, owner)
    marked = all(
        (metadata.get(part) or {}).get(key) == value
        for part in ("labels", "annotations")
        for key, value in wanted[part].items()
    )
    return Held(
        namespace=str(metadata.get("namespace")),
        name=name,
        uid=str(metadata.get("uid")),
        version=str(metadata.get("resourceVersion")),
        account=account,
        marked=marked,
        owner=owner,
        right_type=right_type,
        content=content.read(item),
    )


class View:
    """Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: _Store[tuple[str, str], Account] = _Store(clock)
        self._secrets: _Store[tuple[str, str], Held] = _Store(clock)
        self._bindings: _Store[str, BindingState] = _Store(clock)
        self._namespaces: _Store[str, bool] = _Store(clock)
        self._of: dict[tuple[str, str], set[str]] = defaultdict(set)

    def account(self, namespace: str, name: str) -> tuple[Account | None, list[Held]]:
        """A ServiceAccount and the Secrets that say they are its own."""
        with self._lock:
            names = self._of.get((namespace, name), ())
            found = [held for one in names if (held := self._secrets.get((namespace, one))) is not None]
            return self._accounts.get((namespace, name)), found

    def binding(self, namespace: str) -> BindingState | None:
        """The RoleBinding of a namespace."""
        with self._lock:
            return self._bindings.get(namespace)

    def is_active(self, namespace: str) -> bool:
        """Whether a namespace takes new objects; one that was not told of yet is new."""
        with self._lock:
            return self._namespaces.get(namespace) is not False

    def knows(self, namespace: str) -> bool:
        """Whether a namespace was told of, and not that it is gone."""
        with self._lock:
            return self._namespaces.get(namespace) is not None

    def accounts(self) -> list[tuple[str, str]]:
        """Every ServiceAccount that exists, or of which a Secret does."""
        with self._lock:
            known = {(one.namespace, one.name) for one in self._accounts.values()}
            return sorted(known | set(self._of))

    def namespaces(self) -> list[str]:
        """All of them."""
        with self._lock:
            return sorted(self._namespaces.keys())

    def held(self) -> list[Held]:
        """All Secrets."""
        with self._lock:
            return self._secrets.values()

    def put_account(self, item: Item, begun: float = -math.inf) -> Account | None:
        """``None`` if it was known."""
        account = account_of(item)
        with self._lock:
            news = self._accounts.put((account.namespace, account.name), account, account.version, begun)
        return account if news else None

    def remove_account(self, namespace: str, name: str) -> None:
        """It is gone."""
        with self._lock:
            self._accounts.remove((namespace, name))

    def put_secret(self, item: Item, begun: float = -math.inf) -> Held | None:
        """``None`` if it was known, or is nobody's."""
        held = held_of(item)
        place = (held.namespace, held.name)
        with self._lock:
            before = self._secrets.get(place)
            if not held.account or not self._secrets.put(place, held, held.version, begun):
                return None
            if before is not None:
                self._forget(before)
            self._of[held.namespace, held.account].add(held.name)
        return held

    def remove_secret(self, namespace: str, name: str) -> str:
        """It is gone, or has lost its label; the ServiceAccount whose it was."""
        with self._lock:
            held = self._secrets.remove((namespace, name))
            if held is None:
                return ""
            self._forget(held)
            return held.account

    def put_binding(self, item: Item, begun: float = -math.inf) -> None:
        """A RoleBinding of our name."""
        metadata = item.get("metadata") or {}
        version = str(metadata.get("resourceVersion"))
        with self._lock:
            self._bindings.put(str(metadata.get("namespace")), binding_state(item), version, begun)

    def remove_binding(self, namespace: str) -> None:
        """It is gone."""
        with self._lock:
            self._bindings.remove(namespace)

    def put_namespace(self, item: Item, begun: float = -math.inf) -> None:
        """By its metadata."""
        metadata = item.get("metadata") or {}
        active = not metadata.get("deletionTimestamp")
        with self._lock:
            self._namespaces.put(str(metadata.get("name")), active, str(metadata.get("resourceVersion")), begun)

    def remove_namespace(self, name: str) -> None:
        """It is gone."""
        with self._lock:
            self._namespaces.remove(name)

    def sweep(self, resource: str, there: set[tuple[str, str]], begun: float) -> list[tuple[str, str]]:
        """Forget what a whole list of ``resource`` did not show; namespaces and names of it."""
        with self._lock:
            if resource == "serviceaccounts":
                gone = self._accounts.vanished(there, begun)
            elif resource == "secrets":
                gone = self._secrets.vanished(there, begun)
            elif resource == "rolebindings":
                spaces = {namespace for namespace, _ in there}
                gone = [(namespace, "") for namespace in self._bindings.vanished(spaces, begun)]
            else:
                gone = [("", name) for name in self._namespaces.vanished({name for _, name in there}, begun)]
        for namespace, name in gone:
            self.remove(resource, namespace, name)
        return gone

    def remove(self, resource: str, namespace: str, name: str) -> str:
        """Forget one thing; for a Secret, the ServiceAccount whose it was."""
        if resource == "secrets":
            return self.remove_secret(namespace, name)
        if resource == "serviceaccounts":
            self.remove_account(namespace, name)
        elif resource == "rolebindings":
            self.remove_binding(namespace)
        else:
            self.remove_namespace(name)
        return ""

    def _forget(self, held: Held) -> None:
        names = self._of[held.namespace, held.account]
        names.discard(held.name)
        if not names:
            del self._of[held.namespace, held.account]
