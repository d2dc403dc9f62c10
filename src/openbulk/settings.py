"""The settings. Each is an environment variable `OPENBULK_...`."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from openbulk.domain.limits import MAX_LIMIT, Limits
from openbulk.domain.spelling import likely_name
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE, Networks, parse_networks

_LIKENESS = 0.9
"""All variables begin alike, so two that are merely similar are not one with a typo."""


MIN_SECRET_CHARACTERS = 20


def secrets_in(setting: SecretStr | None) -> Sequence[str]:
    """The secrets in a setting, separated by commas or line ends."""
    if setting is None:
        return ()
    lines = setting.get_secret_value().replace(",", "\n").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _check_secrets(setting: SecretStr | None) -> SecretStr | None:
    shortest = min(map(len, secrets_in(setting)), default=MIN_SECRET_CHARACTERS)
    if shortest < MIN_SECRET_CHARACTERS:
        raise PydanticCustomError(
            "secret_too_short",
            "a secret has {shortest} characters, so it can be guessed; give it at least {least}: "
            "head -c 32 /dev/urandom | base64 makes one",
            {"shortest": shortest, "least": MIN_SECRET_CHARACTERS},
        )
    return setting


Secrets = Annotated[SecretStr | None, AfterValidator(_check_secrets)]

MIN_PASSWORD_CHARACTERS = 12
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def _check_password(setting: SecretStr | None) -> SecretStr | None:
    if setting is not None and len(setting.get_secret_value()) < MIN_PASSWORD_CHARACTERS:
        raise PydanticCustomError(
            "password_too_short",
            "a password needs at least {least} characters; four or more words make a good one",
            {"least": MIN_PASSWORD_CHARACTERS},
        )
    return setting


def _check_email(setting: str | None) -> str | None:
    if setting is not None and not EMAIL.fullmatch(setting):
        raise PydanticCustomError(
            "not_an_email",
            "it is not an email address; it looks like ann@example.com",
        )
    return setting


class Settings(BaseSettings):
    """The settings of a server."""

    model_config = SettingsConfigDict(
        env_prefix="OPENBULK_", extra="ignore", hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 for any free port.")
    data_dir: Path = Field(
        Path("openbulk-data"), description="Folder of the files and the embedded database."
    )
    database_url: str | None = Field(
        None,
        description="Database of the ledger: sqlite:///..., or postgresql://... for several "
        "machines. Default: a SQLite file in the data directory.",
    )
    files_url: str | None = Field(
        None,
        description="File store: s3://bucket/prefix, gs://..., az://..., or file:///a/folder that "
        "all machines share. Default: a folder in the data directory.",
    )
    master_key: SecretStr | None = Field(
        None,
        description="Master key that seals credentials and files: 32 bytes in base64. Separate "
        "several with commas: the first seals, each of them opens. Default: the file master.key in "
        "the data directory.",
    )
    user_secret: Secrets = Field(
        None,
        description="Secret of the first user. Separate several with commas: each of them holds. "
        "Default: made at the first start.",
    )
    user: Annotated[str | None, AfterValidator(_check_email)] = Field(
        None,
        description="Email address of the first user, who signs in with it. Default: "
        "admin@localhost.",
    )
    password: Annotated[SecretStr | None, AfterValidator(_check_password)] = Field(
        None,
        description="Password of the first user for POST /authentication, of at least 12 "
        "characters. Default: none, and no sign-in with a password.",
    )
    organization_secret: Secrets = Field(
        None,
        description="Secret of the first organization, or several, as for the user. Default: made "
        "at the first start.",
    )
    allowed_networks: Annotated[Networks, NoDecode, BeforeValidator(parse_networks)] = Field(
        (),
        validate_default=False,
        description="Networks and addresses that instances and callbacks may call beside public "
        "ones. Separate them with commas: 10.1.0.0/16,127.0.0.1.",
    )
    allow_private_addresses: bool = Field(
        False,
        description="Let instances and callbacks call all loopback and private networks, but none "
        "that is link-local.",
    )
    compatibility: Literal["seed", "live"] = Field(
        "seed",
        description="Which clients to serve: live answers as the live service does where openbulk "
        "otherwise says more, or says it sooner.",
    )
    completed_status: Literal["COMPLETE", "COMPLETED"] | None = Field(
        None,
        description="Status word of a finished job. Default: COMPLETE; COMPLETED with "
        "OPENBULK_COMPATIBILITY=live.",
    )
    sqlite_folder: Path | None = Field(
        None,
        description="Folder with the SQLite files that instances of the element sqlite may use. "
        "Default: none.",
    )
    memory_connector: bool = Field(
        False,
        description="Offer the element memory, which keeps records in the server's own memory: "
        "for trials and tests. It has room for 100 MB.",
    )
    console: bool = Field(
        True, description="Show the console, the pages for people, at the address of the server."
    )
    max_upload_bytes: int = Field(
        6 * 1024**3, gt=0, description="Maximum size of an uploaded file, in bytes."
    )
    max_jobs: int = Field(
        10_000,
        ge=1,
        le=MAX_LIMIT,
        description="Unfinished jobs of an organization that has no limit of its own.",
    )
    max_kept_bytes: int | None = Field(
        None,
        ge=1,
        le=MAX_LIMIT,
        description="Bytes of files and downloads that an organization without a limit of its own "
        "may keep. Default: no limit.",
    )
    max_calls_per_minute: int | None = Field(
        None,
        ge=1,
        le=MAX_LIMIT,
        description="Calls of the API that an organization without a limit of its own may make in "
        "a minute. Default: no limit.",
    )
    keep_files_days: float = Field(
        7,
        gt=0,
        description="Days until the files of a finished job are deleted, and files that no job has "
        "used since.",
    )
    keep_jobs_days: float = Field(
        30,
        gt=0,
        description="Days until a finished job is deleted, with its outcomes and failed records.",
    )
    keep_plans_hours: float = Field(
        24, gt=0, description="Hours until the plan of a job expires, once it is made."
    )
    keep_undo_days: float = Field(
        30,
        ge=0,
        description="Days until a finished job can no longer be undone: what it has overwritten is "
        "deleted. 0 keeps nothing of new jobs.",
    )
    keep_audit_days: float = Field(
        365, gt=0, description="Days until an entry of the audit log is deleted."
    )
    metrics_token: Secrets = Field(
        None,
        description="Token for GET /metrics: Authorization: Bearer <token>. Default: "
        "none; the secrets of a user and the organization open it.",
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of the log.")

    @property
    def egress_networks(self) -> Networks:
        """The networks that instances and callbacks may call beside public addresses."""
        private = LOOPBACK_AND_PRIVATE if self.allow_private_addresses else ()
        return (*self.allowed_networks, *private)

    @property
    def limits(self) -> Limits:
        """The limits of organizations that have none of their own."""
        return Limits(self.max_jobs, self.max_kept_bytes, self.max_calls_per_minute)

    @property
    def live_compatible(self) -> bool:
        """Whether to answer as the live service does, for clients that were written against it."""
        return self.compatibility == "live"

    @property
    def completed_word(self) -> str:
        """The word for a complete job."""
        return self.completed_status or ("COMPLETED" if self.live_compatible else "COMPLETE")


def misspelt_variables(environment: Iterable[str]) -> dict[str, str]:
    """The environment variables that are almost a setting, each with the one that is meant.

    Others that begin alike are no mistake: a container platform sets some of its own.
    """
    prefix = "OPENBULK_"
    known = [f"{prefix}{name.upper()}" for name in Settings.model_fields]
    meant = {
        variable: likely_name(variable, known, _LIKENESS)
        for variable in environment
        if variable.upper().startswith(prefix) and variable.upper() not in known
    }
    return {variable: name for variable, name in meant.items() if name is not None}
