"""Signs people in at the provider of their organization, and decides who they are here.

A person is known by issuer and subject. An address leads to a user only if the provider has
verified it, and the user has no other way to sign in.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openbulk.domain.access import Role
from openbulk.domain.errors import NotAllowed, NotFound, NotSignedIn, SealBroken
from openbulk.domain.identity_provider import IdentityProvider
from openbulk.domain.people import Organization, User
from openbulk.domain.sessions import Origin
from openbulk.identity.oidc import OpenIdConnect, Registration
from openbulk.identity.oidc_answers import GOOGLE, BegunSignIn, Identity
from openbulk.identity.sign_in import Begun, SignIn
from openbulk.security import Sealer
from openbulk.storage.identities import Identities, IdentityKey, Newcomer
from openbulk.storage.identity_providers import IdentityProviders
from openbulk.storage.people import People
from openbulk.storage.sessions import Sessions

SIGN_IN_SECONDS = 600
"""Seconds that a person has at the provider."""
_CONTEXT = "a sign-in at a provider"
_OVER = "this sign-in took too long, or was not begun here; begin again"
NO_PROVIDER = (
    "no organization of this name signs in with a provider; "
    "write the name as your administrator has it"
)


@dataclass(frozen=True, slots=True)
class SentPerson:
    """A person who is on the way to the provider."""

    address: str
    """Where the person's browser goes."""
    token: str = field(repr=False)
    """Sealed note of the sign-in. It holds for `SIGN_IN_SECONDS`."""


