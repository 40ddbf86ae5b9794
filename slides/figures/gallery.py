"""A short moving picture of each explorer, for the README: one of its controls is moved and every
frame is its own.
"""

import io

import numpy as np
from PIL import Image

from helpers.own_images import sample_images
from helpers.results import markdown_table
from helpers.settings import settings_for
from helpers.simclr import load_pretrained
from helpers.widgets.angle import AngleExplorer
from helpers.widgets.by_hand import ByHand
from helpers.widgets.circle import CircleExplorer
from helpers.widgets.composition import CompositionExplorer
from helpers.widgets.embedding import EmbeddingExplorer
from helpers.widgets.histograms import HistogramExplorer
from helpers.widgets.matrix import MatrixExplorer
from helpers.widgets.options import OptionsExplorer
from helpers.widgets.policy import PolicyExplorer
from helpers.widgets.search import SearchExplorer
from helpers.widgets.self_prediction import (
    ColorizationExplorer,
    DenoisingExplorer,
    JigsawExplorer,
    MaskedExplorer,
    RotationExplorer,
)
from helpers.widgets.transforms import TransformsExplorer
from helpers.widgets.two_views import TwoViewsExplorer
from slides.figures.common import explorer_picture

WIDTH, SECONDS = 480, 0.45  # of a frame

# Name: what makes it, the control that is moved and where to, its notebook, and what the picture
# shows.
MOVES = {
    "masked": (
        MaskedExplorer,
        "ratio",
        (0.25, 0.5, 0.75, 0.9),
        "01",
        "hide more and more, and see what is painted",
    ),
    "denoising": (
        DenoisingExplorer,
        "sigma",
        (0.0, 0.1, 0.2, 0.4),
        "01",
        "add noise, and see it taken away",
    ),
    "colorization": (
        ColorizationExplorer,
        "boost",
        (1.0, 2.0, 3.0),
        "01",
        "guess the colours of a grey picture",
    ),
    "rotation": (
        RotationExplorer,
        "angle",
        (0, 45, 90, 135, 180, 270),
        "01",
        "turn a picture, and read the answer",
    ),
    "jigsaw": (
        JigsawExplorer,
        "order",
        (1, 8, 14, 20),
        "01",
        "shuffle the tiles, and see them put back",
    ),
    "circle": (
        CircleExplorer,
        "temperature",
        (0.05, 0.25, 0.5, 1.0, 2.0),
        "01",
        "pull pairs together, push the rest away",
    ),
    "transforms": (
        TransformsExplorer,
        "hue",
        (-0.5, -0.3, 0.0, 0.3, 0.5),
        "02",
        "nine ways to change a picture",
    ),
    "two_views": (
        TwoViewsExplorer,
        "strength",
        (0.0, 0.5, 1.0, 1.5),
        "02",
        "what an encoder has become blind to",
    ),
    "histograms": (
        HistogramExplorer,
        "color",
        (False, True),
        "02",
        "crops share their colours: a shortcut",
    ),
    "angle": (AngleExplorer, "angle", (0, 40, 90, 140, 180), "03", "cosine similarity as an angle"),
    "matrix": (
        MatrixExplorer,
        "epoch",
        (0, 1, 2, 5, 10, 15),
        "03",
        "all similarities of a batch, as training goes on",
    ),
    "by_hand": (
        ByHand,
        "value",
        (-0.5, 0.0, 0.5, 0.9),
        "03",
        "the loss with real numbers, changed by hand",
    ),
    "embedding": (
        EmbeddingExplorer,
        "index",
        (130, 40, 75, 300),
        "05",
        "the map of an encoder, and neighbours",
    ),
    "options": (
        OptionsExplorer,
        "labels",
        ("5", "20", "100", "all"),
        "05",
        "which option, with how many labels",
    ),
    "composition": (
        CompositionExplorer,
        "first",
        ("cutout", "crop", "color", "sobel"),
        "06",
        "which two transforms teach the most",
    ),
    "policy": (
        lambda: PolicyExplorer(sample_images(), settings_for("laptop", "cifar10")),
        "color_strength",
        (0.0, 0.5, 1.0, 1.5),
        "07",
        "what may two views of your photos differ in?",
    ),
    "search": (
        lambda: SearchExplorer(
            sample_images(), {"SimCLR": load_pretrained("cifar10-tiny").encoder}, 32
        ),
        "which",
        (2, 3, 7, 12),
        "07",
        "search your photos by a photo",
    ),
}


def animate(name: str) -> bytes:
    """Return the moving picture of an explorer, a GIF.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in MOVES:
        raise ValueError(f"there is no explorer {name!r}; there are {', '.join(MOVES)}")
    make, control, values, _, _ = MOVES[name]
    explorer, frames = make(), []
    for value in values:
        getattr(explorer, control).value = value
        frame = Image.open(io.BytesIO(explorer_picture(explorer))).convert("RGB")
        frames.append(
            frame.resize(
                (WIDTH, round(WIDTH * frame.height / frame.width)), Image.Resampling.LANCZOS
            )
        )
    # One palette for all frames: nothing flickers.
    whole = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames])).quantize(96)
    indexed = [frame.quantize(palette=whole, dither=Image.Dither.NONE) for frame in frames]
    moving = io.BytesIO()
    indexed[0].save(
        moving,
        "GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=int(1000 * SECONDS),
        loop=0,
    )
    return moving.getvalue()


def gallery() -> str:
    """Return the README's table of all explorers, three in a row."""
    cells = [
        f"![{text[0].upper()}{text[1:]}](slides/figures/explorers/{name}.gif)<br>{text} "
        f"({notebook})"
        for name, (_, _, _, notebook, text) in MOVES.items()
    ]
    rows = [cells[k : k + 3] for k in range(0, len(cells), 3)]
    return markdown_table(("", "", ""), rows)
