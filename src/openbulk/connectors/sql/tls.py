"""TLS to a database: when a server has to prove who it is, and whose word counts for that.

A server at a public address has to: whoever is on the way could pass for it. One on this machine or
in a private network seldom has a certificate. https://www.postgresql.org/docs/current/libpq-ssl.html
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from openbulk.domain.errors import BadInput

OPEN_MODES = ("disable", "allow", "prefer")
"""Modes that may end in a connection without TLS."""
VERIFIED_MODES = ("verify-ca", "verify-full")
_MODES = (*OPEN_MODES, "require", *VERIFIED_MODES)
MODE = "db.ssl.mode"
ROOT = "db.ssl.root.certificate"
MAX_ROOT_CHARACTERS = 256 * 1024
"""Large enough for a bundle of a cloud's authorities."""
_OWN_ROOT = "~/.postgresql/root.crt"
"""Where libpq looks by itself: a certificate there is meant to be used."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What an instance's configuration says of TLS."""

    mode: str | None
    """libpq's sslmode; None if the address decides."""
    root: str | None
    """Certificates of authorities, in PEM; None for those that this machine trusts."""

    @classmethod
    def of(cls, configuration: Mapping[str, str]) -> "Tls":
        """Raises BadInput."""
        mode = configuration.get(MODE, "").lower() or None
        root = configuration.get(ROOT) or None
        if mode is not None and mode not in _MODES:
            raise BadInput(f"{MODE} {mode[:20]!r} is not known; it can be {', '.join(_MODES)}")
        if root is None:
            return cls(mode, None)
        if mode is not None and mode not in VERIFIED_MODES:
            raise BadInput(
                f"{ROOT} has no effect with {MODE} {mode}, which does not check the server: set "
                f"{MODE} to verify-full, or leave it out"
            )
        _require_certificates(root)
        return cls(mode or "verify-full", root)

    @property
    def may_be_open(self) -> bool:
        """Whether a connection may be without TLS."""
        return self.mode is None or self.mode in OPEN_MODES

    def mode_at(self, address: str) -> str:
        """The mode for a connection to an address."""
        return self.mode or _mode_for(address)

    def context(self, mode: str) -> ssl.SSLContext:
        """For drivers that use Python's TLS, in a mode that is never without it."""
        context = ssl.create_default_context(cadata=self.root)
        # The certificates that MySQL makes for itself lack what the strict rules ask for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = mode == "verify-full"
        if mode not in VERIFIED_MODES:
            context.verify_mode = ssl.CERT_NONE
        return context

    @contextmanager
    def parameters(self, address: str) -> Iterator[dict[str, Any]]:
        """libpq's parameters for a connection to an address.

        They hold as long as the block: libpq reads authorities from a file, which only this user
        may read.
        """
        mode = self.mode_at(address)
        if self.root is not None:
            with NamedTemporaryFile("w", prefix="openbulk-", suffix=".pem") as file:
                file.write(self.root)
                file.flush()
                yield {"sslmode": mode, "sslrootcert": file.name}
        elif mode in VERIFIED_MODES:
            yield {"sslmode": mode, "sslrootcert": _trusted_roots()}
        else:
            yield {"sslmode": mode}


def _mode_for(address: str) -> str:
    """The mode for an address if the instance names none."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return "verify-full" if parsed.is_global else "prefer"


def _trusted_roots() -> str:
    """The file of the authorities that this machine trusts.

    `system` alone would not find it: the libpq in psycopg's package looks in a folder of its own.
    """
    own = os.environ.get("PGSSLROOTCERT") or str(Path(_OWN_ROOT).expanduser())
    if Path(own).is_file():
        return own
    return ssl.get_default_verify_paths().cafile or "system"


def _require_certificates(text: str) -> None:
    """Raises BadInput for a text that is not one or several certificates in PEM."""
    if len(text) > MAX_ROOT_CHARACTERS:
        raise BadInput(
            f"{ROOT} has {len(text):,} characters, and may have {MAX_ROOT_CHARACTERS:,}; give the "
            "authority of this server alone"
        )
    if "PRIVATE KEY" in text:
        raise BadInput(f"{ROOT} has a private key in it; give the certificate of the authority")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise BadInput(
            f"{ROOT} is not a certificate in PEM; one begins with -----BEGIN CERTIFICATE-----"
        ) from error
