"""The ten panels of the paper's Figure 4, a photo and what nine transforms make of it, each with
its slider.
"""

import torch
from torch import Tensor

from helpers.augmentations import (
    blur_kernel_size,
    color_drop,
    color_jitter,
    crop_resize,
    cutout,
    flip,
    gaussian_blur,
    gaussian_noise,
    rotate,
    sobel,
)
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, slider
from helpers.widgets.photos import PhotoPicker

SIDE = 160  # pixels of the photo; every panel shows it so


class TransformsExplorer(Explorer):
    """A photo under each transform of the paper's Figure 4, computed by the functions that make
    training views.
    """

    def __init__(self):
        self.photo = PhotoPicker(SIDE, shapes=("star", "heart", "arrow"), first="temple")
        self.area = slider("b, c  area", 0.35, 0.05, 1.0, 0.05)
        self.place = slider("b, c  place", 0.3, 0.0, 1.0, 0.05)
        self.gray = slider("d  grey", 1.0, 0.0, 1.0, 0.05)
        self.brightness = slider("e  brightness", 1.1, 0.0, 2.0, 0.05)
        self.contrast = slider("e  contrast", 1.2, 0.0, 2.0, 0.05)
        self.saturation = slider("e  saturation", 1.3, 0.0, 2.0, 0.05)
        self.hue = slider("e  hue", 0.3, -0.5, 0.5, 0.02)
        self.turns = slider("f  × 90°", 1, 0, 3, 1)
        self.side = slider("g  side", 0.4, 0.0, 1.0, 0.05)
        self.noise = slider("h  sigma", 0.15, 0.0, 0.5, 0.01)
        self.blur = slider("i  sigma (px)", 3.0, 0.0, 8.0, 0.25)
        self.edges = slider("j  edges", 1.0, 0.0, 1.0, 0.05)
        self._kept: dict = {}
        # The same noise every time, so that a slider changes its strength and nothing else.
        self._noise = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        super().__init__(
            [
                *self.photo.controls,
                self.area,
                self.place,
                self.gray,
                self.brightness,
                self.contrast,
                self.saturation,
                self.hue,
                self.turns,
                self.side,
                self.noise,
                self.blur,
                self.edges,
            ],
            420,
        )

    def panels(self) -> list[tuple[str, str, Tensor]]:
        """Return letter, name and picture, float (3, SIDE, SIDE), of the ten panels."""
        image = self.photo.picture[None].float() / 255
        name, picture = self.photo.choice.value, id(self.photo.picture)

        def one(control) -> Tensor:
            return torch.tensor([control.value])

        side = torch.tensor([max(1.0, round(SIDE * self.area.value**0.5))])
        corner = ((SIDE - side) * self.place.value).round()
        crop = (corner, corner, side, side)
        hole = (one(self.side) * SIDE).round()
        jitter = (self.brightness, self.contrast, self.saturation, self.hue)
        wanted = (
            ("original", (), lambda: image),
            ("crop and resize", crop, lambda: crop_resize(image, *crop, SIDE)),
            (
                "crop, resize, flip",
                crop,
                lambda: flip(crop_resize(image, *crop, SIDE), torch.tensor([True])),
            ),
            ("colour drop", (self.gray.value,), lambda: color_drop(image, one(self.gray))),
            (
                "colour jitter",
                tuple(c.value for c in jitter),
                lambda: color_jitter(image, *map(one, jitter)),
            ),
            (f"rotate {90 * self.turns.value}°", (), lambda: rotate(image, one(self.turns))),
            (
                "cutout",
                (hole,),
                lambda: cutout(image, (SIDE - hole) * 0.4, (SIDE - hole) * 0.55, hole),
            ),
            (
                "Gaussian noise",
                (self.noise.value,),
                lambda: gaussian_noise(image, one(self.noise), self._noise),
            ),
            (
                "Gaussian blur",
                (self.blur.value,),
                lambda: gaussian_blur(image, one(self.blur), blur_kernel_size(SIDE)),
            ),
            ("Sobel filter", (self.edges.value,), lambda: sobel(image, one(self.edges))),
        )
        found = []
        for letter, (title, amounts, make) in zip("abcdefghij", wanted, strict=True):
            key = (name, picture, title, *(float(amount) for amount in amounts))
            # a slider changes one panel: the others are kept
            if self._kept.get(letter, (None,))[0] != key:
                self._kept[letter] = key, make()[0]
            found.append((letter, title, self._kept[letter][1]))
        return found

    def draw(self, canvas: Canvas) -> str:
        panels = self.panels()
        for index, (letter, title, picture) in enumerate(panels):
            x, y = 16 + 188 * (index % 5), 8 + 208 * (index // 5)
            canvas.image(picture, x + 8, y, SIDE)
            canvas.text(x + 8, y + SIDE + 17, f"({letter})", 15, bold=True)
            canvas.text(x + 38, y + SIDE + 17, title, 15)
        original, *changed = (picture for _, _, picture in panels)
        still = [
            letter
            for letter, picture in zip("bcdefghij", changed, strict=True)
            if torch.equal(picture, original)
        ]
        seen = (
            f"Unchanged, at these settings: {', '.join(still)}."
            if still
            else "(b) to (j) all come from (a). In which of them could you still name what you see?"
        )
        return f"{self.photo.problem}{seen}"
