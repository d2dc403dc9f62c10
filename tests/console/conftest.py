"""A real browser, and a person at it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from support.harness import ORGANIZATION_SECRET, USER_SECRET, Server

SLOW_MS = 120_000
"""A busy machine may be slow; that breaks no promise."""
AXE = (
    Path(__file__).parents[2]
    / "requirements"
    / "console"
    / "node_modules"
    / "axe-core"
    / "axe.min.js"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium.

    While it is open, its event loop runs in this thread: coroutines of other modules could not.
    """
    program = shutil.which("chromium")
    if program is None:
        why = "Chromium is not installed; make install-browser installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Person:
    """Somebody at a browser, who notes what must not happen."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.strangers: list[str] = []
        """Requests that left the server."""
        self.errors: list[str] = []
        """What the browser complained of."""
        context.set_default_timeout(SLOW_MS)
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self._note_request(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self._note_said(said.type, said.text))

    def _note_request(self, url: str) -> None:
        if not url.startswith((self.url, "data:")):
            self.strangers.append(url)

    def _note_said(self, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(text)

    def open(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.url + path)

    def go(self, selector: str) -> None:
        """Click on what leads to another page, and wait for that page: counts do not wait."""
        with self.page.expect_navigation():
            self.page.click(selector)

    def sign_in(self) -> None:
        """Sign in with the server's secrets."""
        self.open("/sign-in/secrets")
        self.page.fill("#user", USER_SECRET)
        self.page.fill("#organization", ORGANIZATION_SECRET)
        self.page.click("main button")
        self.page.wait_for_selector(".who")

    def problems_of_page(self) -> list[str]:
        """What axe finds on the page: WCAG 2.2, levels A and AA."""
        self.page.wait_for_load_state()  # without its style, a page has other sizes
        # A page may run no scripts of others: the browser's own tools may.
        session = self.context.new_cdp_session(self.page)
        session.send("Runtime.evaluate", {"expression": AXE.read_text()})
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        run = f"axe.run({{runOnly: {tags!r}}}).then(found => JSON.stringify(found.violations.map("
        run += "one => `${one.id}: ${one.nodes.map(node => node.html).join(' | ')}`)))"
        answer = session.send(
            "Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True}
        )
        session.detach()
        found = answer["result"]["value"]
        return [] if found == "[]" else [found]


@pytest.fixture
def person(browser: Browser, shared_server: Server) -> Iterator[Person]:
    """Somebody who is signed in."""
    yield from _person(browser, shared_server.process.url)


@pytest.fixture
def person_of(browser: Browser) -> Iterator[Callable[..., Person]]:
    """Makes people with browsers of their own."""
    contexts: list[BrowserContext] = []

    def make(url: str, **options: object) -> Person:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        return Person(contexts[-1], url)

    yield make
    for context in contexts:
        context.close()


def _person(browser: Browser, url: str) -> Iterator[Person]:
    context = browser.new_context()
    someone = Person(context, url)
    someone.sign_in()
    yield someone
    context.close()
