"""The site: every page is there, loads nothing from elsewhere, and works with keys, by touch and on a phone."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vemrecon.cli import main
from vemrecon.fit.learned import Learned
from vemrecon.methods.shipped_weights import shipped_weights
from vemrecon.report.write import MARK

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in ("src", "href", "srcset", "data"):
                self.loads.append(value)


@pytest.fixture
def site(handed_in, tmp_path):
    assert main(["verify", "sub", "--write"]) == 0
    assert main(["leaderboard", "build", "--submissions", "sub", "--out", "site"]) == 0
    return tmp_path / "site"


def test_all_pages_are_there_and_load_nothing_from_elsewhere(site):
    pages = sorted(page.relative_to(site).as_posix() for page in site.rglob("*.html"))
    assert pages == [
        "datasets/phantom.html",
        "index.html",
        "methods/Mixed.html",
        "tables/phantom-smoke-z-4-subsample.html",
    ]
    for page in pages:
        found = Links()
        found.feed((site / page).read_text())
        assert all(address.startswith("data:") for address in found.loads), page
        for link in found.links:
            if not link.startswith(("#", "https://")):
                assert ((site / page).parent / link.partition("#")[0]).is_file(), (page, link)
    method = (site / "methods" / "Mixed.html").read_text()
    assert "linear and cubic interpolation, mixed" in method and "rescored" in method and "MIT" in method
    dataset = (site / "datasets" / "phantom.html").read_text()
    assert "CC0-1.0" in dataset and "vemrecon fetch phantom" in dataset and "quick runs" in dataset
    assert dataset.count("data:image/png") >= 3


def test_pages_of_what_is_gone_are_removed(site, tmp_path):
    more = tmp_path / "sub" / "more"
    (folder,) = [one for one in (tmp_path / "sub").iterdir() if one.is_dir()]
    shutil.copytree(folder, more)
    assert main(["leaderboard", "build", "--submissions", "sub", "--out", "site"]) == 0  # the same run twice
    stray = site / "methods" / "Gone.html"
    stray.write_text("somebody's")
    assert main(["leaderboard", "build", "--submissions", "sub", "--out", "site"]) == 0
    assert stray.exists()  # was not written by the site


@pytest.fixture(scope="module")
def our_board(tmp_path_factory):
    if not (LEADERBOARDS / "submissions").is_dir():
        pytest.skip("an installed package has no leaderboards")
    place = tmp_path_factory.mktemp("ours") / "board"
    words = ["--submissions", str(LEADERBOARDS / "submissions"), "--out", str(place)]
    assert main(["leaderboard", "build", *words]) == 0
    return place


def test_the_tables_of_the_repository_are_those_of_its_submissions(our_board):
    kept = LEADERBOARDS / "board"
    assert (our_board / "README.md").read_bytes() == (kept / "README.md").read_bytes()
    marks = [json.loads((place / MARK).read_text()) for place in (our_board, kept)]  # lets a fresh clone build there
    assert marks[0]["source"] == marks[1]["source"]
    assert marks[0]["files"]["README.md"] == marks[1]["files"]["README.md"]


def test_cards_of_weights_say_what_the_board_says(our_board):
    tasks = json.loads((our_board / "leaderboard.json").read_text())["tasks"]
    rows = {run["run_id"]: (task, row) for task in tasks for row in task["rows"] for run in row["runs"]}
    for one in shipped_weights().values():
        learned = {region.dataset for region in Learned.read(one.verified()).regions}
        assert one.boards
        for slug, board in one.boards.items():
            task, row = rows[board.run]
            facts = task["task"]
            assert slug == (
                f"{facts['dataset']}-{facts['split']}-{facts['kind']}-{facts['axis']}-"
                f"{facts['degradation']['name']}-x{facts['scale']:g}"
            )
            assert board.seen == (facts["dataset"] in learned)
            interval = row["intervals"]["gain"]
            found = (row["cells"]["all"]["gain"]["value"], interval["low"], interval["high"])
            assert board.gain == pytest.approx(found, abs=0.006)


@pytest.fixture
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="a real browser: pip install playwright")
    program = os.environ.get("VEMRECON_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        pytest.skip("a real browser: install chromium, or name one in VEMRECON_BROWSER")
    with sync.sync_playwright() as play:
        found = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser, page, **more):
    errors = []
    view = browser.new_page(**more)
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    view.goto(page.as_uri())
    return view, errors


def test_boards_are_chosen_by_words_and_facts_and_the_address_keeps_that(site, browser):
    view, errors = opened(browser, site / "index.html")
    assert view.locator(".count").inner_text() == "1 of 1"
    view.keyboard.press("Tab")
    view.keyboard.type("cremi")
    assert view.locator(".count").inner_text() == "0 of 1" and "words=cremi" in view.url
    view.reload()
    assert view.locator(".count").inner_text() == "0 of 1"
    view.locator(".words").fill("")
    view.locator("tbody a", has_text="phantom · smoke").click()
    assert view.locator("h2.task-title").inner_text().startswith("phantom")
    view.locator("nav.back a").click()
    assert "Boards" in view.locator("h2").first.inner_text()
    assert not errors


def test_tables_and_depth_work_with_keys_alone(site, browser):
    view, errors = opened(browser, site / "tables" / "phantom-smoke-z-4-subsample.html")
    view.locator(".range .scroll").first.focus()
    view.keyboard.press("ArrowDown")
    view.keyboard.press("ArrowRight")
    said = view.locator(".tapped").first.inner_text()
    assert said.startswith("Mixed · ")
    while "dB" not in said and view.locator(".at-hand").count():
        view.keyboard.press("ArrowRight")
        said = view.locator(".tapped").first.inner_text()
    assert re.search(r"\d\d\.\d{6,} dB", said)  # all digits
    slider, said = view.locator(".depth .at"), view.locator(".depth .said")
    slider.focus()
    before, picture = said.inner_text(), view.locator(".depth .picture img").first.get_attribute("src")
    view.keyboard.press("ArrowRight")
    assert said.inner_text() != before
    assert view.locator(".depth .picture img").first.get_attribute("src") != picture
    view.keyboard.press("Home")
    assert said.inner_text() == "section 0"
    assert view.locator(".zline").evaluate("line => parseFloat(line.style.top)") < 5
    view.locator("thead button", has_text="method").first.focus()
    view.keyboard.press("Enter")
    assert view.locator("th[aria-sort]").first.inner_text().strip() == "method"
    assert not errors


def test_a_phone_sees_everything_by_touch(site, browser):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    for page in sorted(site.rglob("*.html")):
        view, errors = opened(browser, page, **phone)
        assert view.evaluate("document.documentElement.scrollWidth") == 390, page
        assert not errors
    view, errors = opened(browser, site / "tables" / "phantom-smoke-z-4-subsample.html", **phone)
    view.locator("tbody td.num").first.tap()
    assert view.locator(".tapped").first.inner_text().startswith("Mixed · ")
    view.locator(".viewer .plane:not([hidden]) .picture").first.tap()
    assert view.locator("#compare").is_visible()
    view.locator("#compare .close").tap()
    chart = view.locator(".hover svg").first
    chart.scroll_into_view_if_needed()
    chart.tap(position={"x": 150, "y": 90})
    assert not errors
