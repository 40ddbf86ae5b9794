"""A surface to draw explorers on with Pillow: a new picture in milliseconds, where a matplotlib
Figure takes 20 to 80.

Lengths are in the page's pixels; everything is drawn larger, so that lines are smooth and a
projector sharp.
"""

import io
import itertools
import math
import re
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from helpers.plotting import INK, OTHER, TEXT

SCALE = 1.5
_MINUS = re.compile(r"(?<![\w.])-(?=[\d.])")
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@lru_cache
def _font(px: float, bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        str(_FONTS / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), round(px * SCALE)
    )


@lru_cache(4096)
def _written(text: str, px: float, bold: bool, anchor: str) -> tuple[Image.Image, tuple[int, int]]:
    # A text as a mask, and where its corner lies from its anchor: most texts of an explorer come
    # again and again.
    font = _font(px, bold)
    left, top, right, bottom = font.getbbox(text, anchor=anchor)
    mask = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, anchor=anchor)
    return mask, (round(left), round(top))


def as_picture(pixels) -> Image.Image:
    """Return pixels, uint8 or float in [0, 1], shape (3, H, W), as a picture that a canvas can show
    many times.
    """
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        array = (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))


def with_minus(text: str) -> str:
    """Return a text whose negative numbers have a minus sign instead of a hyphen."""
    return _MINUS.sub("−", text)


