"""Which action is done by what."""

from __future__ import annotations

from image_registry.migration.actions import Doer
from image_registry.migration.adopting import Backfill, RenameImages
from image_registry.migration.binding import Bind
from image_registry.migration.copying import CopyImages
from image_registry.migration.gating import Gate
from image_registry.migration.installing import Install
from image_registry.migration.object_actions import Apply, Delete, Patch, Save
from image_registry.migration.phases import Action
from image_registry.migration.release_giving import GiveBack
from image_registry.migration.release_holding import HoldRelease
from image_registry.migration.secret_actions import CopySecret
from image_registry.migration.tags_since import CompareTags
from image_registry.migration.waiting import ByHand, Wait

DOERS: dict[Action, Doer] = {
    Action.APPLY: Apply(),
    Action.PATCH: Patch(),
    Action.HOLD: HoldRelease(),
    Action.GIVE_BACK: GiveBack(),
    Action.DELETE: Delete(),
    Action.SAVE: Save(),
    Action.COPY_SECRET: CopySecret(),
    Action.INSTALL: Install(),
    Action.BIND: Bind(),
    Action.WAIT: Wait(),
    Action.BY_HAND: ByHand(),
    Action.COPY_IMAGES: CopyImages(),
    Action.RENAME_IMAGES: RenameImages(),
    Action.BACKFILL: Backfill(),
    Action.COMPARE_TAGS: CompareTags(),
    Action.GATE: Gate(),
}
