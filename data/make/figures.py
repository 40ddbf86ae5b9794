"""The README's pictures: the neighbours of notebook 00, and every explorer, moving."""

import base64
import json

from helpers.artifacts import PROJECT, with_block, write_bytes, write_text
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
    write_bytes(figures / "neighbors.png", base64.b64decode(pictures[-1]))
    for name in MOVES:
        write_bytes(figures / "explorers" / f"{name}.gif", animate(name))
    readme = PROJECT / "README.md"
    text = with_gallery(readme.read_text("utf-8"))
    write_text(readme, text)


def with_gallery(readme: str) -> str:
    """Return the README with the table of explorers between its marks."""
    return with_block(readme, "explorers", gallery())
