"""People: invited by a link, signed in with a password, signed out, deactivated."""

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from itertools import takewhile

import pyotp
import pytest

from support.harness import ORGANIZATION_SECRET, USER_SECRET, Processes, Reply, Server
from support.signing_in import PASSWORD, accept, call, invite, member, sign_in, signed_in

ME = "/organizations/users/me"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("sessions")) as processes:
        yield processes.server()


def new_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def refused(reply: Reply, status: int) -> str:
    assert reply.status == status, reply.body
    return str(reply.json["message"])


def ledger(server: Server) -> sqlite3.Connection:
    return sqlite3.connect(server.process.output.parent / "data" / "ledger.db")


# --- invitations ---


def test_who_accepts_an_invitation_is_a_user_with_its_role(server: Server) -> None:
    """The link shows what it is for, and holds once."""
    email = new_email()
    made = invite(server, email, "operator")
    assert made["link"] == f"{server.process.url}/invitation?code={made['code']}"
    shown = call(server, "POST", "/authentication/links/look", {"code": made["code"]}).json
    assert (shown["purpose"], shown["email"], shown["role"]) == ("invitation", email, "operator")
    assert shown["organization"] == "Organization 1"
    user = accept(server, made["code"], firstName="Dora", lastName="Lee").json
    assert (user["email"], user["role"], user["hasPassword"]) == (email, "operator", True)
    assert (user["firstName"], user["lastName"]) == ("Dora", "Lee")
    assert "was used" in refused(accept(server, made["code"]), 404)
    listed = server.call("GET", "/organizations/invitations").json
    assert email not in [one["email"] for one in listed]


def test_an_invitation_that_is_withdrawn_or_replaced_does_not_hold(server: Server) -> None:
    email = new_email()
    earlier, later = invite(server, email), invite(server, email.upper())
    assert accept(server, earlier["code"]).status == 404
    path = f"/organizations/invitations/{later['id']}"
    assert server.call("DELETE", path).status == 200
    assert accept(server, later["code"]).status == 404
    assert "there is no invitation" in refused(server.call("DELETE", path), 404)


def test_an_invitation_that_has_expired_does_not_hold(server: Server) -> None:
    made = invite(server, new_email())
    with closing(ledger(server)) as connection, connection:
        connection.execute("UPDATE links SET expires_at = 1 WHERE id = ?", (made["id"],))
    assert accept(server, made["code"]).status == 404


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("eleven char", "it has 11 characters, and needs at least 12"),
        ("aaaaaaaaaaaabbbb", "different characters"),
        ("x" * 201, "at most 200"),
    ],
)
def test_a_password_that_can_be_guessed_is_refused(
    server: Server, password: str, says: str
) -> None:
    """The link holds, and the message does not show the password."""
    made = invite(server, new_email())
    message = refused(accept(server, made["code"], password), 400)
    assert says in message
    assert password not in message
    assert accept(server, made["code"]).status == 200


def test_nobody_is_invited_twice_or_to_more_than_the_inviter_is(server: Server) -> None:
    someone = member(server, new_email(), "administrator")
    body = {"email": someone.email.upper()}
    reply = server.call("POST", "/organizations/invitations", json_body=body)
    assert "there is a user" in refused(reply, 409)
    body = {"email": new_email(), "role": "installation"}
    assert "more than yours" in refused(
        someone.call("POST", "/organizations/invitations", body), 403
    )


# --- sessions ---


def test_a_session_stands_for_the_secrets_with_the_role_of_its_user(server: Server) -> None:
    viewer = member(server, new_email())
    assert viewer.call("GET", ME).json["email"] == viewer.email
    assert viewer.call("GET", "/instances").status == 200
    assert "permission 'load'" in refused(viewer.call("POST", "/jobs", {}), 403)
    (session,) = viewer.call("GET", f"{ME}/sessions").json
    assert (session["address"][:9], session["current"]) == ("2001:db8:", True)
    assert session["program"].startswith("Python-urllib")
    shown = viewer.call("GET", "/authentication/secrets")
    assert "token of a session" in refused(shown, 401)


