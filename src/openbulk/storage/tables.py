"""The ledger's tables. `migrations/` creates them."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.types import TypeEngine

from openbulk.domain.epoch import milliseconds_of, moment_at

metadata = MetaData()


class Timestamp(TypeDecorator[datetime]):
    """A point in time, as whole milliseconds since 1970 in UTC: the same on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else milliseconds_of(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else moment_at(value)


class SafeText(TypeDecorator[str]):
    """Text of any origin. U+FFFD replaces what no database, or no answer, can hold.

    That is NUL, which PostgreSQL does not allow in text, and half of a surrogate pair, which UTF-8
    does not have.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        text = value.replace("\0", "\ufffd")
        if text.isascii():
            return text
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class UniqueName(SafeText):
    """A name that took the place of a column with 64 characters, whose type SQLite cannot change.

    It has no limit: SQLite does not heed that of a type.
    """

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(64))
        return super().load_dialect_impl(dialect)


Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only with the type INTEGER, and gives the highest number of a
deleted row again, unless `sqlite_autoincrement` forbids it (https://sqlite.org/autoinc.html)."""

organizations = Table(
    "organizations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", UniqueName, nullable=False, unique=True),
    Column("active", Boolean, server_default=true()),
    Column("created_at", Timestamp),
    Column("approvals", String(16), nullable=False, server_default="agents"),
    # NULL for the limits of the installation.
    Column("max_jobs", BigInteger),
    Column("max_bytes", BigInteger),
    Column("max_calls_per_minute", BigInteger),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    # The address as people compare it; `email` is as they write it.
    Column("login", UniqueName, nullable=False, unique=True),
    Column("email", SafeText, nullable=False),
    Column("first_name", SafeText, server_default=""),
    Column("last_name", SafeText, server_default=""),
    Column("role", String(16), server_default="installation"),
    Column("active", Boolean, server_default=true()),
    Column("created_at", Timestamp),
    # Argon2's own notation, with its parameters and salt; NULL for users who have none.
    Column("password_hash", Text),
    Column("sealed_totp_key", LargeBinary),
    # NULL until the first code has shown that the app has the key.
    Column("totp_step", BigInteger),  # the last one whose code was taken: each is taken once
    # Who the user is at the provider of their organization; NULL for users who sign in otherwise.
    Column("identity_issuer", SafeText),
    Column("identity_subject", SafeText),
    Index("users_of_organization", "organization_id"),
    Index(
        "users_by_identity",
        "organization_id",
        "identity_issuer",
        "identity_subject",
        unique=True,
    ),
)

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False, unique=True),
    Column("issuer", SafeText, nullable=False),
    Column("client_id", SafeText, nullable=False),
    Column("sealed_secret", LargeBinary),  # NULL for a client without one
    Column("scopes", SafeText, nullable=False),
    Column("role_claim", SafeText, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("default_role", String(16)),
    Column("email_domains", JSON, nullable=False),
    Column("changed_at", Timestamp, nullable=False),
)
"""The OpenID providers at which people of organizations sign in."""

secrets = Table(
    "secrets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(12), nullable=False),  # user or organization
    Column("fingerprint", String(64), nullable=False),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("user_id", ForeignKey("users.id")),  # NULL for those of organizations
    Column("name", SafeText, nullable=False),
    Column("scopes", JSON(none_as_null=True)),  # of API keys only
    Column("from_settings", Boolean, nullable=False),
    Column("is_agent", Boolean, nullable=False, server_default=false()),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp),
    Column("last_used_at", Timestamp),
    UniqueConstraint("kind", "fingerprint"),
    Index("secrets_of_user", "user_id"),
    Index("secrets_of_organization", "organization_id"),
    sqlite_autoincrement=True,  # the audit log keeps the number of one that has ended
)
"""What callers send to be known, as fingerprints: secrets of users and organizations, API keys."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    # Those that the session was begun with: it ends with them. NULL after a password.
    Column("user_secret_id", ForeignKey("secrets.id", ondelete="CASCADE")),
    Column("organization_secret_id", ForeignKey("secrets.id", ondelete="CASCADE")),
    Column("address", SafeText, nullable=False),
    Column("program", SafeText, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("seen_at", Timestamp, nullable=False),
    Column("confirmed_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Index("sessions_of_user", "user_id"),
    Index("sessions_by_end", "expires_at"),
    sqlite_autoincrement=True,
)

links = Table(
    "links",
    metadata,
    Column("id", Id, primary_key=True),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("purpose", String(16), nullable=False),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("user_id", ForeignKey("users.id")),  # NULL for invitations
    Column("email", SafeText, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Index("links_of_organization", "organization_id"),
    sqlite_autoincrement=True,
)
"""One-time links: each is deleted by its use."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
)
"""Codes in place of those of an authenticator app: each is deleted by its use."""

