"""Which file systems write names in the order in which they were made.

ext4 and XFS log changes of names in one sequence: whoever waits for the newest of them has waited for all that came
before, made by whichever thread. One sync of the last folder is then as good as one of each, and a push makes seven
names. The rest (btrfs, ZFS, network file systems) promise only what POSIX does, so there each folder is synced.
"""

from __future__ import annotations

import os

ORDERED = frozenset({"ext3", "ext4", "xfs"})


LOCAL = ORDERED | {"ext2", "btrfs", "f2fs", "overlay", "tmpfs"}
"""Those that answer a question about a name without asking another machine."""


def keeps_order(path: str, mounts: str = "/proc/self/mountinfo") -> bool:
    """Whether ``path`` lies on one of :data:`ORDERED`; false where nobody can say."""
    return _is_on(ORDERED, path, mounts)


def is_local(path: str, mounts: str = "/proc/self/mountinfo") -> bool:
    """Whether ``path`` lies on one of :data:`LOCAL`; false where nobody can say."""
    return _is_on(LOCAL, path, mounts)


def _is_on(kinds: frozenset[str], path: str, mounts: str) -> bool:
    try:
        device = os.stat(path).st_dev
        with open(mounts, encoding="utf-8", errors="replace") as lines:
            return any(_kind(line, f"{os.major(device)}:{os.minor(device)}") in kinds for line in lines)
    except OSError:
        return False


def _kind(line: str, device: str) -> str:
    """The type of file system of a line of ``mountinfo(5)``, if it is about this device."""
    before, _, after = line.partition(" - ")
    fields = before.split(" ", 3)
    return after.split(" ", 1)[0] if len(fields) > 3 and fields[2] == device else ""


def is_one_device(folder: str) -> bool:
    """Whether everything in a folder lies on the file system of the folder itself: one may be a mount, or a link."""
    device = os.stat(folder).st_dev
    with os.scandir(folder) as entries:
        return all(os.stat(entry.path).st_dev == device for entry in entries)
