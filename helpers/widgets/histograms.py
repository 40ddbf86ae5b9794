"""Why colour distortion? How well a histogram of intensities alone tells which two crops came from
the same image.
"""

import torch
from torch import Tensor

from helpers.augmentations import Augment, Policy
from helpers.data import load
from helpers.metrics import contrastive_rank
from helpers.plotting import OTHER, POSITIVE, VIEW_A, VIEW_B
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, checkbox, dropdown, shared, slider

IMAGES, BINS = 64, 32


def intensity_histograms(views: Tensor) -> Tensor:
    """Return the share of intensities, over all pixels and channels, in each of BINS bins: (N,
    BINS).
    """
    places = (views.flatten(1) * BINS).long().clamp_(max=BINS - 1)
    counts = torch.zeros(len(views), BINS).scatter_add_(1, places, torch.ones(places.shape))
    return counts / places.shape[1]


class HistogramExplorer(Explorer):
    """Histograms of two crops of two images, and how often they find the pair among 64 images.

    Source: Chen et al. 2020, Figure 6. Two histograms are compared by the overlap of their square
    roots.
    """

    def __init__(self):
        self.seed = 0
        self.data = dropdown(
            "images",
            [("shapes", "shapes"), ("shapes, striped ground", "shapes-textured")],
            "shapes",
            width=290,
            label=60,
        )
        self.color = checkbox("colour distortion", False, 150)
        self.strength = slider("strength s", 1.0, 0.0, 1.5, 0.05, width=290, label=80)
        self.area = slider("smallest area", 0.3, 0.08, 1.0, 0.02, width=300, label=95)
        self.again = button("draw again", "other images and other crops", 110)
        super().__init__([self.data, self.area, self.color, self.strength, self.again], height=400)

    def press(self, pressed) -> None:
        self.seed += 1

    def views(self) -> Tensor:
        """Return two crops of each of 64 images, all first ones and then all second ones."""
        name = self.data.value
        images = shared(load, name, "val").images
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.randperm(len(images), generator=generator)[:IMAGES]
        on = self.color.value
        self.strength.disabled = not on
        policy = Policy(
            size=32,
            crop_area=(self.area.value, 1.0),
            color_strength=self.strength.value,
            color_p=0.8 if on else 0.0,
            gray_p=0.2 if on else 0.0,
            blur_p=0.0,
        )
        return Augment(policy)(images[rows.repeat(2)], generator)

    def draw(self, canvas: Canvas) -> str:
        views = self.views()
        histograms = intensity_histograms(views)
        found = round(contrastive_rank(histograms.sqrt())[0].item() * 2 * IMAGES)
        highest = histograms[[0, 1, IMAGES, IMAGES + 1]].max().item()
        for row in range(2):
            y = 30 + 190 * row
            for view, color in ((row, VIEW_A), (row + IMAGES, VIEW_B)):
                x = 12 if view < IMAGES else 142
                canvas.image(views[view], x, y, 112, frame=color)
                canvas.text(
                    x + 56,
                    y + 130,
                    f"image {row + 1}, crop {1 if view < IMAGES else 2}",
                    15,
                    anchor="mm",
                )
            x, base, width = 300, y + 66, 360 / BINS
            for view, color, way in ((row, VIEW_A, -1), (row + IMAGES, VIEW_B, 1)):
                for k, value in enumerate(histograms[view].tolist()):
                    height = 62 * value / highest
                    canvas.rectangle(
                        x + k * width, base - height if way < 0 else base, width - 1, height, color
                    )
                canvas.text(x + 366, base + way * 32, f"crop {1 if way < 0 else 2}", 15, "#555555")
            canvas.line([(x, base), (x + 360, base)], OTHER, 1.5)
            canvas.text(x, base + 74, "dark", 15, "#555555")
            canvas.text(x + 360, base + 74, "bright", 15, "#555555", "rm")
        canvas.text(
            480,
            12,
            "how many pixels of each brightness: crop 1 up, crop 2 down",
            15,
            "#555555",
            "mm",
        )
        share = found / (2 * IMAGES)
        canvas.text(720, 60, "pairs found among", 18)
        canvas.text(720, 86, f"{IMAGES} images by their", 18)
        canvas.text(720, 112, "histograms alone", 18)
        canvas.text(720, 178, f"{share:.0%}", 56, POSITIVE, bold=True)
        canvas.bar(720, 222, 220, 26, share, POSITIVE)
        canvas.text(720, 272, f"guessing: {1 / (2 * IMAGES - 1):.1%}", 16, "#555555")
        how = "Without colour distortion"
        if self.color.value:
            how = f"With colour distortion (s = {self.strength.value:g})"
        return f"{how}, the histogram alone finds the partner of {share:.0%} of the views. " + (
            "A network that matches views may never need to look at a shape."
            if share > 0.3
            else "To find the others, a network has to look at more than intensities."
        )