def test_a_session_acts_on_behalf_of_an_instance(server: Server) -> None:
    someone, instance = member(server, new_email(), "operator"), server.instance("memory")
    headers = {"Authorization": f"Bearer {someone.token}, Element {instance.element_token}"}
    assert instance.call("GET", "/ping", headers=headers).json["endpoint"] == "memory"
    wrong = {"Authorization": f"Bearer {someone.token}, Element wrong"}
    assert "Element token is not known" in refused(
        instance.call("GET", "/ping", headers=wrong), 401
    )


def test_who_signs_out_everywhere_is_signed_in_nowhere(server: Server) -> None:
    here = member(server, new_email())
    there, other = signed_in(server, here.email), signed_in(server, here.email)
    assert len({here.token, there.token, other.token}) == 3
    assert other.call("DELETE", "/authentication").status == 200
    assert "session has ended" in refused(other.call("GET", ME), 401)
    assert len(here.call("GET", f"{ME}/sessions").json) == 2
    (number,) = (one["id"] for one in here.call("GET", f"{ME}/sessions").json if not one["current"])
    assert here.call("DELETE", f"{ME}/sessions/{number}").status == 200
    assert there.call("GET", ME).status == 401
    assert "there is no session" in refused(here.call("DELETE", f"{ME}/sessions/{number}"), 404)
    assert here.call("DELETE", f"{ME}/sessions").status == 200
    assert here.call("GET", ME).status == 401


def test_a_new_password_ends_all_other_sessions(server: Server) -> None:
    here = member(server, new_email())
    there = signed_in(server, here.email)
    change = {"currentPassword": "wrong horse battery", "newPassword": "another horse battery"}
    assert "not your password" in refused(here.call("PUT", f"{ME}/password", change), 403)
    assert there.call("GET", ME).status == 200
    right = {**change, "currentPassword": PASSWORD}
    assert here.call("PUT", f"{ME}/password", right).status == 200
    assert (here.call("GET", ME).status, there.call("GET", ME).status) == (200, 401)
    assert sign_in(server, here.email).status == 401
    assert sign_in(server, here.email, "another horse battery").status == 200


def test_a_session_of_secrets_ends_with_either(server: Server) -> None:
    user = server.call("POST", "/organizations/users", json_body={"email": new_email()}).json
    of_user = f"/organizations/users/{user['id']}/secrets"
    for ended in ("user", "organization"):
        secrets = {
            place: server.call("POST", place, json_body={"name": "x"}).json
            for place in (of_user, "/organizations/secrets")
        }
        mine, shared = (secrets[place]["secret"] for place in secrets)
        headers = {"Authorization": f"User {mine}, Organization {shared}"}
        begun = server.call("POST", f"{ME}/sessions", headers=headers).json
        assert call(server, "GET", ME, token=begun["token"]).json["id"] == user["id"]
        again = call(server, "POST", f"{ME}/sessions", token=begun["token"])
        assert "has a session already" in refused(again, 409)
        place = of_user if ended == "user" else "/organizations/secrets"
        assert server.call("DELETE", f"{place}/{secrets[place]['id']}").status == 200
        assert call(server, "GET", ME, token=begun["token"]).status == 401


def test_a_session_ends_after_twelve_hours(server: Server) -> None:
    someone = member(server, new_email())
    (session,) = someone.call("GET", f"{ME}/sessions").json
    assert session["expiresDate"] - session["createdDate"] == 12 * 3600 * 1000
    with closing(ledger(server)) as connection, connection:
        change = "UPDATE sessions SET expires_at = 1 WHERE id = ?"
        connection.execute(change, (session["id"],))
    assert someone.call("GET", ME).status == 401


def test_who_is_deactivated_is_out_at_once_and_for_good(server: Server) -> None:
    """Sessions, secrets, keys and links have ended, also after an activation."""
    someone = member(server, new_email(), "operator")
    number = someone.call("GET", ME).json["id"]
    user = f"/organizations/users/{number}"
    key = someone.call("POST", f"{ME}/secrets", {"name": "x", "scopes": ["read"]}).json["secret"]
    link = server.call("POST", f"{user}/password-link").json["code"]
    assert call(server, "GET", "/instances", token=key).status == 200
    for active in (False, True):
        assert server.call("PATCH", user, json_body={"active": active}).status == 200
        assert someone.call("GET", ME).status == 401
        assert call(server, "GET", "/instances", token=key).status == 401
        assert accept(server, link).status == 404
        assert sign_in(server, someone.email).status == (200 if active else 401)


