"""
The host's pages and the documentation in a real browser.

It needs the group `browser` and Chromium, Debian's or another's; without
them it is skipped, and says so. Every page is looked at by axe-core, for WCAG
2.1 A and AA, in light and in dark, on a wide screen and on a telephone.
"""

from __future__ import annotations

import functools
import http.server
import importlib
import re
import shutil
import subprocess
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_WANTED = "the group browser is not installed, so no page was looked at"
playwright: Any = pytest.importorskip("playwright.sync_api", reason=_WANTED)
axe: Any = pytest.importorskip(
    "axe_core_python.sync_playwright", reason=_WANTED
)
pytest.importorskip("starlette")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no Chromium: no page was looked at"
    ),
]

WIDE, NARROW = 1280, 390
VIEWS = [
    pytest.param(width, scheme, id=f"{width}-{scheme}")
    for width in (WIDE, NARROW)
    for scheme in ("light", "dark")
]
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class Eyes:
    """A person at a page, and what axe-core finds on it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}")
        self.see()

    def press(self, name: str) -> None:
        """Press the first button of a name, and look at what comes."""
        self.page.get_by_role("button", name=name).first.click()
        self.see()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()
        self.see()

    def see(self) -> None:
        self.page.wait_for_load_state()
        found = axe.Axe().run(
            self.page,
            options={"runOnly": {"type": "tag", "values": LEVELS}},
        )
        faults = [
            (each["id"], [node["html"][:90] for node in each["nodes"]])
            for each in found["violations"]
        ]
        assert (self.page.url, faults) == (self.page.url, [])
        too_wide = self.page.evaluate(
            "document.documentElement.scrollWidth > window.innerWidth"
        )
        assert (self.page.url, too_wide) == (self.page.url, False)

    @property
    def text(self) -> str:
        found: str = self.page.inner_text("main")
        return found

    # -- By keyboard alone ----------------------------------------------------

    def tab_to(self, name: str) -> None:
        """Press Tab until what has the focus is called so, or begins so."""
        begins = name.removesuffix("…")
        for _ in range(120):
            self.page.keyboard.press("Tab")
            found = self.page.evaluate(_FOCUSED)
            if found == name or (begins != name and found.startswith(begins)):
                return
        pytest.fail(f"no Tab leads to {name!r}")

    def type_into(self, name: str, text: str) -> None:
        self.tab_to(name)
        self.page.keyboard.type(text)

    def enter(self, name: str) -> None:
        """Go to something by Tab, press Enter, and look at what comes."""
        self.tab_to(name)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        self.see()


_FOCUSED = """(() => {
    const it = document.activeElement;
    const label = it.labels && it.labels.length ? it.labels[0] : it;
    return (label.innerText || it.getAttribute("aria-label") || "").trim();
})()"""


# -- The host -----------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the host on this machine only, with a firm of its own."""
    uvicorn: Any = pytest.importorskip("uvicorn")
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "host"))
    app: Any = importlib.import_module("office.app")
    firm: Any = importlib.import_module("office.firm")
    with firm.Firm(tmp_path) as made:
        server = uvicorn.Server(
            uvicorn.Config(
                app.app_of(made),
                host="127.0.0.1",
                port=0,
                log_level="warning",
            )
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        [port] = [each.getsockname()[1] for each in server.servers[0].sockets]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()
    for name in [each for each in sys.modules if each.startswith("office")]:
        del sys.modules[name]


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_a_payers_path_and_a_staffs_week_by_clicks(
    chromium: Any, host: str, width: int, scheme: str
) -> None:
    page = chromium.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    person = Eyes(page, host)
    person.open("/")
    page.get_by_role("link", name=re.compile("Harbour")).first.click()
    person.see()
    person.press("Save")
    person.follow("Search and connect")
    page.get_by_label("Text").fill("harbour")
    person.press("Search")
    page.get_by_role("checkbox").first.check()
    person.press("Connect what is ticked")
    assert "Connected." in person.text
    person.open("/payers/p-1/new")
    page.get_by_label("Name").fill("Harbour monthly")
    page.get_by_label("How often").select_option("Monthly")
    page.get_by_label("First date").fill("2026-01-31")
    page.get_by_role("checkbox").first.check()
    person.press("Show what it will do")
    assert "2026-02-28" in person.text
    page.get_by_role("button").last.click()
    person.see()
    assert "Next dates: 2026-01-31" in person.text
    person.open("/")
    page.get_by_label("Let it be").fill("2026-01-31")
    person.press("Let days pass")
    person.open("/payers/p-1")
    for link in ("receipt", "why", "Statement of this year"):
        person.open("/payers/p-1")
        person.follow(link)
    person.open("/desk")
    page.get_by_role("checkbox", name=re.compile("invoice")).first.check()
    person.press("Make the batch")
    assert "The batch is made." in person.text
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").first.click()
    assert download.value.suggested_filename.endswith(".csv")
    person.open("/desk")
    person.press("Let the ledger answer")
    assert "Refused: 0." in person.text
    person.open("/care")
    person.open("/payers/p-1/new")
    page.get_by_label("Name").fill("")
    person.press("Show what it will do")
    assert page.get_by_role("alert").is_visible()
    page.close()


def test_a_payers_path_by_keyboard_alone(chromium: Any, host: str) -> None:
    page = chromium.new_page(viewport={"width": NARROW, "height": 900})
    person = Eyes(page, host)
    person.open("/")
    person.enter("Harbour…")
    person.enter("Save")
    person.enter("Search and connect")
    person.type_into("Text", "harbour")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    person.tab_to("C-7…")
    page.keyboard.press("Space")
    person.enter("Connect what is ticked")
    person.enter("Set one up")
    person.type_into("Name", "By keyboard")
    person.tab_to("How often…")
    page.keyboard.type("Monthly")
    person.tab_to("client C-7…")
    page.keyboard.press("Space")
    person.enter("Show what it will do")
    person.enter("Set it up")
    assert "By keyboard" in person.text
    assert "2026-03-30" in person.text
    page.close()


# -- The documentation --------------------------------------------------------

PAGES = [
    "index.html",
    "tutorial/first-autopay.html",
    "how-to/forecast.html",
    "reference/postings.html",
    "explanation/safety.html",
]


class Site(NamedTuple):
    """The documentation, built and served."""

    folder: Path
    address: str


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Build the documentation, and serve it on this machine only."""
    pytest.importorskip("sphinx", reason="the group docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-b", "html"),
            *(str(ROOT / "docs"), str(folder)),
        ],
        check=True,
        timeout=600,
    )
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Site(folder.resolve(), f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join()


@pytest.mark.timeout(700)
@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_pages_of_the_documentation_are_for_everybody(
    chromium: Any, site: Site, width: int, scheme: str
) -> None:
    page = chromium.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    for path in PAGES:
        Eyes(page, site.address).open(path)
    page.close()


@pytest.mark.timeout(700)
def test_no_block_of_the_tutorial_scrolls_sideways_on_a_telephone(
    chromium: Any, site: Site
) -> None:
    page = chromium.new_page(viewport={"width": NARROW, "height": 900})
    page.goto(f"{site.address}tutorial/first-autopay.html")

    blocks = page.evaluate(
        "[...document.querySelectorAll('pre')]"
        ".map(each => each.scrollWidth - each.clientWidth)"
    )

    assert len(blocks) > 5
    assert max(blocks) <= 1
    page.close()


@pytest.mark.timeout(700)
@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("webhook", "how-to/webhooks.html"),
        ("edit", "how-to/edit.html"),
        ("run now", "how-to/run-now.html"),
        ("Stripe", "how-to/stripe.html"),
    ],
)
def test_the_search_finds(
    chromium: Any, site: Site, words: str, first: str
) -> None:
    page = chromium.new_page()
    page.goto(f"{site.address}search.html")
    page.locator("input[name=q]:visible").first.fill(words)
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    page.wait_for_timeout(500)

    found = page.evaluate(
        "[...document.querySelectorAll('#search-results li a')]"
        ".map(each => each.href)"
    )

    assert any(first in each for each in found)
    page.close()


class Links(HTMLParser):
    """Where a page leads, and what of it can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.to: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        link = given.get("href") if tag in {"a", "link"} else given.get("src")
        if link:
            self.to.append(link)


@pytest.mark.timeout(700)
def test_no_link_within_the_documentation_is_dead(site: Site) -> None:
    pages = {
        path: Links(path.read_text("utf-8"))
        for path in site.folder.rglob("*.html")
    }
    dead: list[tuple[str, str]] = []
    seen = 0

    for path, links in pages.items():
        for link in links.to:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            seen += 1
            there = path
            if parts.path:
                there = (path.parent / unquote(parts.path)).resolve()
            if not there.exists() or (
                parts.fragment
                and there in pages
                and unquote(parts.fragment) not in pages[there].ids
            ):
                dead.append((str(path.relative_to(site.folder)), link))

    assert dead == []
    assert seen > 1_000
