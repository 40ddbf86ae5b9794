"""A real JupyterLab in headless Chromium: one notebook with every explorer, and the lectures.

A picture of each explorer lies in tests/artifacts afterwards. They are made to be looked at.
"""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from explorers import EXPLORERS
from PIL import Image

ROOT = Path(__file__).parent.parent
ARTIFACTS = ROOT / "tests" / "artifacts"
LECTURES = sorted((ROOT / "slides").glob("[0-9][0-9]_*.html"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
NAMES = [make.__name__ for make in EXPLORERS]
BOARD = """\
from pathlib import Path
from helpers.own_images import sample_images
from helpers.widgets.labels import LabelBoard
LabelBoard(sample_images(), Path("labels.json"))"""

_file = io.BytesIO()
Image.new("RGB", (60, 40), "teal").save(_file, "png")
PICTURE = _file.getvalue()

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"
    ),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves one notebook with a cell for each explorer, and keeps
    no settings.
    """
    place = tmp_path_factory.mktemp("lab")
    served = tmp_path_factory.mktemp("served")
    cells = [f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nimport explorers"]
    cells += [f"explorers.{name}()" for name in NAMES] + [BOARD]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=kernel
    )
    nbformat.write(notebook, served / "explorers.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {
        f"JUPYTER{name}_DIR": str(place / name)
        for name in ("_CONFIG", "LAB_SETTINGS", "LAB_WORKSPACES")
    }
    quiet = Path(folders["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    # or it asks, above the pictures
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--port={port}",
        "--ServerApp.token=",
        "--ServerApp.password=",
        "--allow-root",
        f"--ServerApp.root_dir={served}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    environment = os.environ | folders | {"PYTHONPATH": str(ROOT)}
    with (place / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(lab, browser):
    """The notebook with all explorers, run from top to bottom; what the console said is checked at
    the end.
    """
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    errors = []
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.goto(f"{lab}/lab/tree/explorers.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    kernel = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
    page.wait_for_function(f"() => {kernel}?.status === 'idle'", timeout=90_000)
    # until the last cell is done
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    ARTIFACTS.mkdir(exist_ok=True)
    yield page
    page.close()
    assert not [text for text in errors if "favicon" not in text]


def cell_of(page, place: int):
    """Return the cell of the notebook at a place, scrolled to where it is seen."""
    page.evaluate(f"() => window.jupyterapp.shell.currentWidget.content.scrollToItem({place})")
    cell = page.locator(f".jp-Cell[data-windowed-list-index='{place}']")
    cell.wait_for(timeout=10_000)
    return cell


def test_no_cell_ends_in_an_error(page):
    assert (
        page.locator(
            ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
        ).count()
        == 0
    )
    assert (
        page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count()
        == 0
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_explorer_answers_in_jupyterlab(page, name):
    cell = cell_of(page, 1 + NAMES.index(name))
    image = cell.locator(".widget-image").first
    image.scroll_into_view_if_needed()
    box = image.locator("xpath=..")  # controls, picture and sentence
    controls = box.locator(".noUi-handle, select, button, input:visible")
    assert controls.count() > 0
    assert all(
        controls.nth(place).evaluate("control => control.tabIndex >= 0")
        for place in range(controls.count())
    ), "a control that no key reaches"
    before = image.get_attribute("src")
    box.screenshot(path=ARTIFACTS / f"{name}.png")
    handle = box.locator(".noUi-handle").first
    handle.focus()
    at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    handle.press("Home" if at_end else "End")
    page.wait_for_function(
        "([image, before]) => image.src !== before",
        arg=[image.element_handle(), before],
        timeout=5000,
    )
    box.screenshot(path=ARTIFACTS / f"{name}-moved.png")


def test_a_photo_of_ones_own_is_taken_twice(page):
    cell = cell_of(page, 1 + NAMES.index("TransformsExplorer"))
    for title in ("mine.png", "mine.png (2)"):  # the same file twice
        with page.expect_file_chooser() as chosen:
            cell.locator(".widget-upload").first.click()
        chosen.value.set_files({"name": "mine.png", "mimeType": "image/png", "buffer": PICTURE})
        listed = cell.locator(".widget-dropdown select").first.element_handle()
        chosen_is = "([list, title]) => list.selectedOptions[0].text.replace(/\\s/g, ' ') === title"
        page.wait_for_function(chosen_is, arg=[listed, title], timeout=5000)


def test_photos_are_labelled_by_clicking(page):
    cell = cell_of(page, 1 + len(NAMES))
    under = cell.locator("button[title^='label ']")
    assert under.count() == 12
    name, before = under.first.get_attribute("title"), under.first.inner_text()
    other = cell.locator(".widget-toggle-button", has_text="star" if before != "star" else "heart")
    other.click()
    under.first.click()
    page.wait_for_function(
        "([title, text]) => document.querySelector(`button[title='${title}']`).innerText === text",
        arg=[name, other.inner_text()],
        timeout=5000,
    )
    under.first.locator("xpath=../../..").screenshot(path=ARTIFACTS / "LabelBoard.png")
    undo = cell.locator("button", has_text=re.compile("^undo$"))
    undo.click()
    page.wait_for_function(
        "([title, text]) => document.querySelector(`button[title='${title}']`).innerText === text",
        arg=[name, before],
        timeout=5000,
    )
    names = cell.locator(".widget-text", has_text="classes").locator("input")
    classes = names.input_value().split(", ")
    names.fill(", ".join([*classes[1:], "lighthouse"]))  # the first one goes, another comes
    names.press("Enter")
    page.get_by_text(f"{classes[0]} is called lighthouse now").wait_for(timeout=5000)
    undo.click()
    page.get_by_text("The last change is undone.").wait_for(timeout=5000)
    assert names.input_value() == ", ".join(classes)
    names.fill(", ".join([*classes[2:], "lighthouse"]))  # two go, one comes: that is asked
    names.press("Enter")
    page.get_by_text(f"{classes[0]} is no longer a class.").wait_for(timeout=5000)
    under.first.locator("xpath=../../..").screenshot(path=ARTIFACTS / "LabelBoard-question.png")
    cell.locator("button", has_text="keep it as it was").click()
    page.get_by_text(f"{classes[0]} is no longer a class.").wait_for(state="detached", timeout=5000)
    assert names.input_value() == ", ".join(classes)


OVERFLOWS = """() => [...document.querySelectorAll(
    'section[data-marpit-pagination], section.title')].flatMap(slide => {
    const frame = slide.getBoundingClientRect();
    const parts = slide.querySelectorAll('h1, h2, p, li, img, table, td, th, mjx-container');
    return [...parts].filter(part => {
        const place = part.getBoundingClientRect();
        return !(place.width > 0 && place.height > 0
                 && place.left >= frame.left && place.right <= frame.right + 1
                 && place.top >= frame.top && place.bottom <= frame.bottom - frame.height * 0.02);
    }).map(part => slide.id + ' ' + part.tagName + ' ' + part.textContent.trim().slice(0, 40));
})"""


@pytest.mark.parametrize("deck", LECTURES, ids=lambda deck: deck.stem)
def test_a_lecture_opens_offline_and_every_slide_fits(browser, deck):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url.split(":", 1)[0]))
    page.on("console", lambda message: message.type == "error" and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(deck.as_uri(), wait_until="load")
    slides = page.locator("section[id]").count()
    source = deck.with_suffix(".md").read_text().split("---\n", 2)[2]
    assert slides == source.count("\n---\n") + 1
    assert page.evaluate(
        "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    )
    assert page.evaluate(OVERFLOWS) == []
    assert said == []
    assert set(asked) <= {"file", "data", "blob"}, "a request left the machine"
    page.close()
