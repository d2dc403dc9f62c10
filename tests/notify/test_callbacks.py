"""Telling a caller that its job is finished."""

import asyncio
import base64
import hashlib
import hmac
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from openbulk.domain.errors import BadInput
from openbulk.notify.callbacks import (
    Attempt,
    Notification,
    attempt_of_answer,
    deliver,
    extra_headers,
    wait_before_next,
)
from support.receiver import Receiver

KEY = "a key of the caller's own, ümlaut and all"
BODY = '{"id":7,"status":"COMPLETE","recordsCount":3,"note":"zażółć"}'.encode()
SIGNED = {"event.notification.signature.key": KEY}


def _to(receiver: Receiver, path: str = "") -> Notification:
    return Notification(id=42, url=receiver.url + path, body=BODY)


async def test_a_notification_arrives_byte_for_byte_as_json_from_openbulk(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC))
    assert attempt == Attempt("answered 200", 200)
    assert attempt.is_delivered
    [received] = receiver.received
    assert received.body == BODY
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["User-Agent"] == f"openbulk/{version('openbulk')}"
    assert received.headers["Content-Length"] == str(len(BODY))


async def test_the_signature_is_the_one_that_sap_documents(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    await deliver(http, _to(receiver), SIGNED, datetime.now(UTC))
    [received] = receiver.received
    expected = base64.b64encode(hmac.digest(KEY.encode(), received.body, hashlib.sha256)).decode()
    assert received.headers["Elements-Webhook-Signature"] == f"sha256={expected}"


async def test_the_signature_is_one_that_standard_webhooks_accepts(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    await deliver(http, _to(receiver), SIGNED, datetime.now(UTC))
    [received] = receiver.received
    assert Webhook(KEY.encode()).verify(received.body, dict(received.headers)) is not None
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY.encode()).verify(received.body + b" ", dict(received.headers))


async def test_the_standard_signature_is_over_id_time_and_body_whatever_the_clocks_zone(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    now = datetime(2026, 7, 1, 9, 30, 15, 900_000, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await deliver(http, _to(receiver), SIGNED, now)
    [received] = receiver.received
    assert received.headers["webhook-id"] == "msg_42"
    assert received.headers["webhook-timestamp"] == "1782878415"
    signed = b"msg_42.1782878415." + received.body
    expected = base64.b64encode(hmac.digest(KEY.encode(), signed, hashlib.sha256)).decode()
    assert received.headers["webhook-signature"] == f"v1,{expected}"


async def test_every_attempt_has_the_same_id_and_its_own_time(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    first = datetime.now(UTC)
    await deliver(http, _to(receiver), SIGNED, first)
    await deliver(http, _to(receiver), SIGNED, first + timedelta(seconds=5))
    one, two = receiver.received
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    assert int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"]) == 5


@pytest.mark.parametrize("configuration", [{}, {"event.notification.signature.key": ""}])
async def test_without_a_key_nothing_is_signed(
    http: aiohttp.ClientSession, receiver: Receiver, configuration: dict[str, str]
) -> None:
    await deliver(http, _to(receiver), configuration, datetime.now(UTC))
    [received] = receiver.received
    assert received.headers["webhook-id"] == "msg_42"
    assert not {"elements-webhook-signature", "webhook-signature"} & {
        name.lower() for name in received.headers
    }


async def test_the_configured_user_signs_in_with_basic_authentication(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    configuration = {
        "event.notification.basic.username": "ann",
        "event.notification.basic.password": "pa:ss ü",
    }
    await deliver(http, _to(receiver), configuration, datetime.now(UTC))
    [received] = receiver.received
    assert (
        received.headers["Authorization"]
        == "Basic " + base64.b64encode("ann:pa:ss ü".encode()).decode()
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"X-Team": "data", "X-Note": "a: b"}',
        "X-Team: data\nX-Note: a: b",
        "\r\n  x-team:data  \r\n\r\nX-Note : a: b\r\n",
    ],
)
async def test_configured_headers_are_sent_along(
    http: aiohttp.ClientSession, receiver: Receiver, text: str
) -> None:
    await deliver(
        http, _to(receiver), {"event.notification.callback.headers": text}, datetime.now(UTC)
    )
    [received] = receiver.received
    assert received.headers["X-Team"] == "data"
    assert received.headers["X-Note"] == "a: b"


FORGED = """
Elements-Webhook-Signature: sha256=forged
WEBHOOK-SIGNATURE: v1,forged
webhook-id: forged
webhook-timestamp: 1
Content-Length: 3
Content-Type: text/plain
Host: forged.example
Transfer-Encoding: chunked
Connection: upgrade
User-Agent: forged
X-Kept: kept
"""


@pytest.mark.parametrize("configuration", [{}, SIGNED])
async def test_configured_headers_change_neither_the_signature_nor_the_message(
    http: aiohttp.ClientSession, receiver: Receiver, configuration: dict[str, str]
) -> None:
    forged = configuration | {"event.notification.callback.headers": FORGED}
    assert (await deliver(http, _to(receiver), forged, datetime.now(UTC))).is_delivered
    [received] = receiver.received
    assert received.body == BODY
    assert received.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["X-Kept"] == "kept"
    assert "forged" not in str(received.headers)
    assert received.headers["Content-Type"] == "application/json"
    if configuration:
        Webhook(KEY.encode()).verify(received.body, dict(received.headers))


@pytest.mark.parametrize(
    "text",
    [
        "X-Team",
        ": data",
        "X Team: data",
        "X-Team: da\x00ta",
        '{"X-Team": "a\\r\\nHost: b"}',
        '{"X-Team": 1}',
        "{",
    ],
)
async def test_headers_that_cannot_be_read_are_named_and_sent_to_nobody(
    http: aiohttp.ClientSession, receiver: Receiver, text: str
) -> None:
    configuration = {"event.notification.callback.headers": text}
    attempt = await deliver(http, _to(receiver), configuration, datetime.now(UTC))
    assert "event.notification.callback.headers cannot be read" in attempt.result
    assert wait_before_next(attempt, 1, chance=0) == 5
    assert receiver.received == []


async def test_a_user_name_with_a_colon_is_named(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    configuration = {
        "event.notification.basic.username": "a:b",
        "event.notification.basic.password": "hidden",
    }
    attempt = await deliver(http, _to(receiver), configuration, datetime.now(UTC))
    assert "event.notification.basic.username has a colon" in attempt.result
    assert "hidden" not in attempt.result


@given(st.text(max_size=80) | st.dictionaries(st.text(), st.text()).map(str))
def test_whatever_is_configured_no_header_breaks_out_of_its_line(text: str) -> None:
    try:
        configured = extra_headers(text)
    except BadInput:
        return
    assert not any(set(name + value) & set("\r\n\0") for name, value in configured.items())


async def test_a_slow_receiver_is_given_up_on_when_its_time_is_over(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.seconds_before_answer = 60
    began = time.monotonic()
    attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC), timeout=0.3)
    assert time.monotonic() - began < 30
    assert attempt == Attempt("no answer within 0.3 s")
    assert wait_before_next(attempt, 1, chance=0) == 5


async def test_an_answer_that_never_ends_does_not_hold_a_delivery_up(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.never_ends_its_answer = True
    async with asyncio.timeout(60):
        attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC))
    assert attempt.is_delivered


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_its_target_gets_nothing(
    http: aiohttp.ClientSession, receiver: Receiver, status: int
) -> None:
    with Receiver() as target:
        receiver.status = status
        receiver.answer_headers = {"Location": target.url}
        attempt = await deliver(http, _to(receiver), SIGNED, datetime.now(UTC))
        assert target.received == []
    assert attempt == Attempt(f"answered {status}: redirects are not followed", status)
    assert wait_before_next(attempt, 1, chance=0) == 5


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_delivered(
    http: aiohttp.ClientSession, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC))
    assert attempt.is_delivered
    assert wait_before_next(attempt, 1, chance=0.5) is None


@pytest.mark.parametrize("status", [400, 401, 404, 418, 500, 503])
async def test_any_other_answer_is_tried_again(
    http: aiohttp.ClientSession, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC))
    assert attempt == Attempt(f"answered {status}", status)
    assert wait_before_next(attempt, 1, chance=0) == 5


