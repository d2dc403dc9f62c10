"""Codes of authenticator apps (RFC 6238), and recovery codes in their place."""

import hmac
import re
import secrets

import pyotp

STEP_SECONDS = 30
_STEPS_AROUND = (0, -1, 1)
"""A phone's clock may be one step off."""
_CODE = re.compile("[0-9]{6}")
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look like others."""
_RECOVERY_LENGTH = 16
"""16 of 31 signs: 79 random bits."""


def new_key() -> str:
    """A key for an authenticator app: 160 random bits, in base32."""
    return pyotp.random_base32()


def app_address(key: str, email: str) -> str:
    """The address that an authenticator app opens: `otpauth://totp/...`."""
    return pyotp.TOTP(key).provisioning_uri(name=email, issuer_name="openbulk")


def step_of(code: str, key: str, now: float) -> int | None:
    """The step of 30 seconds that a code is the one of; None if it is that of none around now."""
    digits = re.sub(r"\s", "", code)
    if not _CODE.fullmatch(digits):
        return None
    current = int(now) // STEP_SECONDS
    for step in (current + offset for offset in _STEPS_AROUND):
        if hmac.compare_digest(pyotp.TOTP(key).at(step * STEP_SECONDS), digits):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Codes that each sign in once, for who has lost the phone."""
    return [
        "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
        for _ in range(RECOVERY_CODES)
    ]


def normalize_recovery_code(code: str) -> str:
    """A recovery code as it was made, however a person has typed it; empty if it is none."""
    letters = re.sub(r"[\s-]", "", code).lower()
    if len(letters) != _RECOVERY_LENGTH:
        return ""
    return "-".join(letters[begin : begin + 4] for begin in range(0, _RECOVERY_LENGTH, 4))
