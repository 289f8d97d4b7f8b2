"""The tables. Their history is in ``migrations/``; a test keeps both equal.

One row per tag and per event instead of one big object per stream: a push touches what it changes, a list costs what
its page holds, and no object grows towards a size limit (parity reference 8.6).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
    text,
)

Record: TypeAlias = Row[*tuple[Any, ...]]
"""A row of any shape; the query that answers with it says what is in it."""

BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column of type INTEGER."""

Name = String(255, collation="C").with_variant(String(255), "sqlite")
"""Text compared byte by byte in both databases, so that pages have one order everywhere."""

Text = String().with_variant(String(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

image_streams = Table(
    "image_streams",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("namespace", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("uid", String(36), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("lookup_local", Boolean, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("resource_version", BigInteger, nullable=False),
    Column("owner_references", JSON(none_as_null=True), nullable=True),
    Column("finalizers", JSON(none_as_null=True), nullable=True),
    Column("managed_fields", JSON(none_as_null=True), nullable=True),
    Column("deleted", DateTime(timezone=True), nullable=True),
    Column("source_repository", Text, nullable=True),
    Column("generate_name", Text, nullable=True),
    UniqueConstraint("namespace", "name"),
)

images = Table(
    "images",
    metadata,
    Column("digest", Name, primary_key=True),
    Column("uid", String(36), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("resource_version", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("manifest_size", BigInteger, nullable=False),
    Column("content_size", BigInteger, nullable=False),
    Column("config", Name, nullable=True),
    Column("layers", JSON, nullable=False),
    Column("manifests", JSON, nullable=False),
    Column("docker_metadata", JSON, nullable=False),
    Column("artifact_type", Text, nullable=False),
    Column("subject", Name, nullable=True),
    Column("owner_references", JSON(none_as_null=True), nullable=True),
    Column("finalizers", JSON(none_as_null=True), nullable=True),
    Column("managed_fields", JSON(none_as_null=True), nullable=True),
    Column("deleted", DateTime(timezone=True), nullable=True),
    Column("generate_name", Text, nullable=True),
    Index("ix_images_subject", "subject"),
)

held_manifests = Table(
    "held_manifests",
    metadata,
    Column("stream_id", BigId, ForeignKey("image_streams.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Name, ForeignKey("images.digest"), primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("pushed", DateTime(timezone=True), nullable=False),
    Column("pushed_by", Text, nullable=False),
    Index("ix_held_manifests_digest", "digest"),
)
"""Which manifests a repository holds: tagged, listed by an index, or pushed by digest; who pushed them first.

``pushed`` is when the repository got it, and later when it was pushed again without a tag: what prunes looks at it.

A digest is served from a repository only if it has a row here: an index that lists a digest which was never pushed to
this repository must not open somebody else's image. The foreign key makes an Image that a stream holds undeletable.
"""

pulls = Table(
    "pulls",
    metadata,
    Column("stream_id", BigId, primary_key=True),
    Column("digest", Name, primary_key=True),
    Column("pulled", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["stream_id", "digest"], ["held_manifests.stream_id", "held_manifests.digest"], ondelete="CASCADE"
    ),
)
"""When a held manifest was last pulled, to about an hour; no row for one of which no pull was noted."""

pulls_noted = Table(
    "pulls_noted",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
)
"""One row: the time for which ``pulls`` speaks. A gap, in which nobody noted anything, begins it anew."""

signatures = Table(
    "signatures",
    metadata,
    Column("stream_id", BigId, primary_key=True),
    Column("digest", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    ForeignKeyConstraint(
        ["stream_id", "digest"], ["held_manifests.stream_id", "held_manifests.digest"], ondelete="CASCADE"
    ),
    Index("ix_signatures_digest", "digest"),
)
"""Signatures of a manifest in its repository; they go when the repository lets go of it."""

tags = Table(
    "tags",
    metadata,
    Column("stream_id", BigId, ForeignKey("image_streams.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("image", Name, nullable=False),
    Column("unechoed", String(32), nullable=True),
    Index("ix_tags_image", "stream_id", "image"),
    Index("ix_tags_meaning", "image"),
    Index(
        "ix_tags_unechoed",
        "unechoed",
        sqlite_where=text("unechoed IS NOT NULL"),
        postgresql_where=text("unechoed IS NOT NULL"),
    ),
)
"""What each tag means now; its past is in ``tag_events``.

A tag that only points to another registry, where nobody looked, has an empty ``image`` in both.

``unechoed`` is the mark of a change that the link in storage may not say yet.
"""

tag_events = Table(
    "tag_events",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("stream_id", BigId, ForeignKey("image_streams.id", ondelete="CASCADE"), nullable=False),
    Column("tag", Name, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("image", Name, nullable=False),
    Column("reference", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Index("ix_tag_events_stream_id", "stream_id", "tag", "id"),
    Index("ix_tag_events_image", "stream_id", "image"),
)

tag_specs = Table(
    "tag_specs",
    metadata,
    Column("stream_id", BigId, ForeignKey("image_streams.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("annotations", JSON, nullable=False),
    Column("from_kind", String(32), nullable=False),
    Column("from_namespace", Name, nullable=False),
    Column("from_name", Text, nullable=False),
    Column("reference", Boolean, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("insecure", Boolean, nullable=False),
    Column("scheduled", Boolean, nullable=False),
    Column("import_mode", String(32), nullable=False),
    Column("reference_policy", String(16), nullable=False),
    Column("follows", Name, nullable=True),
    Index("ix_tag_specs_follows", "stream_id", "follows"),
)
"""What is wanted of tags (``spec.tags``); one that was only pushed has no row here.

``follows`` is the tag of the same stream that this one goes with.
"""

tag_conditions = Table(
    "tag_conditions",
    metadata,
    Column("stream_id", BigId, ForeignKey("image_streams.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("transitioned", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
)
"""What hinders a tag from meaning what is wanted; a new event of the tag removes it."""

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("namespace", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("hash_state", LargeBinary, nullable=False),
    Column("started", DateTime(timezone=True), nullable=False),
    Index("ix_uploads_started", "started"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("revision", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("namespace", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("event", String(8), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("last_state", JSON(none_as_null=True), nullable=True),
    sqlite_autoincrement=True,
)
"""The log behind ``resourceVersion``: one counter for all kinds, in commit order (design, D7).

``last_state`` is what a watch has to say about a deleted object, which no other table remembers.
"""

cleanups = Table(
    "cleanups",
    metadata,
    Column("namespace", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("requested", DateTime(timezone=True), nullable=False),
    Column("blobs_before", DateTime(timezone=True), nullable=True),
    Index("ix_cleanups_requested", "requested"),
)
"""Outbox: repositories whose links in storage may say more than these tables do.

``blobs_before`` is set when a whole stream was deleted: links of blobs that are older and belong to no held manifest
go too. Without it blobs stay, because a push that is on its way has linked its blobs before it has a manifest.
"""

rebuild = Table(
    "rebuild",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("started", DateTime(timezone=True), nullable=True),
    Column("finished", DateTime(timezone=True), nullable=True),
    Column("after_namespace", Name, nullable=False),
    Column("after_name", Name, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("holder", String(64), nullable=False),
    Column("held_until", DateTime(timezone=True), nullable=True),
)
"""One row: how far these tables have been made from storage, and which process is at it until when.

Until ``finished`` is set the tables speak only for repositories up to ``after_namespace``/``after_name`` and for those
in ``rebuilt``; for all others the links in storage do.
"""

schema_reach = Table(
    "schema_reach",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("oldest", String(32), nullable=False),
)
"""One row: programs that know at least the schema ``oldest`` can work with this one, though theirs is older."""

rebuilt = Table(
    "rebuilt",
    metadata,
    Column("namespace", Name, primary_key=True),
    Column("name", Name, primary_key=True),
)
"""Repositories that somebody needed before their turn; empty when nothing is being rebuilt."""

rebuild_findings = Table(
    "rebuild_findings",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("namespace", Name, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_rebuild_findings_namespace", "namespace", "name"),
)
"""What was found in storage and not taken into the tables; cleaning leaves it alone."""

reservations = Table(
    "reservations",
    metadata,
    Column("id", Name, primary_key=True),
    Column("namespace", Name, nullable=False),
    Column("digest", Name, nullable=True),
    Column("bytes", BigInteger, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    Index("ix_reservations_namespace", "namespace"),
)
"""Bytes that pushes on their way will need, in namespaces with a quota for bytes: first by the name of the upload,
then, once it is known, by the digest; until the manifest arrives that lists it, or the time is over."""

remote_manifests = Table(
    "remote_manifests",
    metadata,
    Column("stream_id", BigId, primary_key=True),
    Column("digest", Name, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("insecure", Boolean, nullable=False),
    Column("imported", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["stream_id", "digest"], ["held_manifests.stream_id", "held_manifests.digest"], ondelete="CASCADE"
    ),
)
"""Held manifests that were imported, with the repository of the other registry that they may be had from."""

remote_blobs = Table(
    "remote_blobs",
    metadata,
    Column("stream_id", BigId, primary_key=True),
    Column("digest", Name, primary_key=True),
    Column("manifest", Name, primary_key=True),
    Column("size", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["stream_id", "manifest"], ["remote_manifests.stream_id", "remote_manifests.digest"], ondelete="CASCADE"
    ),
    Index("ix_remote_blobs_manifest", "stream_id", "manifest"),
)
"""Which blobs those manifests are made of: what a repository may fetch, and nothing else, whoever knows its digest."""

fetches = Table(
    "fetches",
    metadata,
    Column("namespace", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("digest", Name, primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("held_until", DateTime(timezone=True), nullable=False),
)
"""Which process is fetching what from another registry right now, until when it is believed to live."""

import_attempts = Table(
    "import_attempts",
    metadata,
    Column("stream_id", BigId, ForeignKey("image_streams.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("attempted", DateTime(timezone=True), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("again", Boolean, nullable=False),
)
"""When a wanted tag was last imported, in which generation, how often that failed since it worked, and whether it is
to be tried again although it is not scheduled."""

upkeep = Table(
    "upkeep",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("options", JSON, nullable=False),
    Column("asked", DateTime(timezone=True), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("begun", DateTime(timezone=True), nullable=True),
    Column("ended", DateTime(timezone=True), nullable=True),
    Column("outcome", String(16), nullable=False),
    Column("holder", String(64), nullable=False),
    Column("held_until", DateTime(timezone=True), nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("stop", Boolean, nullable=False),
    Column("stage", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("error", Text, nullable=False),
    Column("report", JSON(none_as_null=True), nullable=True),
    Index("ix_upkeep_kind", "kind", "ended"),
)
"""Collections, verifications and scrubs that somebody asked the registry for: how far each is, who is at it until when,
and what came of it. ``cursor`` and ``notes`` are what the next process goes on from when that one dies."""