async def test_a_receiver_that_is_gone_is_called_no_more(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.status = 410
    attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC))
    assert attempt.status == 410
    assert wait_before_next(attempt, 1, chance=0) is None


async def test_a_private_address_is_given_up_at_once_with_what_would_allow_it(
    guarded: aiohttp.ClientSession, receiver: Receiver
) -> None:
    for host in ("127.0.0.1", "localhost"):
        notification = Notification(42, f"http://{host}:{receiver.port}/?token=hidden", BODY)
        attempt = await deliver(guarded, notification, SIGNED, datetime.now(UTC))
        assert f"{host}:{receiver.port} is" in attempt.result
        assert "OPENBULK_ALLOW_PRIVATE_ADDRESSES=true" in attempt.result
        assert not attempt.is_delivered
        assert wait_before_next(attempt, 1, chance=0) is None
    assert receiver.received == []


async def test_a_receiver_without_a_trusted_certificate_gets_nothing(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed_certificate(tmp_path))
    received: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(receive, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"https://127.0.0.1:{port}/"
        attempt = await deliver(http, Notification(42, url, BODY), SIGNED, datetime.now(UTC))
    assert attempt == Attempt(f"no connection to 127.0.0.1:{port} (SSLCertVerificationError)")
    assert received == []


def self_signed_certificate(folder: Path) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = serialization.Encoding.PEM
    file.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return file


@pytest.mark.parametrize(
    "url", ["https://", "ftp://example.com/", "http://127.1/", "http://a..b/", "/relative"]
)
async def test_an_address_that_cannot_be_called_is_given_up_at_once(
    http: aiohttp.ClientSession, url: str
) -> None:
    attempt = await deliver(http, Notification(42, url, BODY), {}, datetime.now(UTC))
    assert attempt == Attempt("the callback URL cannot be called", is_hopeless=True)
    assert wait_before_next(attempt, 1, chance=0) is None


async def test_a_receiver_that_does_not_listen_is_tried_again(http: aiohttp.ClientSession) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: calls are refused
        port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}/?token=hidden"
        attempt = await deliver(http, Notification(42, url, BODY), {}, datetime.now(UTC))
    assert attempt == Attempt(f"no connection to 127.0.0.1:{port} (ConnectionRefusedError)")
    assert wait_before_next(attempt, 1, chance=0) == 5


