"""What the person who runs openbulk can set. Every setting is an environment variable `OPENBULK_...`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings of a server."""

    model_config = SettingsConfigDict(env_prefix="OPENBULK_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        8080, ge=0, le=65535, description="Port to listen on; 0 takes any that is free."
    )
    data_dir: Path = Field(
        Path("openbulk-data"), description="Where files and the embedded database are kept."
    )
    database_url: str | None = Field(
        None,
        description="Database of the ledger: sqlite:///..., or postgresql://... for several machines; default: a "
        "SQLite file in the data directory.",
    )
    files_url: str | None = Field(
        None,
        description="Where files are kept: s3://bucket/prefix, gs://..., az://..., or file:///a/folder that all "
        "machines share; default: a folder in the data directory.",
    )
    master_key: SecretStr | None = Field(
        None,
        description="Key that seals credentials and files: 32 bytes in base64. Several, set apart by commas: the "
        "first seals, all of them open. Default: the file master.key in the data directory.",
    )
    user_secret: SecretStr | None = Field(
        None, description="Secret of the first user; default: made at first start."
    )
    organization_secret: SecretStr | None = Field(
        None, description="Secret of the first organization; default: made at first start."
    )
    allow_private_addresses: bool = Field(
        False, description="Let instances and callbacks call private and loopback addresses."
    )
    completed_status: Literal["COMPLETE", "COMPLETED"] = Field(
        "COMPLETE",
        description="How a finished job is spelled; COMPLETED for clients of the live service.",
    )
    sqlite_folder: Path | None = Field(
        None,
        description="Folder whose SQLite files instances of the element sqlite may use; default: none may.",
    )
    max_upload_bytes: int = Field(
        6 * 1024**3, gt=0, description="Largest file that an upload may bring, in bytes."
    )
    keep_files_days: float = Field(
        7, gt=0, description="Days for which the file of a finished job is kept."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines are written.")
