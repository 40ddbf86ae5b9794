"""Pictures that everyone can read: colours that stay apart for any colour vision, contrast, and
size of text.
"""

import warnings
from itertools import combinations

import numpy as np
import pytest
from explorers import EXPLORERS

from helpers import plotting
from helpers.widgets.canvas import SCALE, Canvas

with warnings.catch_warnings():
    # it looks for plotting packages that only its own pictures need
    warnings.simplefilter("ignore")
    import colour

KINDS = (None, "Protanomaly", "Deuteranomaly", "Tritanomaly")
MEANINGS = ("VIEW_A", "VIEW_B", "POSITIVE", "NEGATIVE", "CHOSEN")
SMALLEST = 12  # px of a page: 9 pt at normal zoom


def linear(color) -> np.ndarray:
    """Return a colour, written #RRGGBB or as three numbers to 255, as linear RGB."""
    if isinstance(color, str):
        color = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    return colour.models.eotf_sRGB(np.asarray(color[:3]) / 255)


def seen(color: str, kind: str | None) -> np.ndarray:
    """Return a colour as L*a*b*, as it looks with this kind of colour vision."""
    light = linear(color)
    if kind:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            light = np.clip(colour.blindness.matrix_cvd_Machado2009(kind, 1.0) @ light, 0, 1)
    return colour.XYZ_to_Lab(colour.RGB_COLOURSPACES["sRGB"].matrix_RGB_to_XYZ @ light)


def contrast(first, second) -> float:
    """Return the contrast ratio of two colours, from 1 to 21, as WCAG 2 defines it."""
    low, high = sorted(float(linear(each) @ (0.2126, 0.7152, 0.0722)) for each in (first, second))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_colours_with_a_meaning_stay_apart(kind):
    """By CIEDE2000, of which 2 to 3 is what one just sees; a second sign says the same as each
    colour besides.
    """
    for first, second in combinations(MEANINGS, 2):
        lab = [seen(getattr(plotting, name), kind) for name in (first, second)]
        assert colour.delta_E(*lab, method="CIE 2000") > 10, (first, second)


def test_red_and_green_of_equal_lightness_would_not_stay_apart():
    lab = [seen(color, "Deuteranomaly") for color in ("#C04040", "#7C7C30")]
    assert colour.delta_E(*lab, method="CIE 2000") < 10


@pytest.mark.parametrize("kind", EXPLORERS, ids=lambda kind: kind.__name__)
def test_the_text_of_an_explorer_is_large_and_dark_enough(kind, monkeypatch):
    """As WCAG 2 asks: 4.5 to 1 against what lies behind, or 3 to 1 where text is large (24 px, or
    bold and 18.66).
    """
    faults, write = set(), Canvas.text

    def noted(canvas, x, y, text, px=16, color=plotting.TEXT, anchor="lm", bold=False):
        width = canvas.text_width(text, px, bold)
        left = x - {"l": 0, "m": width / 2, "r": width}[anchor[0]]
        top = y - {"t": 0, "m": px / 2, "s": px, "b": px}[anchor[1]]
        place = canvas.picture.crop(
            [round(at * SCALE) for at in (left, top, left + width + 1, top + px)]
        )
        behind = max(place.getcolors(place.width * place.height))[1]  # the colour of most of it
        named = {"white": "#FFFFFF", "black": "#000000"}.get(color, plotting.INK.get(color, color))
        enough = 3 if px >= 24 or (bold and px >= 18.66) else 4.5
        ratio = contrast(named, behind)
        if text.strip() and (px < SMALLEST or ratio < enough):
            faults.add((text[:20], px, color, round(ratio, 1)))
        write(canvas, x, y, text, px, color, anchor, bold)

    explorer = kind()
    monkeypatch.setattr(Canvas, "text", noted)
    explorer.redraw()
    assert not faults
