"""Two views of one image, live: choose the transforms and see how similar the trained encoder still
finds the views.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.augmentations import Augment, Policy, color_drop
from helpers.data import load, sample_photos
from helpers.evaluation import extract_features
from helpers.models import build_encoder
from helpers.plotting import NEGATIVE, OTHER, POSITIVE, VIEW_A, VIEW_B
from helpers.simclr import load_pretrained
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, checkbox, dropdown, shared, slider
from helpers.widgets.photos import PhotoPicker

DRAWS = 6  # pairs whose mean similarity is shown beside that of the pair in the picture
SHAPES = ("star", "heart", "ring")


def _untrained() -> nn.Module:
    with torch.random.fork_rng():  # a click must not reseed the notebook
        torch.manual_seed(0)
        return build_encoder("tiny").eval()


class TwoViewsExplorer(Explorer):
    """Two views by a policy of one's choice, and their similarity in the eyes of an encoder.

    The first picture decides who judges: an encoder trained on photos, or one trained on shapes. A
    chosen transform is always applied, where training applies it with a probability: what a slider
    does is then seen every time.
    """

    def __init__(self):
        self.seed = 4
        self._centers: dict = {}
        self.photo = PhotoPicker(32, SHAPES, first="star")
        self.second = PhotoPicker(
            32, SHAPES, first="heart", description="another", upload=False, which=1
        )
        self.whose = dropdown(
            "whose eyes",
            [
                ("trained, z", "z"),
                ("trained, h", "h"),
                ("random encoder, h", "random"),
                ("raw pixels", "pixels"),
            ],
            "z",
            width=260,
            label=80,
        )
        self.again = button("draw again", "draw two other views", 110)
        self.crop = checkbox("crop", True, 70)
        self.flip = checkbox("flip", True, 70)
        self.color = checkbox("colour jitter", True, 115)
        self.gray = checkbox("grey (view 2)", False, 120)
        self.strength = slider("strength s", 1.0, 0.0, 1.5, 0.05, width=280, label=75)
        self.area = slider("smallest area", 0.5, 0.08, 1.0, 0.02, width=290, label=90)
        self.blur = slider("blur (px)", 0.0, 0.0, 2.0, 0.1, width=270, label=65)
        super().__init__(
            [
                *self.photo.controls,
                *self.second.controls,
                self.whose,
                self.again,
                self.crop,
                self.flip,
                self.color,
                self.gray,
                self.strength,
                self.area,
                self.blur,
            ],
            height=370,
        )

    def press(self, pressed) -> None:
        self.seed += 1

    def policy(self) -> Policy:
        """Return the policy that the controls describe."""
        return Policy(
            size=32,
            crop_area=(self.area.value if self.crop.value else 1.0, 1.0),
            flip_p=0.5 if self.flip.value else 0.0,
            color_p=1.0 if self.color.value else 0.0,
            color_strength=self.strength.value,
            gray_p=0.0,
            blur_p=1.0 if self.blur.value else 0.0,
            blur_sigma=(self.blur.value, self.blur.value),
        )

    def views(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return 2 x DRAWS views, all first ones and then all second ones, and the amounts that
        made them.
        """
        augment = Augment(self.policy())
        # The same random numbers until "draw again": a slider changes how far they go, and nothing
        # else.
        amounts = augment.draw(
            2 * DRAWS, 32, 32, generator=torch.Generator().manual_seed(self.seed)
        )
        views = augment.apply(self.photo.picture.expand(2 * DRAWS, 3, 32, 32), amounts)
        if self.gray.value:
            views = torch.cat([views[:DRAWS], color_drop(views[DRAWS:], torch.ones(DRAWS))])
        return views, amounts

    def embed(self, images: Tensor) -> Tensor:
        """Return what the chosen eyes make of images."""
        whose = self.whose.value
        if whose == "pixels":
            return extract_features(nn.Flatten(), images)
        name = (
            "random"
            if whose == "random"
            else "cifar10-tiny"
            if self.photo.is_photo
            else "shapes-tiny"
        )
        net = shared(_untrained) if name == "random" else shared(load_pretrained, name)
        h = extract_features(net if name == "random" else net.encoder, images)
        with torch.inference_mode():
            return net.head(h) if whose == "z" else h

    def center(self) -> Tensor:
        """Return the mean embedding of 200 images. Without it taken off, whatever all images share
        (brightness, or the positive numbers after a ReLU) would make everything look alike."""
        key = self.whose.value, self.photo.is_photo
        if key not in self._centers:
            if self.photo.is_photo:
                photos = sample_photos(32).images.repeat(40, 1, 1, 1)
                images = Augment(Policy(blur_p=0.0))(photos, torch.Generator().manual_seed(0))
            else:
                images = shared(load, "shapes", "val").images[:200]
            self._centers[key] = self.embed(images).mean(0)
        return self._centers[key]

    def draw(self, canvas: Canvas) -> str:
        views, amounts = self.views()
        other = self.second.picture[None].float() / 255
        unit = F.normalize(self.embed(torch.cat([views, other])) - self.center(), dim=1)
        pairs = (unit[:DRAWS] * unit[DRAWS:-1]).sum(1)
        pair, mean, apart = pairs[0].item(), pairs.mean().item(), (unit[0] @ unit[-1]).item()
        side, gap = 196, 48
        pictures = (
            (self.photo.picture, "image, with both crops", "#FFFFFF"),
            (views[0], "view 1", VIEW_A),
            (views[DRAWS], "view 2", VIEW_B),
            (other[0], "another image", OTHER),
        )
        for k, (picture, title, color) in enumerate(pictures):
            x = 12 + k * (side + gap)
            canvas.image(picture, x, 12, side, frame=color, line=5)
            canvas.text(x + side / 2, 232, title, 16, anchor="mm")
        for row, color in ((0, VIEW_A), (DRAWS, VIEW_B)):
            box = (
                amounts[name][row].item() * side / 32 for name in ("top", "left", "height", "width")
            )
            top, left, height, width = box
            canvas.rectangle(12 + left, 12 + top, width, height, None, "#FFFFFF", 6)
            canvas.rectangle(12 + left + 1, 12 + top + 1, width - 2, height - 2, None, color, 4)
        canvas.scale(60, 316, 840, apart, NEGATIVE, marker="diamond")
        canvas.scale(60, 316, 840, pair, POSITIVE)
        place = 60 + 420 * (mean + 1)
        canvas.line([(place, 303), (place, 329)], POSITIVE, 3)
        canvas.text(60, 278, f"views 1 and 2:  {pair:.2f}", 18, POSITIVE, bold=True)
        canvas.text(300, 278, f"(mean of {DRAWS} such pairs: {mean:.2f})", 16, POSITIVE)
        canvas.text(
            900, 278, f"view 1 and the other image:  {apart:.2f}", 18, NEGATIVE, "rm", bold=True
        )
        verdict = (
            "hardly notices the changes"
            if mean > 0.85
            else "notices the changes a little"
            if mean > 0.6
            else "is clearly disturbed by the changes"
        )
        closer = (
            "closer to each other than to" if pair > apart else "no closer to each other than to"
        )
        return (
            f"{self.photo.problem}The two views have similarity {pair:.2f} and are {closer} the "
            f"other image ({apart:.2f}). On average over {DRAWS} pairs ({mean:.2f}), this "
            f"representation {verdict}."
        )
