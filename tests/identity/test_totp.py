"""Codes of authenticator apps, and recovery codes."""

import base64

import pytest

from openbulk.identity import totp

# The key and the times of RFC 6238, appendix B; the codes there have two digits more in front.
KEY = base64.b32encode(b"12345678901234567890").decode()
VECTORS = [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")]


@pytest.mark.parametrize(("now", "code"), VECTORS)
def test_codes_are_those_of_the_rfc(now: int, code: str) -> None:
    assert totp.step_of(code, KEY, now) == now // 30
    assert totp.step_of(f" {code[:3]} {code[3:]} ", KEY, now) == now // 30


@pytest.mark.parametrize(
    ("seconds", "is_taken"), [(-30, True), (30, True), (-90, False), (90, False)]
)
def test_a_clock_may_be_one_step_off(seconds: int, is_taken: bool) -> None:
    now, code = VECTORS[1]
    step = totp.step_of(code, KEY, now + seconds)
    assert step == (now // 30 if is_taken else None)


@pytest.mark.parametrize("code", ["", "28708", "2870822", "28708a", "٢٨٧٠٨٢", "000000"])
def test_what_is_no_code_is_that_of_no_step(code: str) -> None:
    assert totp.step_of(code, KEY, 59) is None


def test_a_recovery_code_is_known_however_it_is_typed() -> None:
    codes = totp.new_recovery_codes()
    assert len(set(codes)) == totp.RECOVERY_CODES
    for code in codes:
        assert totp.normalize_recovery_code(code) == code
        assert totp.normalize_recovery_code(f" {code.upper().replace('-', ' ')} ") == code
    assert totp.normalize_recovery_code("123456") == ""
