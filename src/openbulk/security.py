"""Callers' secrets and their fingerprints, sealing with master keys, and webhook signatures."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from typing_extensions import Buffer

from openbulk.domain.errors import KeyMissing, SealBroken

KEY_BYTES = 32
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12


def new_secret() -> str:
    """A secret for a caller: 256 random bits in base64, as the service we replace writes them."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def new_code() -> str:
    """The code of a one-time link: 256 random bits, in characters that an address may have."""
    return secrets.token_urlsafe(32)


KEY_BEGINNING = "obk_"
"""How an API key begins: a person, and a scanner for leaked secrets, can tell it."""


def new_key() -> str:
    """An API key: 256 random bits, in characters that need no quoting."""
    return KEY_BEGINNING + secrets.token_urlsafe(32)


def fingerprint(secret: str) -> str:
    """The SHA-256 of a caller's secret: enough to check the secret, and useless to sign in with."""
    # A slow hash protects passwords that can be guessed. These secrets have 256 random bits: it
    # would only slow down every request. A database may compare fingerprints, although that takes
    # longer the more of them is equal: nobody can choose a secret by its fingerprint.
    return hashlib.sha256(secret.encode()).hexdigest()


class Sealer:
    """Seals bytes with AES-256-GCM (NIST SP 800-38D). The first key seals, each of them opens.

    A sealed value is key id (4 bytes), nonce (12 random bytes), ciphertext and tag. `context` names
    the value and its place. It is not stored: opening with another context fails, so that a sealed
    value cannot be moved to another place.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a master key is {KEY_BYTES} bytes, in base64: 44 characters")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self.key_id = _key_id(keys[0])
        """The id of the key that seals. What it seals begins with its id."""

    def seal(self, plain: bytes, context: str) -> bytes:
        """Seal bytes for one place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._ciphers[self.key_id].encrypt(nonce, plain, context.encode())
        return self.key_id + nonce + ciphertext

    def open(self, sealed: Buffer, context: str) -> bytes:
        """The bytes that were sealed for this place. Raises SealBroken, KeyMissing."""
        # A view: a slice of bytes would be a second copy of a large file.
        sealed = memoryview(sealed)
        cipher = self._ciphers.get(bytes(sealed[:_KEY_ID_BYTES]))
        if cipher is None:
            raise KeyMissing(
                f"{context} was sealed with a master key that this server no longer has"
            )
        nonce = sealed[_KEY_ID_BYTES : _KEY_ID_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_KEY_ID_BYTES + _NONCE_BYTES :], context.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"{context} was changed after it was sealed") from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether a value was sealed with the first key."""
        return sealed[:_KEY_ID_BYTES] == self.key_id


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"openbulk key id" + key).digest()[:_KEY_ID_BYTES]


def new_master_key() -> str:
    """A master key, in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse_master_keys(text: str) -> list[bytes]:
    """Parse master keys, newest first: base64, with commas or line ends between them.

    Raises ValueError.
    """
    try:
        return [base64.b64decode(word, validate=True) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"a master key is {KEY_BYTES} bytes, in base64: 44 characters") from error


def load_or_make_master_keys(path: Path) -> list[bytes]:
    """The master keys in a file that only its owner may read. Makes the file if there is none.

    Raises ValueError if the file does not hold keys.
    """
    if not path.exists():
        draft = _write_draft(path, new_master_key() + "\n")
        # If several processes start at once in one folder, only one links its file. A rename would
        # replace a key that another process has already used.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
        _sync(path.parent)
    return parse_master_keys(path.read_text())


def rotate_master_key(path: Path) -> None:
    """Put a new key first. It seals from now on; the older keys still open."""
    rest = path.read_text() if path.exists() else ""
    write_private(path, f"{new_master_key()}\n{rest}")


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600, atomically. It is synced to the disk."""
    _write_draft(path, text).replace(path)
    _sync(path.parent)


def _write_draft(path: Path, text: str) -> Path:
    """Write a temporary file beside `path`, synced to the disk, and return its own path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(text)
    # Sealed data is lost without its key, so the key must survive a power cut.
    _sync(draft)
    return draft


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def webhook_signature(key: str, body: bytes) -> str:
    """The value of `Elements-Webhook-Signature`: `sha256=` and the body's HMAC-SHA256 in base64."""
    digest = hmac.new(key.encode(), body, hashlib.sha256).digest()
    return "sha256=" + base64.b64encode(digest).decode()