class OidcSignIn:
    """People to providers, and what providers answer into sessions."""

    def __init__(
        self,
        oidc: OpenIdConnect,
        providers: IdentityProviders,
        identities: Identities,
        people: People,
        sessions: Sessions,
        sign_in: SignIn,
        sealer: Sealer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._oidc = oidc
        self._providers = providers
        self._identities = identities
        self._people = people
        self._sessions = sessions
        self._sign_in = sign_in
        self._sealer = sealer
        self._clock = clock

    async def begin(
        self, organization: str, redirect_uri: str, *, asks_again: bool = False
    ) -> SentPerson:
        """Begin a sign-in at the provider of the organization of a name.

        Raises NotFound, and ProviderFailed.
        """
        provider = await self._providers.of_name(organization)
        if provider is None:
            raise NotFound(NO_PROVIDER)
        begun = await self._oidc.begin(
            registration_of(provider), redirect_uri, asks_again=asks_again
        )
        note = {
            "organization": provider.organization_id,
            "issuer": provider.issuer,
            "client": provider.client_id,
            "redirect": redirect_uri,
            "state": begun.state,
            "nonce": begun.nonce,
            "verifier": begun.verifier,
            "until": self._clock() + SIGN_IN_SECONDS,
        }
        sealed = self._sealer.seal(json.dumps(note).encode(), _CONTEXT)
        return SentPerson(begun.address, base64.urlsafe_b64encode(sealed).decode())

    def organization_of(self, token: str) -> int:
        """The number of the organization whose provider a token belongs to. Raises NotSignedIn."""
        return int(self._open(token)["organization"])

    async def finish(self, token: str, answer: Mapping[str, str], origin: Origin) -> Begun:
        """Sign in with the token of `begin` and the query with which the person came back.

        Raises NotSignedIn if the answer does not hold, NotAllowed for a person who may not sign in,
        Conflict if another organization has a user of their address, and ProviderFailed.
        """
        provider, identity = await self._identify(token, answer)
        user = await self._user_of(provider, identity)
        return await self._sign_in.begin(user.id, origin)

    async def connect(self, user: User, token: str, answer: Mapping[str, str]) -> str:
        """Have a user who is signed in otherwise sign in at the provider, too. Returns the issuer.

        Raises NotSignedIn, NotAllowed, Conflict and ProviderFailed.
        """
        provider, identity = await self._identify(token, answer)
        if provider.organization_id != user.organization_id:
            raise NotAllowed("this is the provider of another organization; choose that of yours")
        _require_domain(provider, identity)
        await self._identities.connect(user.id, IdentityKey(provider.issuer, identity.subject))
        return provider.issuer

    async def problems_of(self, provider: IdentityProvider, redirect_uri: str) -> list[str]:
        """Why people could not sign in, as far as that shows without a person."""
        return await self._oidc.problems_of(registration_of(provider), redirect_uri)

    # --- who it is ---

    async def _identify(
        self, token: str, answer: Mapping[str, str]
    ) -> tuple[IdentityProvider, Identity]:
        note = self._open(token)
        provider = await self._providers.of_organization(note["organization"])
        if provider is None or (provider.issuer, provider.client_id) != (
            note["issuer"],
            note["client"],
        ):
            raise NotSignedIn("the provider of your organization was changed; begin again")
        begun = BegunSignIn("", note["state"], note["nonce"], note["verifier"])
        registration = registration_of(provider)
        return provider, await self._oidc.finish(registration, note["redirect"], begun, answer)

    async def _user_of(self, provider: IdentityProvider, identity: Identity) -> User:
        """The user who a person is, with the role that they have now. Raises NotAllowed."""
        _require_domain(provider, identity)
        organization = await self._organization(provider)
        key = IdentityKey(provider.issuer, identity.subject)
        known = await self._identities.find(organization.id, key)
        user = known or await self._match(provider, identity, organization, key)
        rule = provider.role_rule
        role = rule.role_of(identity.claims) if rule.claim or user is None else None
        if user is None:
            return await self._join(identity, organization, key, role, rule.claim)
        if not user.active:
            raise NotAllowed(
                f"your user is deactivated; an administrator of {organization.name} can activate it"
            )
        if rule.claim and user.role is not Role.INSTALLATION:
            user = await self._with_role(user, role, organization, rule.claim)
        if known is None:
            await self._identities.connect(user.id, key)
        return user

    async def _organization(self, provider: IdentityProvider) -> Organization:
        found = await self._people.organization(provider.organization_id)
        if found is None or not found.active:
            raise NotSignedIn("the organization is deactivated; ask who runs this server")
        return found

    async def _match(
        self,
        provider: IdentityProvider,
        identity: Identity,
        organization: Organization,
        key: IdentityKey,
    ) -> User | None:
        """A user whom an administrator has added by address, and who has not signed in here yet."""
        user = None
        if identity.email is not None:
            user = await self._people.user_with_email(identity.email)
        if user is None or user.organization_id != organization.id:
            return None
        if user.has_password or user.role is Role.INSTALLATION:
            raise NotAllowed(
                f"{user.email} signs in otherwise so far: do that once more, and connect the "
                "account of the provider under 'My account'"
            )
        if user.identity_issuer == key.issuer:
            raise NotAllowed(
                f"{user.email} signs in with another account of the provider; "
                f"an administrator of {organization.name} can disconnect that one"
            )
        return user

    async def _join(
        self,
        identity: Identity,
        organization: Organization,
        key: IdentityKey,
        role: Role | None,
        claim: str,
    ) -> User:
        """A person who is new becomes a user, if that is allowed. Raises NotAllowed."""
        if identity.email is None:
            raise NotAllowed(
                "the provider does not say that your email address is verified, so you are not "
                "known here; ask who looks after your account there to verify the address"
            )
        if claim and role is None:
            raise _no_role(organization, claim)
        new = Newcomer(identity.email, identity.first_name, identity.last_name)
        user = await self._identities.join(organization.id, new, key, role)
        if user is None:
            raise NotAllowed(
                f"nobody has invited {identity.email}; "
                f"an administrator of {organization.name} can do that"
            )
        return user

    async def _with_role(
        self, user: User, role: Role | None, organization: Organization, claim: str
    ) -> User:
        """A user with the role that the provider gives. Raises NotAllowed if it gives none."""
        if role is None:
            # Whoever the provider lets in no more is not to go on in another browser.
            await self._sessions.end_all(user.id)
            raise _no_role(organization, claim)
        if role is user.role:
            return user
        changed = replace(user, role=role)
        await self._people.change_user(changed)
        return changed

    def _open(self, token: str) -> dict[str, Any]:
        try:
            note = json.loads(self._sealer.open(base64.urlsafe_b64decode(token), _CONTEXT))
        except (ValueError, SealBroken) as error:
            raise NotSignedIn(_OVER) from error
        if note["until"] < self._clock():
            raise NotSignedIn(_OVER)
        opened: dict[str, Any] = note
        return opened


def registration_of(provider: IdentityProvider) -> Registration:
    """How openbulk is known at a provider."""
    return Registration(
        provider.issuer, provider.client_id, provider.client_secret, provider.scopes
    )


def _require_domain(provider: IdentityProvider, identity: Identity) -> None:
    """Raise NotAllowed for a person whose address is of none of the domains that are let in."""
    if not provider.email_domains:
        return
    domains = {(identity.email or "").rpartition("@")[2].lower()}
    if provider.issuer == GOOGLE:
        # The domain of the Workspace; people in it may have addresses of others of its domains.
        domains.add(str(identity.claims.get("hd", "")).lower())
    if domains.isdisjoint(provider.email_domains):
        allowed = ", ".join(provider.email_domains)
        raise NotAllowed(
            "the provider gives you no verified address of the domains that may sign in here: "
            f"{allowed}"
        )


def _no_role(organization: Organization, claim: str) -> NotAllowed:
    return NotAllowed(
        f"your account at the provider gives you no role in {organization.name}: its claim "
        f"'{claim}' has no value that stands for one; ask who looks after your account there"
    )
