"""A real JupyterLab in headless Chromium: each notebook is run, a slider moved, and a picture of each explorer kept.

The pictures lie in tests/artifacts afterwards. They are made to be looked at.
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

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
ARTIFACTS = ROOT / "tests" / "artifacts"
LECTURES = sorted((ROOT / "slides").glob("[0-9][0-9]_*.html"))
EXPLORERS = {"01_self_prediction_vs_contrastive": 6, "02_augmentations": 3, "03_similarity_and_nt_xent": 3,
             "05_transfer_options": 2, "06_findings": 1}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run", "--disable-quic"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_file = io.BytesIO()
Image.new("RGB", (60, 40), "teal").save(_file, "png")
PICTURE = _file.getvalue()

pytestmark = [pytest.mark.browser, pytest.mark.slow,
              pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves the notebooks and keeps no settings."""
    place = tmp_path_factory.mktemp("lab")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {f"JUPYTER{name}_DIR": str(place / name) for name in ("_CONFIG", "LAB_SETTINGS", "LAB_WORKSPACES")}
    quiet = Path(folders["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')  # or it asks, above the pictures
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.token=",
               "--ServerApp.password=", "--allow-root", f"--ServerApp.root_dir={ROOT / 'notebooks'}",
               "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=",
               "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (place / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | folders | {"COURSE_FAST": "1"}, stdout=log,
                                  stderr=subprocess.STDOUT)
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


def run_all(page, address: str, name: str) -> None:
    """Open a notebook and run it from top to bottom."""
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    kernel = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
    page.wait_for_function(f"() => {kernel}?.status === 'idle'", timeout=90_000)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")  # until the last cell is done


@pytest.mark.parametrize("name", EXPLORERS)
def test_explorers_answer_in_jupyterlab(lab, browser, name):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    try:
        run_all(page, lab, name)
        images = page.locator(".widget-image")
        assert images.count() == EXPLORERS[name]
        ARTIFACTS.mkdir(exist_ok=True)
        for k in range(images.count()):
            image = images.nth(k)
            image.scroll_into_view_if_needed()
            box = image.locator("xpath=..")  # controls, picture and sentence
            controls = box.locator(".noUi-handle, select, button, input:visible")
            assert controls.count() > 0
            assert all(controls.nth(place).evaluate("control => control.tabIndex >= 0")
                       for place in range(controls.count())), "a control that no key reaches"
            before = image.get_attribute("src")
            box.screenshot(path=ARTIFACTS / f"{name}-{k + 1}.png")
            handle = box.locator(".noUi-handle").first
            handle.focus()
            at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            handle.press("Home" if at_end else "End")
            page.wait_for_function("([image, before]) => image.src !== before", arg=[image.element_handle(), before],
                                   timeout=5000)
            box.screenshot(path=ARTIFACTS / f"{name}-{k + 1}-moved.png")
        for title in ("mine.png", "mine.png (2)") if name.startswith("02") else ():  # the same file twice
            with page.expect_file_chooser() as chosen:
                page.locator(".widget-upload").first.click()
            chosen.value.set_files({"name": "mine.png", "mimeType": "image/png", "buffer": PICTURE})
            listed = page.locator(".widget-dropdown select").first.element_handle()
            chosen_is = "([list, title]) => list.selectedOptions[0].text.replace(/\\s/g, ' ') === title"
            page.wait_for_function(chosen_is, arg=[listed, title], timeout=5000)
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    finally:
        page.close()
    assert not [text for text in errors if not re.search(r"favicon", text)]


def test_photos_are_labelled_by_clicking(lab, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    run_all(page, lab, "07_your_images")
    under = page.locator("button[title^='label ']")
    assert under.count() == 12
    name, before = under.first.get_attribute("title"), under.first.inner_text()
    other = page.locator(".widget-toggle-button", has_text="star" if before != "star" else "heart")
    other.click()
    under.first.click()
    page.wait_for_function("([title, text]) => document.querySelector(`button[title='${title}']`).innerText === text",
                           arg=[name, other.inner_text()], timeout=5000)
    ARTIFACTS.mkdir(exist_ok=True)
    under.first.locator("xpath=../../..").screenshot(path=ARTIFACTS / "07_your_images-labels.png")
    undo = page.locator("button", has_text=re.compile("^undo$"))
    undo.click()
    page.wait_for_function("([title, text]) => document.querySelector(`button[title='${title}']`).innerText === text",
                           arg=[name, before], timeout=5000)
    names = page.locator(".widget-text", has_text="classes").locator("input")
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
    under.first.locator("xpath=../../..").screenshot(path=ARTIFACTS / "07_your_images-question.png")
    page.locator("button", has_text="keep it as it was").click()
    page.get_by_text(f"{classes[0]} is no longer a class.").wait_for(state="detached", timeout=5000)
    assert names.input_value() == ", ".join(classes)
    page.close()


OVERFLOWS = """() => [...document.querySelectorAll('section[data-marpit-pagination], section.title')].flatMap(slide => {
    const frame = slide.getBoundingClientRect();
    return [...slide.querySelectorAll('h1, h2, p, li, img, table, td, th, mjx-container')].filter(part => {
        const place = part.getBoundingClientRect();
        return !(place.width > 0 && place.height > 0 && place.left >= frame.left && place.right <= frame.right + 1
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
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate(OVERFLOWS) == []
    assert said == []
    assert set(asked) <= {"file", "data", "blob"}, "a request left the machine"
    page.close()
