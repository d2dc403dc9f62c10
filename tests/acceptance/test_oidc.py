"""People sign in at the OpenID provider of their organization, as a client of the API sees it."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from openbulk.security import new_master_key
from support.harness import Processes, Reply, Server, request
from support.oidc import agree
from support.ports import free_port
from support.signing_in import PASSWORD, accept, call

ME = "/organizations/users/me"
BACK = "https://openbulk.example/sign-in/oidc/callback"
SECRET = "secret-of-the-client"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("server")) as processes:
        yield processes.server()


@dataclass
class School:
    """An organization of its own, with its administrator, and people at a provider."""

    server: Server
    issuer: str
    number: int
    name: str
    authorization: str = field(repr=False)

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """Make a request as the administrator."""
        headers = {"Authorization": self.authorization}
        return self.server.call(method, path, headers=headers, json_body=body)

    def done(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.call(method, path, body)
        assert reply.status == 200, reply.body
        return reply.json

    @property
    def path(self) -> str:
        return f"/organizations/{self.number}/sign-in"

    def set_provider(self, **more: Any) -> Any:
        body = {"issuer": self.issuer, "clientId": "openbulk", "clientSecret": SECRET, **more}
        return self.done("PUT", self.path, body)

    def person(self, **claims: Any) -> str:
        """The subject of somebody at the provider."""
        subject = claims.pop("sub", uuid.uuid4().hex)
        told = {"email": f"{subject}@example.com", "email_verified": True, **claims}
        reply = request("PUT", f"{self.issuer}/users/{subject}", json_body=told)
        assert reply.status < 300, reply.body
        return str(subject)

    def begin(self, **more: Any) -> Any:
        body = {"organization": self.name, "redirectUri": BACK, **more}
        reply = call(self.server, "POST", "/authentication/oidc", body)
        assert reply.status == 200, reply.body
        return reply.json

    def come_back(self, token: str, answer: dict[str, str]) -> Reply:
        body = {"token": token, "answer": answer}
        return call(self.server, "POST", "/authentication/oidc/code", body)

    def sign_in(self, subject: str) -> Reply:
        begun = self.begin()
        return self.come_back(begun["token"], agree(begun["address"], subject))

    def me(self, subject: str) -> Any:
        """Who somebody is here, once they have signed in."""
        reply = self.sign_in(subject)
        assert reply.status == 200, reply.body
        return call(self.server, "GET", ME, token=reply.json["token"]).json


@pytest.fixture
def school(server: Server, issuer: str) -> School:
    name = f"School {uuid.uuid4().hex[:8]}"
    body = {"name": name, "email": f"{uuid.uuid4().hex}@example.com"}
    made = server.call("POST", "/organizations", json_body=body).json
    secrets = f"User {made['userSecret']}, Organization {made['organizationSecret']}"
    return School(server, issuer, made["id"], name, secrets)


def refused(reply: Reply, status: int = 403) -> str:
    assert reply.status == status, reply.body
    return str(reply.json["message"])


# --- who signs in ---


def test_who_is_invited_signs_in_without_a_password(school: School) -> None:
    """By the address that the provider has verified; the invitation ends."""
    school.set_provider()
    email = f"{uuid.uuid4().hex}@example.com"
    body = {"email": email, "role": "approver"}
    link = school.done("POST", "/organizations/invitations", body)
    subject = school.person(email=email.upper(), given_name="Dora", family_name="Lee")
    me = school.me(subject)
    assert (me["role"], me["firstName"], me["lastName"]) == ("approver", "Dora", "Lee")
    assert (me["hasPassword"], me["identityProvider"]) == (False, school.issuer)
    assert school.done("GET", "/organizations/invitations") == []
    assert accept(school.server, link["code"]).status == 404
    assert school.me(subject)["id"] == me["id"]


def test_who_was_added_by_address_is_that_user(school: School) -> None:
    school.set_provider()
    subject = school.person()
    email = f"{subject}@example.com"
    added = school.done("POST", "/organizations/users", {"email": email, "role": "operator"})
    assert school.me(subject)["id"] == added["id"]


def test_a_known_person_is_known_by_another_address_too(school: School) -> None:
    """Issuer and subject say who it is, and nothing else."""
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    number = school.me(subject)["id"]
    school.person(sub=subject, email="other@example.com", email_verified=False)
    assert school.me(subject)["id"] == number


def test_a_stranger_is_refused(school: School) -> None:
    school.set_provider()
    message = refused(school.sign_in(school.person()))
    assert message.startswith("nobody has invited ") and school.name in message


def test_a_stranger_becomes_a_user_where_there_is_a_role_for_them(school: School) -> None:
    school.set_provider(defaultRole="operator")
    assert school.me(school.person())["role"] == "operator"


def test_an_address_that_is_not_verified_is_nobody_s(school: School) -> None:
    """Else whoever enters it at the provider would be the person who was invited."""
    school.set_provider(defaultRole="viewer")
    subject = school.person(email_verified=False)
    email = f"{subject}@example.com"
    school.done("POST", "/organizations/users", {"email": email})
    assert "does not say that your email address is verified" in refused(school.sign_in(subject))


def test_the_domain_of_the_address_can_be_required(school: School) -> None:
    school.set_provider(defaultRole="viewer", emailDomains=["School.example"])
    message = refused(school.sign_in(school.person()))
    assert "domains that may sign in here: school.example" in message
    inside = school.person(email=f"{uuid.uuid4().hex}@school.example")
    assert school.sign_in(inside).status == 200


def test_a_user_with_a_password_connects_the_account_themselves(school: School) -> None:
    """Nobody is let in to it by an address alone."""
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    email = f"{subject}@example.com"
    link = school.done("POST", "/organizations/invitations", {"email": email})
    assert accept(school.server, link["code"]).status == 200
    assert "connect the account of the provider" in refused(school.sign_in(subject))
    body = {"username": email, "password": PASSWORD}
    token = call(school.server, "POST", "/authentication", body).json["token"]
    begun = school.begin()
    answer = {"token": begun["token"], "answer": agree(begun["address"], subject)}
    reply = call(school.server, "PUT", f"{ME}/identity", answer, token)
    assert reply.json == {"identityProvider": school.issuer}
    assert school.me(subject)["email"] == email
    assert call(school.server, "DELETE", f"{ME}/identity", token=token).status == 200
    assert school.sign_in(subject).status == 403


def test_an_account_is_one_user_s(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    school.me(subject)
    begun = school.begin()
    answer = {"token": begun["token"], "answer": agree(begun["address"], subject)}
    message = refused(school.call("PUT", f"{ME}/identity", answer), 409)
    assert "another user of your organization" in message


def test_a_user_of_another_organization_is_not_let_in_by_their_address(
    school: School, server: Server
) -> None:
    school.set_provider(defaultRole="viewer")
    subject = school.person(email="admin@localhost")
    assert "there is a user 'admin@localhost' already" in refused(school.sign_in(subject), 409)


def test_the_account_of_another_organization_s_provider_opens_nothing_there(
    school: School, server: Server, issuer: str
) -> None:
    """The same person at the same provider: users belong to one organization."""
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    school.me(subject)
    begun = school.begin()
    answer = {"token": begun["token"], "answer": agree(begun["address"], subject)}
    reply = server.call("PUT", f"{ME}/identity", json_body=answer)
    assert "another organization" in refused(reply)


def test_an_administrator_of_the_installation_is_never_matched_by_address(
    processes: Processes, issuer: str
) -> None:
    """The administrators of an organization choose its provider: they could be anybody there."""
    server = processes.server()
    school = School(server, issuer, 1, "Organization 1", server.authorization)
    school.set_provider(defaultRole="viewer")
    subject = school.person(email="admin@localhost")
    assert "signs in otherwise so far" in refused(school.sign_in(subject))


# --- who does not any more ---


def test_a_deactivated_user_is_refused(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    number = school.me(subject)["id"]
    school.done("PATCH", f"/organizations/users/{number}", {"active": False})
    message = refused(school.sign_in(subject))
    assert message == (
        f"your user is deactivated; an administrator of {school.name} can activate it"
    )


def test_the_provider_gives_the_role_at_each_sign_in(school: School) -> None:
    school.set_provider(roleClaim="groups", roles={"heads": "administrator", "staff": "operator"})
    subject = school.person(groups=["staff", "heads"])
    assert school.me(subject)["role"] == "administrator"
    school.person(sub=subject, groups="staff")
    assert school.me(subject)["role"] == "operator"


def test_who_has_lost_the_role_is_out_everywhere(school: School) -> None:
    school.set_provider(roleClaim="groups", roles={"staff": "operator"})
    subject = school.person(groups=["staff"])
    before = school.sign_in(subject).json["token"]
    school.person(sub=subject, groups=["parents"])
    message = refused(school.sign_in(subject))
    assert f"gives you no role in {school.name}: its claim 'groups'" in message
    assert call(school.server, "GET", ME, token=before).status == 401


def test_who_is_new_and_has_no_role_is_refused(school: School) -> None:
    school.set_provider(roleClaim="groups", roles={"staff": "operator"})
    assert "gives you no role" in refused(school.sign_in(school.person()))


def test_without_a_claim_the_role_is_the_one_given_here(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    number = school.me(subject)["id"]
    school.done("PATCH", f"/organizations/users/{number}", {"role": "approver"})
    assert school.me(subject)["role"] == "approver"


def test_another_account_of_the_same_address_waits_for_an_administrator(school: School) -> None:
    """Addresses are given to others in time."""
    school.set_provider(defaultRole="viewer")
    first = school.person()
    number = school.me(first)["id"]
    second = school.person(email=f"{first}@example.com")
    assert "another account of the provider" in refused(school.sign_in(second))
    school.done("DELETE", f"/organizations/users/{number}/identity")
    assert school.me(second)["id"] == number


# --- answers that do not hold ---


def test_an_answer_to_another_sign_in_is_refused(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    mine, theirs = school.begin(), school.begin()
    answer = agree(theirs["address"], school.person())
    assert "belongs to no sign-in here" in refused(school.come_back(mine["token"], answer), 401)


def test_a_made_up_sign_in_is_refused(school: School) -> None:
    reply = school.come_back("bWFkZSB1cA==", {"code": "1", "state": "2"})
    assert "not begun here" in refused(reply, 401)


def test_a_person_who_says_no_at_the_provider_hears_it(school: School) -> None:
    school.set_provider()
    begun = school.begin()
    state = begun["address"].partition("state=")[2].partition("&")[0]
    reply = school.come_back(begun["token"], {"error": "access_denied", "state": state})
    assert "has not signed you in: access_denied" in refused(reply, 401)


def test_a_code_opens_once(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    begun = school.begin()
    answer = agree(begun["address"], school.person())
    assert school.come_back(begun["token"], answer).status == 200
    assert refused(school.come_back(begun["token"], answer), 502)


def test_a_provider_that_is_down_is_named(school: School) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    school.set_provider(issuer=gone)
    body = {"organization": school.name, "redirectUri": BACK}
    reply = call(school.server, "POST", "/authentication/oidc", body)
    assert f"{gone}/.well-known/openid-configuration does not answer" in refused(reply, 502)


def test_a_provider_that_was_replaced_meanwhile_signs_nobody_in(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    begun = school.begin()
    answer = agree(begun["address"], school.person())
    school.set_provider(clientId="another", defaultRole="viewer")
    assert "was changed; begin again" in refused(school.come_back(begun["token"], answer), 401)


def test_names_of_organizations_cannot_be_tried_out(processes: Processes) -> None:
    server, here = processes.server(), "198.51.100.7"
    body = {"organization": "x", "redirectUri": BACK}
    statuses = [
        call(server, "POST", "/authentication/oidc", body, address=here).status for _ in range(60)
    ]
    assert (statuses[0], statuses[-1]) == (404, 429)


def test_an_organization_is_found_in_any_case(school: School) -> None:
    school.set_provider()
    body = {"organization": f" {school.name.upper()} ", "redirectUri": BACK}
    assert call(school.server, "POST", "/authentication/oidc", body).status == 200


def test_a_provider_on_a_private_network_needs_the_setting(
    processes: Processes, issuer: str
) -> None:
    server = processes.server(OPENBULK_ALLOW_PRIVATE_ADDRESSES="false")
    school = School(server, issuer, 1, "Organization 1", server.authorization)
    school.set_provider()
    found = school.done("POST", f"{school.path}/check")
    assert found["works"] is False
    assert "does not answer" in found["problems"][0]


# --- setting it ---


def test_the_secret_is_sealed_and_never_shown(school: School) -> None:
    made = school.set_provider()
    shown = school.done("GET", school.path)
    assert made == shown
    assert shown["hasClientSecret"] is True
    assert shown["redirectUri"] == f"{school.server.process.url}/sign-in/oidc/callback"
    assert SECRET not in str(shown)
    file = school.server.process.output.parent / "data" / "ledger.db"
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        assert SECRET not in "\n".join(connection.iterdump())
    assert SECRET not in school.server.process.log()


def test_the_kept_secret_goes_to_no_other_provider(school: School) -> None:
    school.set_provider()
    body = {"issuer": school.issuer, "clientId": "openbulk", "defaultRole": "viewer"}
    assert school.done("PUT", school.path, body)["hasClientSecret"] is True
    elsewhere = {**body, "issuer": "https://login.example.com"}
    assert "clientSecret is missing" in refused(school.call("PUT", school.path, elsewhere), 400)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"issuer": "ftp://x"}, "write it like https://login.example.com/realms/school"),
        ({"issuer": "http://login.example.com"}, "is not the address of a provider"),
        ({"issuer": "https://login.example.com?x=1"}, "is not the address of a provider"),
        ({"scopes": "email"}, "has no 'openid'"),
        ({"emailDomains": ["@x"]}, "write it like example.com"),
        ({"defaultRole": "king"}, "body.defaultRole"),
        ({"defaultRole": "installation"}, "no role of the installation"),
        ({"roleClaim": "g", "roles": {"x": "installation"}}, "no role of the installation"),
        ({"roles": {"x": "viewer"}}, "roleClaim is missing"),
        ({"roleClaim": "groups"}, "roles is missing"),
        ({"issuer": "https://accounts.google.com", "defaultRole": "viewer"}, "everybody can have"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(school: School, changed: dict[str, Any], message: str) -> None:
    body = {"issuer": school.issuer, "clientId": "openbulk", "clientSecret": "", **changed}
    assert message in refused(school.call("PUT", school.path, body), 400)


def test_it_is_removed_and_users_stay(school: School) -> None:
    school.set_provider(defaultRole="viewer")
    subject = school.person()
    token = school.sign_in(subject).json["token"]
    school.done("DELETE", school.path)
    assert refused(school.call("GET", school.path), 404)
    assert refused(school.call("DELETE", school.path), 404)
    assert call(school.server, "GET", ME, token=token).status == 200


def test_it_is_tried_out(school: School) -> None:
    school.set_provider()
    assert school.done("POST", f"{school.path}/check") == {"works": True, "problems": []}
    school.set_provider(issuer=f"{school.issuer}/realms/none")
    found = school.done("POST", f"{school.path}/check")
    assert "/realms/none/.well-known/openid-configuration answers 404" in found["problems"][0]


def test_a_master_key_is_replaced_and_the_secret_still_opens(
    processes: Processes, issuer: str
) -> None:
    old, new = new_master_key(), new_master_key()
    server = processes.server(OPENBULK_MASTER_KEY=old)
    School(server, issuer, 1, "Organization 1", server.authorization).set_provider()
    for keys in (f"{new},{old}", new):
        assert server.process.stop() == 0
        server = processes.server(OPENBULK_MASTER_KEY=keys)
    school = School(server, issuer, 1, "Organization 1", server.authorization)
    assert school.done("POST", f"{school.path}/check")["works"] is True


# --- the audit log ---


def test_sign_ins_and_refusals_are_in_the_organization_s_log(school: School) -> None:
    school.set_provider(roleClaim="groups", roles={"staff": "viewer"})
    school.me(school.person(groups=["staff"]))
    refused(school.sign_in(school.person()))
    school.done("DELETE", school.path)
    lines = school.done("GET", "/audit?pageSize=50")
    seen = {(one["action"], one["outcome"]) for one in lines}
    assert {
        ("provider.set", "done"),
        ("provider.remove", "done"),
        ("sign-in.oidc", "done"),
        ("sign-in.oidc", "refused"),
    } <= seen
    reasons = [one["detail"] for one in lines if one["outcome"] == "refused"]
    assert any("gives you no role" in reason for reason in reasons)