def test_an_administrator_sees_and_ends_the_sessions_of_others(server: Server) -> None:
    someone, other = member(server, new_email()), member(server, new_email(), "administrator")
    user = f"/organizations/users/{someone.call('GET', ME).json['id']}"
    assert len(other.call("GET", f"{user}/sessions").json) == 1
    assert other.call("DELETE", f"{user}/sessions").status == 200
    assert someone.call("GET", ME).status == 401
    first = other.call("DELETE", "/organizations/users/1/sessions")
    assert "more than yours" in refused(first, 403)


# --- passwords ---


def test_whoever_has_forgotten_the_password_gets_a_link(server: Server) -> None:
    """It ends the sessions, and other links of its kind."""
    someone = member(server, new_email())
    user = f"/organizations/users/{someone.call('GET', ME).json['id']}"
    first, second = (server.call("POST", f"{user}/password-link").json for _ in range(2))
    assert first["link"] == f"{server.process.url}/new-password?code={first['code']}"
    assert accept(server, second["code"], "another horse battery").status == 200
    assert accept(server, first["code"]).status == 404
    assert someone.call("GET", ME).status == 401
    assert sign_in(server, someone.email).status == 401
    assert sign_in(server, someone.email, "another horse battery").status == 200


def test_a_link_is_made_for_active_users_alone(server: Server) -> None:
    someone = member(server, new_email())
    user = f"/organizations/users/{someone.call('GET', ME).json['id']}"
    server.call("PATCH", user, json_body={"active": False})
    reply = server.call("POST", f"{user}/password-link")
    assert "activate the user first" in refused(reply, 409)


def test_an_address_that_was_taken_since_keeps_the_link(server: Server) -> None:
    email = new_email()
    made = invite(server, email)
    body = {"email": email}
    assert server.call("POST", "/organizations/users", json_body=body).status == 200
    assert "there is a user" in refused(accept(server, made["code"]), 409)
    shown = call(server, "POST", "/authentication/links/look", {"code": made["code"]})
    assert shown.status == 200


