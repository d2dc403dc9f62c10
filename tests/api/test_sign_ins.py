"""The state of a sign-in carries its verifier."""

from dataclasses import replace

import pytest

from openbulk.api.platform.sign_in_state import LIFE_SECONDS, SignIn, make_state, read_verifier
from openbulk.domain.errors import BadInput
from openbulk.security import Sealer

SEALER = Sealer([b"k" * 32])
SIGN_IN = SignIn(1, "googlecalendar", "client", "https://example.com/back")
VERIFIER = "v" * 43


@pytest.mark.parametrize("own", ["", "s1", "a.b", ".", "pkce-x", "a.pkce-x", "ü & x\n"])
def test_a_verifier_comes_back_with_the_state_and_can_not_be_read_in_it(own: str) -> None:
    """The caller's own state stands before it, and can be any text."""
    state = make_state(VERIFIER, SIGN_IN, own, SEALER, 1000.0)
    assert (own == "" or state.startswith(f"{own}.")) and VERIFIER not in state
    assert read_verifier(state, SIGN_IN, SEALER, 1000.0 + LIFE_SECONDS) == VERIFIER
    assert read_verifier(state, SIGN_IN, Sealer([b"n" * 32, b"k" * 32]), 1000.0) == VERIFIER, (
        "after a rotation"
    )


@pytest.mark.parametrize("state", ["", "s1", "a.b", "xpkce-abc", "pkce-", "pkce-abc def"])
def test_a_state_of_the_callers_own_brings_none(state: str) -> None:
    """Clients that know nothing of PKCE may send theirs along."""
    assert read_verifier(state, SIGN_IN, SEALER, 1000.0) is None


def test_a_state_is_good_for_its_own_sign_in_only() -> None:
    """Another organization, element, application, address or caller's state does not open it."""
    state = make_state(VERIFIER, SIGN_IN, "s1", SEALER, 1000.0)
    others = (
        replace(SIGN_IN, organization_id=2),
        replace(SIGN_IN, element="eloqua"),
        replace(SIGN_IN, api_key="other"),
        replace(SIGN_IN, callback_url="https://example.com/other"),
    )
    wrong = [(state, other, SEALER) for other in others]
    wrong += [
        (state.replace("s1", "s2"), SIGN_IN, SEALER),
        (state[:-2], SIGN_IN, SEALER),
        ("pkce-a", SIGN_IN, SEALER),
    ]
    wrong += [(state, SIGN_IN, Sealer([b"n" * 32]))]
    for changed, sign_in, sealer in wrong:
        with pytest.raises(BadInput, match="does not belong to this sign-in"):
            read_verifier(changed, sign_in, sealer, 1000.0)


def test_a_sign_in_that_took_too_long_begins_again() -> None:
    """The message has the address of a new one."""
    state = make_state(VERIFIER, SIGN_IN, "", SEALER, 1000.0)
    with pytest.raises(
        BadInput, match=r"more than 60 minutes ago.*/elements/googlecalendar/oauth/url"
    ):
        read_verifier(state, SIGN_IN, SEALER, 1001.0 + LIFE_SECONDS)
