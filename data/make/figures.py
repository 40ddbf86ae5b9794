"""The README's pictures: the neighbours of notebook 00, and every explorer, moving."""

import base64
import json

from helpers.artifacts import PROJECT, with_block, write_aside
from slides.figures.gallery import MOVES, animate, gallery


def make_figures() -> None:
    """The README's pictures: the neighbours that the solution of notebook 00 shows, and all
    explorers, moving.
    """
    cells = json.loads((PROJECT / "notebooks" / "solutions" / "00_welcome.ipynb").read_text())[
        "cells"
    ]
    pictures = [
        output["data"]["image/png"]
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    figures = PROJECT / "slides" / "figures"
    with write_aside(figures / "neighbors.png") as aside:
        aside.write_bytes(base64.b64decode(pictures[-1]))
    for name in MOVES:
        with write_aside(figures / "explorers" / f"{name}.gif") as aside:
            aside.write_bytes(animate(name))
    readme = PROJECT / "README.md"
    text = with_gallery(readme.read_text("utf-8"))
    with write_aside(readme) as aside:
        aside.write_text(text, "utf-8")


def with_gallery(readme: str) -> str:
    """Return the README with the table of explorers between its marks."""
    return with_block(readme, "explorers", gallery())
