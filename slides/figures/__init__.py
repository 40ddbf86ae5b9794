"""The pictures of the slides, drawn by the code that the notebooks use: `draw` returns one as PNG
by its name.
"""

import torch

from helpers.plotting import to_png
from slides.figures import lecture1, lecture2, lecture3

FIGURES = lecture1.FIGURES | lecture2.FIGURES | lecture3.FIGURES


def draw(name: str) -> bytes:
    """Return a figure as PNG.

    Raises:
        ValueError: If there is no figure of that name.
    """
    if name not in FIGURES:
        raise ValueError(f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    torch.manual_seed(0)
    drawn = FIGURES[name]()
    return drawn if isinstance(drawn, bytes) else to_png(drawn, dpi=150)
