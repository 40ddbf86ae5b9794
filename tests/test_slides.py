"""The lectures: one idea a slide, notes with minutes, pictures that exist, numbers that come from
where they stand.
"""

import io
import re
import shutil

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from helpers.plotting import to_png
from slides import build as slides
from slides.build import NUMBERS, PLACE, decks, fill
from slides.figures import FIGURES, draw

DECKS = decks()


def pages(deck):
    """Return the slides of a deck: (visible text, note) each."""
    body = deck.read_text().split("---\n", 2)[2]
    found = []
    for page in body.split("\n---\n"):
        notes = [
            note
            for note in re.findall(r"<!--(.*?)-->", page, re.DOTALL)
            if not note.strip().startswith("_")
        ]
        found.append(
            (re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL).strip(), " ".join(notes).strip())
        )
    return found


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.stem)
def test_a_slide_holds_one_idea_in_few_words(deck):
    found = pages(deck)
    assert 25 <= len(found) <= 38
    for text, note in found:
        shown = re.sub(
            r"!\[.*?\]\(.*?\)|\$\$.*?\$\$|^\d+\. ", "", text, flags=re.DOTALL | re.MULTILINE
        )
        words = [word for word in re.sub(r"[#*|`]", " ", shown).split() if re.search(r"\w", word)]
        assert len(words) <= 27, text
        assert text.count("\n# ") + text.startswith("# ") == 1, text
        assert re.match(r"\d+ min\. ", note), f"minutes are missing in the note of: {text}"


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.stem)
def test_pictures_have_alt_texts_and_are_drawn_by_the_course(deck):
    for alt, path in re.findall(r"!\[(.*?)\]\((.*?)\)", deck.read_text()):
        assert len(alt) > 15, path
        assert re.fullmatch(r"figures/(\w+)\.png", path)[1] in FIGURES


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.stem)
def test_a_lecture_ends_with_three_questions_and_a_notebook(deck):
    *_, (questions, _), (last, _) = pages(deck)
    assert questions.startswith("# Three questions")
    assert questions.count("?") == 3
    number = re.search(r"# Now open notebook (\d\d)", last)[1]
    assert list((slides.PROJECT / "notebooks").glob(f"{number}_*.ipynb"))


def test_numbers_are_filled_in_and_unknown_ones_refused():
    for deck in DECKS:
        assert not PLACE.search(fill(deck.read_text()))
    assert fill("{{simclr_1x}}%") == f"{NUMBERS['simclr_1x']()}%"
    with pytest.raises(ValueError, match="there is no number 'nonsense' for the slides"):
        fill("{{nonsense}}")


def test_every_number_and_figure_is_used():
    text = "".join(deck.read_text() for deck in DECKS)
    assert set(PLACE.findall(text)) == set(NUMBERS)
    assert set(slides.PICTURE.findall(text)) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_one_that_is_kept_and_its_text_large_enough(name):
    torch.manual_seed(0)
    drawn = FIGURES[name]()
    if isinstance(drawn, Figure):
        drawn.draw_without_rendering()
        assert not [
            text.get_text()
            for text in drawn.findobj(Text)
            if text.get_text() and text.get_fontsize() < 9
        ]
        drawn = to_png(drawn, dpi=150)
    ours = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), float)
    kept = np.asarray(Image.open(slides.SLIDES / "figures" / f"{name}.png").convert("RGB"), float)
    assert ours.shape == kept.shape, "run: python slides/build.py"
    # other processors round otherwise
    assert np.abs(ours - kept).mean() < 2, "run: python slides/build.py"


def test_an_unknown_figure_is_told():
    with pytest.raises(ValueError, match="there is no figure 'nothing'"):
        draw("nothing")


@pytest.mark.parametrize(
    ("missing", "message"),
    [("node", "Marp needs Node.js"), ("browser", "needs Chromium or Chrome")],
)
def test_what_is_missing_is_told(monkeypatch, missing, message):
    monkeypatch.delenv("CHROME_PATH", raising=False)
    there = {"chromium"} if missing == "node" else {"npx"}
    monkeypatch.setattr(shutil, "which", lambda name: name if name in there else None)
    with pytest.raises(ValueError, match=message):
        slides.build(DECKS[0])


def test_an_unknown_lecture_is_told_which_there_are(capsys):
    with pytest.raises(SystemExit):
        slides.main(["99"])
    assert (
        "no lecture begins with 99; there are 01_self_supervised_learning"
        in capsys.readouterr().err
    )