async def test_a_receiver_that_does_not_speak_http_is_tried_again_and_not_quoted(
    http: aiohttp.ClientSession,
) -> None:
    async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hidden words\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(mumble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/?token=hidden"
        attempt = await deliver(http, Notification(42, url, BODY), {}, datetime.now(UTC))
    assert attempt.result.startswith("the connection broke")
    assert "hidden" not in attempt.result
    assert wait_before_next(attempt, 1, chance=0) == 5


FAILURE = Attempt("answered 500", 500)


def test_the_waits_are_those_of_standard_webhooks() -> None:
    waits = [wait_before_next(FAILURE, number, chance=0) for number in range(1, 11)]
    assert waits == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, None]


@given(st.integers(1, 9), st.floats(0, 1))
def test_a_wait_is_drawn_out_by_chance_but_never_cut_short(number: int, chance: float) -> None:
    shortest, longest = (wait_before_next(FAILURE, number, chance=edge) for edge in (0.0, 1.0))
    wait = wait_before_next(FAILURE, number, chance=chance)
    assert shortest is not None
    assert wait is not None
    assert longest == pytest.approx(shortest * 1.2)
    assert shortest <= wait <= shortest * 1.2


NOW = datetime(2026, 8, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("120", 120),
        ("1", 5),
        ("Mon, 24 Aug 2026 12:02:00 GMT", 120),
        ("Mon, 24 Aug 2026 12:02:00", 120),
        ("Mon, 24 Aug 2026 11:00:00 GMT", 5),
        ("999999999", 86_400),
        ("9" * 400, 86_400),
        ("Mon, 24 Aug 9999999999999999999999 12:02:00 GMT", 5),
        ("-7", 5),
        ("²", 5),
        ("soon", 5),
        ("", 5),
        (None, 5),
    ],
)
def test_a_busy_receiver_gets_the_time_that_it_asks_for_up_to_a_day(
    status: int, retry_after: str | None, wait: float
) -> None:
    assert wait_before_next(attempt_of_answer(status, retry_after, NOW), 1, chance=0) == wait


async def test_the_time_that_a_receiver_asks_for_is_read_from_its_answer(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.status, receiver.answer_headers = 503, {"Retry-After": "120"}
    attempt = await deliver(http, _to(receiver), {}, datetime.now(UTC))
    assert wait_before_next(attempt, 1, chance=0) == 120


def test_a_receiver_that_is_not_busy_does_not_slow_its_notifications_down() -> None:
    assert wait_before_next(attempt_of_answer(500, "3600", NOW), 1, chance=0) == 5