def test_nobody_learns_which_address_has_a_user(server: Server) -> None:
    """The answers are the same. That they take as long: tests/identity/test_passwords.py."""
    known = member(server, new_email()).email
    answers = [
        (reply.status, reply.json["message"])
        for reply in (
            sign_in(server, known, "wrong horse battery"),
            sign_in(server, new_email(), "wrong horse battery"),
        )
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


def test_the_ledger_has_neither_passwords_nor_tokens(server: Server) -> None:
    """Nor codes of links; and the log has none of them."""
    someone = member(server, new_email())
    code = invite(server, new_email())["code"]
    with closing(ledger(server)) as connection:
        content = "\n".join(connection.iterdump())
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in content
    for secret in (PASSWORD, someone.token, code):
        assert secret not in content
        assert secret not in server.process.log()


def test_who_tries_passwords_is_stopped_and_the_user_is_not(processes: Processes) -> None:
    """By address; and by user, wherever they have not signed in before."""
    server, here = processes.server(), "198.51.100.7"
    someone = member(server, new_email())
    assert sign_in(server, someone.email, address=here).status == 200
    tried = (
        sign_in(server, someone.email, f"password no {n}", address=here).status for n in range(60)
    )
    assert 9 < sum(1 for _ in takewhile(lambda status: status == 401, tried)) < 60
    assert sign_in(server, new_email(), address=here).headers["retry-after"]
    assert sign_in(server, someone.email, address=here).status == 200
    elsewhere = sign_in(server, someone.email)
    assert "tried for this user" in refused(elsewhere, 429)


# --- dangerous things ---


def test_a_session_confirms_what_is_dangerous_after_ten_minutes(server: Server) -> None:
    someone = member(server, new_email(), "administrator")
    new = {"name": "x", "scopes": ["read"]}
    assert someone.call("POST", f"{ME}/secrets", new).status == 200
    with closing(ledger(server)) as connection, connection:
        connection.execute("UPDATE sessions SET confirmed_at = confirmed_at - 600001")
    assert "show first that it is you" in refused(someone.call("POST", f"{ME}/secrets", new), 403)
    assert someone.call("GET", f"{ME}/secrets").status == 200
    wrong = someone.call("POST", "/authentication/confirm", {"password": "wrong horse battery"})
    assert "password is wrong" in refused(wrong, 401)
    right = someone.call("POST", "/authentication/confirm", {"password": PASSWORD})
    assert right.json["current"]
    assert someone.call("POST", f"{ME}/secrets", new).status == 200


def test_a_stolen_session_cannot_set_a_first_password(server: Server) -> None:
    begun = server.call("POST", f"{ME}/sessions").json["token"]
    with closing(ledger(server)) as connection, connection:
        connection.execute("UPDATE sessions SET confirmed_at = 1")
    body = {"newPassword": PASSWORD}
    reply = call(server, "PUT", f"{ME}/password", body, begun)
    assert "show first that it is you" in refused(reply, 403)


def test_a_session_of_secrets_is_confirmed_with_the_secret(server: Server) -> None:
    begun = server.call("POST", f"{ME}/sessions").json["token"]
    path = "/authentication/confirm"
    for body in ({"secret": ORGANIZATION_SECRET}, {"password": USER_SECRET}, {}):
        assert call(server, "POST", path, body, begun).status == 401
    assert call(server, "POST", path, {"secret": USER_SECRET}, begun).status == 200
    reply = server.call("POST", path, json_body={"secret": USER_SECRET})
    assert "needs no confirmation" in refused(reply, 409)


# --- second factors ---


def test_a_second_factor_is_asked_for_at_each_sign_in(server: Server) -> None:
    someone = member(server, new_email())
    offered = someone.call("POST", f"{ME}/totp").json
    assert offered["address"].startswith("otpauth://totp/openbulk:")
    app = pyotp.TOTP(offered["key"])
    wrong = someone.call("PUT", f"{ME}/totp", {"code": "000000"})
    assert "not the one that the app shows" in refused(wrong, 400)
    assert sign_in(server, someone.email).json["twoFactor"] is False
    codes = someone.call("PUT", f"{ME}/totp", {"code": app.now()}).json["recoveryCodes"]
    assert len(set(codes)) == 10
    assert "already" in refused(someone.call("POST", f"{ME}/totp"), 409)
    first = sign_in(server, someone.email).json
    assert (first["twoFactor"], call(server, "GET", ME, token=first["token"]).status) == (True, 401)

    def enter(code: str) -> Reply:
        body = {"token": first["token"], "code": code}
        return call(server, "POST", "/authentication/code", body)

    assert "code is wrong, or was used" in refused(enter(app.now()), 401), "used for the first step"
    done = enter(codes[0].upper().replace("-", " "))
    assert call(server, "GET", ME, token=done.json["token"]).json["twoFactor"] is True
    assert enter(codes[0]).status == 401, "a recovery code holds once"
    later = app.at(someone_later(app))
    assert enter(later).status == 200
    assert enter(later).status == 401, "a code holds once"


def someone_later(app: pyotp.TOTP) -> int:
    """A time in the next step, whose code is taken, too: clocks of phones differ."""
    return int(time.time()) + app.interval


def test_a_lost_phone_is_removed_by_an_administrator_or_its_owner(server: Server) -> None:
    someone = member(server, new_email())
    user = f"/organizations/users/{someone.call('GET', ME).json['id']}"
    for remove, path in ((server.call, f"{user}/totp"), (someone.call, f"{ME}/totp")):
        app = pyotp.TOTP(someone.call("POST", f"{ME}/totp").json["key"])
        assert someone.call("PUT", f"{ME}/totp", {"code": app.now()}).status == 200
        assert sign_in(server, someone.email).json["twoFactor"] is True
        assert remove("DELETE", path).status == 200
        assert sign_in(server, someone.email).json["twoFactor"] is False


def test_the_key_of_an_app_is_sealed(server: Server) -> None:
    someone = member(server, new_email())
    key = someone.call("POST", f"{ME}/totp").json["key"]
    with closing(ledger(server)) as connection:
        rows = connection.execute("SELECT sealed_totp_key FROM users").fetchall()
    assert [row for row in rows if row[0] and key.encode() in row[0]] == []