class Canvas:
    """A white picture of width x height page pixels; x grows to the right, y down."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.picture = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), "white")
        self._draw = ImageDraw.Draw(self.picture)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        px: float = 16,
        color: str = TEXT,
        anchor: str = "lm",
        bold: bool = False,
    ) -> None:
        """Write text; the anchor is l, m or r (across) and t, m, s or b (down), as Pillow's."""
        text, color = with_minus(text), INK.get(color, color)
        anchor = anchor.replace("t", "a").replace("b", "d")
        mask, (left, top) = _written(text, px, bold, anchor)
        self.picture.paste(color, (round(x * SCALE) + left, round(y * SCALE) + top), mask)

    def text_width(self, text: str, px: float = 16, bold: bool = False) -> float:
        """Return the width of a text in page pixels."""
        return _font(px, bold).getlength(text) / SCALE

    def paragraph(
        self, x: float, y: float, width: float, text: str, px: float = 16, color: str = TEXT
    ) -> float:
        """Write text in lines of at most `width`, and return where the next line would go."""
        line = ""
        for word in [*text.split(), None]:
            longer = f"{line} {word}".strip()
            if word is None or self.text_width(longer, px) > width:
                self.text(x, y, line, px, color, "lt")
                y, line = y + 1.4 * px, word or ""
            else:
                line = longer
        return y

    def line(
        self,
        points: list[tuple[float, float]],
        color: str = TEXT,
        width: float = 2,
        dashed: bool = False,
    ) -> None:
        """Draw a line through points."""
        points = [(x * SCALE, y * SCALE) for x, y in points]
        if not dashed:
            self._draw.line(points, color, round(width * SCALE), joint="curve")
            return
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            steps = max(1, round(math.hypot(x1 - x0, y1 - y0) / (5 * SCALE)))
            for k in range(0, steps, 2):
                ends = [
                    (x0 + (x1 - x0) * t / steps, y0 + (y1 - y0) * t / steps)
                    for t in (k, min(k + 1, steps))
                ]
                self._draw.line(ends, color, round(width * SCALE))

    def arrow(
        self, x0: float, y0: float, x1: float, y1: float, color: str = TEXT, width: float = 3
    ) -> None:
        """Draw an arrow from (x0, y0) to (x1, y1); one too short for a head is left out."""
        length = math.hypot(x1 - x0, y1 - y0)
        head = min(4.5 * width, 0.8 * length)
        if length < 2:
            return
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        bx, by = x1 - ux * head, y1 - uy * head
        self.line([(x0, y0), (bx, by)], color, width)
        sx, sy = uy * head / 2, ux * head / 2
        self.polygon([(x1, y1), (bx - sx, by + sy), (bx + sx, by - sy)], color)

    def polygon(
        self,
        points: list[tuple[float, float]],
        fill: str | None = None,
        outline: str | None = None,
        width: float = 2,
    ) -> None:
        """Draw a polygon."""
        self._draw.polygon(
            [(x * SCALE, y * SCALE) for x, y in points], fill, outline, round(width * SCALE)
        )

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str | None = None,
        outline: str | None = None,
        line: float = 2,
    ) -> None:
        """Draw a rectangle with its top left corner at (x, y); its outline lies inside."""
        if width <= 0 or height <= 0:
            return
        box = [
            round(x * SCALE),
            round(y * SCALE),
            round((x + width) * SCALE) - 1,
            round((y + height) * SCALE) - 1,
        ]
        if box[2] >= box[0] and box[3] >= box[1]:
            self._draw.rectangle(box, fill, outline, round(line * SCALE))

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        fill: str | None = None,
        outline: str | None = None,
        line: float = 2,
    ) -> None:
        """Draw a circle around (x, y)."""
        box = [
            (x - radius) * SCALE,
            (y - radius) * SCALE,
            (x + radius) * SCALE,
            (y + radius) * SCALE,
        ]
        self._draw.ellipse(box, fill, outline, round(line * SCALE))

    def arc(
        self,
        x: float,
        y: float,
        radius: float,
        start: float,
        end: float,
        color: str = TEXT,
        width: float = 2,
    ) -> None:
        """Draw an arc around (x, y) between two angles in degrees, clockwise from the right."""
        box = [
            (x - radius) * SCALE,
            (y - radius) * SCALE,
            (x + radius) * SCALE,
            (y + radius) * SCALE,
        ]
        self._draw.arc(box, start, end, color, round(width * SCALE))

    def image(
        self,
        pixels,
        x: float,
        y: float,
        width: float,
        height: float | None = None,
        frame: str | None = None,
        line: float = 3,
    ) -> None:
        """Show pixels, as `as_picture` takes or gives them, in a box; enlarged ones keep their
        pixels visible.
        """
        size = (round(width * SCALE), round((height or width) * SCALE))
        shown = pixels if isinstance(pixels, Image.Image) else as_picture(pixels)
        if shown.size != size:
            larger = size[0] >= shown.width
            shown = shown.resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.BOX)
        self.picture.paste(shown, (round(x * SCALE), round(y * SCALE)))
        if frame:
            self.rectangle(
                x - line,
                y - line,
                width + 2 * line,
                (height or width) + 2 * line,
                None,
                frame,
                line,
            )

    def bar(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        share: float,
        color: str,
        text: str = "",
    ) -> None:
        """Draw a bar that is full at share 1, on a pale ground, with a text behind its end."""
        self.rectangle(x, y, width, height, "#EFEFEF")
        self.rectangle(x, y, width * min(max(share, 0.0), 1.0), height, color)
        if text:
            self.text(x + width + 8, y + height / 2, text, max(14, height * 0.7))

    def scale(
        self,
        x: float,
        y: float,
        width: float,
        value: float,
        color: str,
        label: str = "",
        marker: str = "circle",
    ) -> None:
        """Draw a scale from -1 to 1 with a marker at a value, and a label above the marker."""
        self.line([(x, y), (x + width, y)], OTHER, 2)
        for tick in (-1, 0, 1):
            place = x + width * (tick + 1) / 2
            self.line([(place, y - 5), (place, y + 5)], OTHER, 2)
            self.text(place, y + 9, f"{tick:g}", 14, "#555555", "mt")
        place = x + width * (min(max(value, -1), 1) + 1) / 2
        self.marker(place, y, marker, 9, color)
        if label:
            half = self.text_width(label, 15, True) / 2
            self.text(
                min(max(place, x + half), x + width - half),
                y - 15,
                label,
                15,
                color,
                "mb",
                bold=True,
            )

    def marker(self, x: float, y: float, kind: str, radius: float, color: str) -> None:
        """Draw a circle, square, diamond, triangle or cross around (x, y)."""
        if kind == "circle":
            self.circle(x, y, radius, color, "white", 1.5)
            return
        turns = {"square": (4, 45), "diamond": (4, 0), "triangle": (3, -90), "cross": (4, 45)}
        count, first = turns[kind]
        radius *= 1.2
        corners = [
            (
                x + radius * math.cos(math.radians(first + k * 360 / count)),
                y + radius * math.sin(math.radians(first + k * 360 / count)),
            )
            for k in range(count)
        ]
        if kind == "cross":
            self.line([corners[0], corners[2]], color, 3.5)
            self.line([corners[1], corners[3]], color, 3.5)
        else:
            self.polygon(corners, color, "white", 1.5)

    def jpeg(self) -> bytes:
        """Return the picture as JPEG: four times as quick to write as PNG."""
        buffer = io.BytesIO()
        self.picture.save(buffer, "jpeg", quality=88, subsampling=0)
        return buffer.getvalue()

    def png(self) -> bytes:
        """Return the picture as a smaller PNG, for a saved notebook."""
        buffer = io.BytesIO()
        smaller = self.picture.resize(
            (round(self.width * 1.25), round(self.height * 1.25)), Image.Resampling.LANCZOS
        )
        smaller.save(buffer, "png", optimize=True)
        return buffer.getvalue()