instances = Table(
    "instances",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False, index=True),
    Column("element", SafeText, nullable=False),
    Column("name", SafeText, nullable=False),
    Column("token_fingerprint", String(64), nullable=False, unique=True),
    # NULL if no answer may show the token again.
    Column("sealed_token", LargeBinary),
    Column("sealed_configuration", LargeBinary, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("created_at", Timestamp, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),  # raised at each change
    sqlite_autoincrement=True,  # jobs and schedules of a deleted instance still have its number
)

definitions = Table(
    "definitions",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("instance_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", SafeText, primary_key=True),
    Column("fields", JSON, nullable=False),
    sqlite_with_rowid=False,
)
"""Objects of callers' own; with the instance 0, those of a whole organization."""

transformations = Table(
    "transformations",
    metadata,
    Column("instance_id", ForeignKey("instances.id"), primary_key=True, autoincrement=False),
    Column("name", SafeText, primary_key=True),
    Column("transformation", JSON, nullable=False),
    Column("changed_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)
"""The fields of services that the fields of callers' own objects stand for."""

mappings = Table(
    "mappings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("name", SafeText, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("element", SafeText, nullable=False),
    Column("object", SafeText, nullable=False),
    Column("header", JSON, nullable=False),
    Column("mapping", JSON, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    # A deleted version keeps its row, so that no other one gets its number.
    Column("deleted_at", Timestamp),
    UniqueConstraint("organization_id", "name", "version"),
    sqlite_autoincrement=True,  # callers keep the numbers of mappings
)
"""How the columns of files make fields, saved under names. A version is never changed."""

custom_elements = Table(
    "custom_elements",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("sealed_export", LargeBinary, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),  # raised at each change
    UniqueConstraint("organization_id", "key"),
    sqlite_autoincrement=True,  # processes keep what they have read by number and version
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("instance_id", BigInteger, nullable=False),
    Column("request_id", SafeText),
    # Who has made it, if that is known, and whether with the key of an agent.
    Column("created_by", BigInteger),
    Column("by_agent", Boolean, nullable=False, server_default=false()),
    Column("object", SafeText, nullable=False),
    Column("action", Text),
    Column("identifier_field", SafeText),
    Column("options", JSON, nullable=False),
    # What the caller sent that has no effect on the job; NULL for nothing.
    Column("unused_options", JSON(none_as_null=True)),
    # Uploads only: the caller's names of the object and its fields. NULL if they are the service's.
    Column("transformation", JSON(none_as_null=True)),
    # Uploads only: how the file's columns make fields. NULL if they are named as the fields.
    Column("mapping", JSON(none_as_null=True)),
    Column("file", Text, nullable=False, unique=True),
    Column("file_size", BigInteger, nullable=False),
    Column("file_format", Text, nullable=False),
    Column("has_file", Boolean, nullable=False, server_default=true()),
    # What counts of the file against the limit of the organization: 0 for one of another job.
    Column("kept_bytes", BigInteger, nullable=False, server_default="0"),
    Column("callback_url", SafeText),
    Column("records_of", BigInteger),
    # A digest of the file of an upload that is planned; NULL for any other.
    Column("planned_file", String(64)),
    Column("planned_at", Timestamp),  # when the plan was made
    Column("apply", JSON(none_as_null=True)),  # how it is carried out; NULL as long as it is not
    Column("uploaded_file", String(32)),  # `files.file`; NULL if the job has a file of its own
    # Jobs with the rows of an earlier one, which they retry or verify: that job, the files of all
    # jobs before, and how many rows they are.
    Column("retry_of", BigInteger),
    Column("verify_of", BigInteger),
    Column("first_file", Text),
    Column("earlier_files", JSON(none_as_null=True)),
    Column("retried_rows", BigInteger),
    # Undos only: the job that is undone, and how.
    Column("undo_of", BigInteger),
    Column("undo", JSON(none_as_null=True)),
    # The query of a download, and how far it has read.
    Column("query", JSON(none_as_null=True)),
    Column("position", JSON(none_as_null=True)),
    # The fields of the records of a download, or the columns of an uploaded table.
    Column("columns", JSON(none_as_null=True)),
    Column("status", Text, nullable=False),
    Column("error", SafeText),
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("records", BigInteger),
    # What was left out of rows: how many, and the first of them as row, line and text.
    Column("remarks", JSON(none_as_null=True)),
    Column("cursor", BigInteger, nullable=False, server_default="0"),
    Column("created", BigInteger, nullable=False, server_default="0"),
    Column("updated", BigInteger, nullable=False, server_default="0"),
    Column("upserted", BigInteger, nullable=False, server_default="0"),
    Column("unchanged", BigInteger, nullable=False, server_default="0"),
    Column("deleted", BigInteger, nullable=False, server_default="0"),
    Column("not_found", BigInteger, nullable=False, server_default="0"),
    Column("failed", BigInteger, nullable=False, server_default="0"),
    Column("drifted", BigInteger, nullable=False, server_default="0"),
    Column("unknown", BigInteger, nullable=False, server_default="0"),
    Column("reversed", BigInteger, nullable=False, server_default="0"),
    Column("kept", BigInteger, nullable=False, server_default="0"),
    Column("gone_already", BigInteger, nullable=False, server_default="0"),
    Column("not_reversible", BigInteger, nullable=False, server_default="0"),
    Column("mailed_outside", BigInteger, nullable=False, server_default="0"),
    # The slice: the number of the one that is due, whether it runs, and the fence behind which only
    # its newest runner may write.
    Column("slice", BigInteger, nullable=False, server_default="0"),
    Column("slice_running", Boolean, nullable=False, server_default=false()),
    Column("slice_attempts", Integer, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("worker", Text),  # the process that runs the slice, or ran the last one
    Column("waits", Integer, nullable=False, server_default="0"),
    Column("waiting_until", Timestamp),
    Column("waiting_for", SafeText),
    # What its caller wants of a job that has begun.
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("calls_per_minute", Integer),
    # The batch that a native bulk import is working on: rows cursor + 1 to ticket_until.
    Column("ticket", SafeText),
    Column("ticket_until", BigInteger),
    Index("jobs_of_instance", "instance_id", "status"),
    Index("jobs_by_status", "status"),
    Index("jobs_by_end", "finished_at"),
    Index("jobs_by_first_file", "first_file"),
    Index("jobs_by_undo", "undo_of"),
    Index("jobs_by_uploaded_file", "uploaded_file"),
    Index(
        "kept_files_of_organization",
        "organization_id",
        "kept_bytes",
        postgresql_where=text("has_file"),
        sqlite_where=text("has_file"),
    ),
    sqlite_autoincrement=True,  # slices in the queue have the number of a deleted job
)

files = Table(
    "files",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("instance_id", BigInteger, nullable=False),  # 0: a file of the whole organization
    Column("file", String(32), nullable=False, unique=True),
    Column("name", SafeText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("options", JSON, nullable=False),
    Column("file_format", Text, nullable=False),
    Column("takes_events", Boolean, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("used_at", Timestamp, nullable=False),
    # NULL until the file was read to its end, or failed to be.
    Column("records", BigInteger),
    Column("problem", SafeText),
    # The process that reads the whole file claims it, and others leave it alone for so long.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_until", Timestamp),
    # What was read of it, below its name in the file store: empty until it is read in another way.
    Column("reading", String(32), nullable=False, server_default=""),
    Column("key", String(255)),
    Column("key_digest", String(64)),
    UniqueConstraint("organization_id", "instance_id", "key"),
    Index("files_by_use", "used_at"),
    sqlite_autoincrement=True,  # callers keep the number of a deleted file
)
"""Files that were sent to be looked at, and that jobs may use. What is in them is in the file
store alone."""

deleted_jobs = Table(
    "deleted_jobs",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("file", Text, nullable=False),
)
"""Jobs that are deleted, while rows in other tables, or their files, are left."""

approvals = Table(
    "approvals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("note", SafeText, nullable=False),
    Column("decided_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("used_at", Timestamp),
    Column("used_by", BigInteger),
    # Withdrawn, or replaced by another one as it had expired: then by nobody.
    Column("withdrawn_at", Timestamp),
    Column("withdrawn_by", BigInteger),
    Index("approvals_of_job", "job_id"),
    sqlite_autoincrement=True,  # the audit log keeps the number of one whose job is deleted
)
"""What people have decided about plans. A job has at most one that is not withdrawn."""

outcome_blocks = Table(
    "outcome_blocks",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger, primary_key=True, autoincrement=False),
    Column("last_row", BigInteger, nullable=False),
    # The first and the last row of each range; NULL if no row between first and last is missing.
    Column("ranges", JSON(none_as_null=True)),
    Column("content", LargeBinary, nullable=False),
)
"""What became of records, as `outcome_blocks.py` packs it."""

problems = Table(
    "problems",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("line", BigInteger),
    # SQLite does not count characters, and would have to copy the table to change this.
    Column("kind", String(16).with_variant(String(9), "sqlite"), nullable=False),
    Column("problem", SafeText, nullable=False),
    Column("field", SafeText),
    Column("provider_message", SafeText),
    Column("cause", String(16), nullable=False, server_default=""),
    Index("problems_by_cause", "job_id", "cause", "row"),
    sqlite_with_rowid=False,
)
"""What was wrong with records that failed, or whose outcome is unknown."""

parts = Table(
    "parts",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("first_row", BigInteger, primary_key=True),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
"""The parts that a job's file was cut into, or that a download has kept; the fence as in `Part`."""

retries = Table(
    "retries",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("of", BigInteger, nullable=False),
    Column("rows", LargeBinary, nullable=False),
    Index("retries_of_job", "of"),
)
"""The rows that jobs retry of earlier ones, as `RowChoice` packs them."""

mends = Table(
    "mends",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Values that people have mended in rows of a job, for its retry: sealed, as the file is."""

plan_parts = Table(
    "plan_parts",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger, primary_key=True, autoincrement=False),
    Column("last_row", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    # The first and the last row of each range; NULL if no row between first and last is missing.
    Column("ranges", JSON(none_as_null=True)),
    Column("summary", JSON, nullable=False),
    sqlite_with_rowid=False,
)
"""What a planned job would do: the parts in the file store that have its rows, and their counts."""

undo_parts = Table(
    "undo_parts",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger, primary_key=True, autoincrement=False),
    Column("last_row", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    # If all of its rows made new records: their versions, by runs of rows, and there is no part.
    Column("runs", JSON(none_as_null=True)),
    sqlite_with_rowid=False,
)
"""What the writes of a job have overwritten: the parts in the file store that say it."""

before_images = Table(
    "before_images",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""What rows without an outcome are about to overwrite. It goes with their outcomes."""

intents = Table(
    "intents",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("row", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""Rows that are about to be sent to an object without idempotent writes.

A row without an outcome after a crash may have been sent or not.
"""

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("instance_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    sqlite_with_rowid=False,
)
"""Identifies a request, so that a retry does not create a second job."""

budgets = Table(
    "budgets",
    metadata,
    Column("scope", SafeText, primary_key=True),
    Column("buckets", Text, nullable=False),
    Column("learned", BigInteger),
    Column("refused_at", Double, nullable=False),
    Column("closed_until", Double, nullable=False),
    Column("closed_for", SafeText, nullable=False),
    sqlite_with_rowid=False,
)
"""The spending of services' budgets, and the limits learned from the services."""

bookmarks = Table(
    "bookmarks",
    metadata,
    Column("instance_id", BigInteger, primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("taken_at", Timestamp, primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Places in services' feeds of changes, where later downloads begin to read."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", BigInteger, nullable=False, unique=True),
    Column("instance_id", BigInteger, nullable=False),
    Column("url", SafeText, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Column("result", SafeText),
    Index("deliveries_open", "finished_at", "due_at"),
    sqlite_autoincrement=True,  # attempts in the queue have the number of a deleted one
)
"""Notifications of finished jobs: at most one a job, delivered at least once."""

schedules = Table(
    "schedules",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("instance_id", BigInteger, nullable=False),
    Column("name", SafeText, nullable=False),
    Column("description", SafeText, nullable=False),
    Column("cron", SafeText, nullable=False),
    Column("request", JSON, nullable=False),
    Column("specs", JSON, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("due_at", Timestamp),
    Index("schedules_due", "due_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("instance_id", BigInteger, nullable=False),
    Column("schedule_id", String(32)),
    Column("request_id", SafeText),
    Column("status", String(9), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Index("runs_of_schedule", "schedule_id", "created_at"),
    Index("runs_by_status", "status"),
)
"""Runs of workflows: one for each request, and one for each time that a schedule is due."""

transfers = Table(
    "transfers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("spec", JSON, nullable=False),
    # The transfer covers the changes before this time; the next run of a schedule begins here.
    Column("changed_before", Timestamp),
    # The files of its two jobs. They identify the jobs, so that each is created once.
    Column("read_file", String(32), nullable=False, unique=True),
    Column("sent_file", String(32), nullable=False, unique=True),
    Column("status", String(9), nullable=False),
    Column("error", SafeText),
    Column("finished_at", Timestamp),
    UniqueConstraint("run_id", "place"),
)
"""The transfers of runs: each is a download, then an upload of its records."""

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("heartbeat_at", Double, nullable=False),
)
"""The processes that work, with their last heartbeat: Unix seconds, by the database's clock."""

seal = Table(
    "seal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""One row, sealed under the master key: a process that cannot open it has another key."""

file_store = Table(
    "file_store",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),
    Column("location", Text, nullable=True),
)
"""One row: the identity that is also among the ledger's files, and their last location.

The location is for a person to read. It is NULL until the identity is among the files.
"""

audit_attempts = Table(
    "audit_attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("request_id", String(32), nullable=False, unique=True),
    Column("organization_id", BigInteger, nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", SafeText, nullable=False),
    Column("user_id", BigInteger),
    Column("user", SafeText, nullable=False),
    Column("secret_id", BigInteger),
    Column("instance_id", BigInteger),
    Column("address", SafeText, nullable=False),
    Column("outcome", String(8)),  # NULL until the deed has its answer
    Column("status", Integer),
    Column("detail", SafeText, nullable=False),
)
"""Deeds that are under way, and those that are not in their chain yet: few at any time."""

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("organization_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Timestamp, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("request_id", String(32), nullable=False),
    Column("user_id", BigInteger),
    Column("user", Text, nullable=False),
    Column("secret_id", BigInteger),
    Column("instance_id", BigInteger),
    Column("address", Text, nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("status", Integer),
    Column("detail", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_entries_by_time", "organization_id", "at"),
)
"""The audit log: a chain for each organization, numbered from 1. Nothing changes a row."""

audit_chains = Table(
    "audit_chains",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("sealed", LargeBinary),
)
"""The last entry of each organization's chain; `id` is the organization's number.

Whoever adds entries locks the row. `sealed` is number and hash under the master key: whoever can
write the database alone cannot write another end.
"""

api_calls = Table(
    "api_calls",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("minute", BigInteger, nullable=False),
    Column("taken", BigInteger, nullable=False),
)
"""The calls that all processes have taken for an organization of one minute since 1970."""
