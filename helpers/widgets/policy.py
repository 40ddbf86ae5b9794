"""Choose the transforms for one's own images: pairs of views as continued pretraining will draw
them.
"""

import torch

from helpers.augmentations import Augment
from helpers.folders import file_name
from helpers.own_images import OwnImages
from helpers.plotting import VIEW_A, VIEW_B
from helpers.settings import Settings
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, slider

PAIRS, SIDE = 6, 118
AMOUNTS = ("crop_min", "color_strength", "gray_p", "flip_p", "rotate_p")  # of Settings


class PolicyExplorer(Explorer):
    """Pairs of views of an image under a policy of one's choice.

    Args:
        images: To look at.
        settings: Those that the policy starts from.
    """

    def __init__(self, images: OwnImages, settings: Settings):
        self.images, self.settings, self.seed = images, settings, 0
        self.which = slider("image", 1, 1, max(2, len(images)), 1)
        self.again = button("draw again", "draw other views", 110)
        self.crop_min = slider("smallest crop", settings.crop_min, 0.05, 1.0, 0.01)
        self.color_strength = slider("colour jitter s", settings.color_strength, 0.0, 1.5, 0.05)
        self.gray_p = slider("grey, share", settings.gray_p, 0.0, 1.0, 0.05)
        self.flip_p = slider("mirrored, share", settings.flip_p, 0.0, 1.0, 0.5)
        self.rotate_p = slider("turned, share", settings.rotate_p, 0.0, 1.0, 0.25)
        super().__init__([self.which, self.again, *(getattr(self, name) for name in AMOUNTS)], 420)

    def press(self, pressed) -> None:
        self.seed += 1

    def changes(self) -> dict[str, float]:
        """Return the chosen amounts, named as in `Settings`."""
        return {name: getattr(self, name).value for name in AMOUNTS}

    def draw(self, canvas: Canvas) -> str:
        place = min(self.which.value, len(self.images)) - 1
        image = self.images.large[place]
        policy = Settings(
            **vars(self.settings) | self.changes() | {"image_size": image.shape[-1]}
        ).policy()
        views = Augment(policy)(
            image.repeat(2 * PAIRS, 1, 1, 1), torch.Generator().manual_seed(self.seed)
        )
        canvas.image(image, 12, 96, 190)
        canvas.text(107, 306, file_name(self.images.names[place], 26), 14, anchor="mm")
        for k in range(PAIRS):
            x, y = 240 + 238 * (k % 3), 14 + 205 * (k // 3)
            for n, color in enumerate((VIEW_A, VIEW_B)):
                canvas.image(
                    views[k + n * PAIRS],
                    x + (SIDE - 8) * n,
                    y + 60 * n,
                    SIDE - 14,
                    frame=color,
                    line=4,
                )
        hidden = [
            text
            for text, on in (
                ("where and how large things are", self.crop_min.value < 0.7),
                ("colour", self.color_strength.value >= 0.5 or self.gray_p.value >= 0.5),
                ("left and right", self.flip_p.value > 0),
                ("which way is up", self.rotate_p.value > 0),
            )
            if on
        ]
        told = ", ".join(hidden) if hidden else "nothing"
        return (
            f"Each pair (blue, sky blue) counts as alike. This policy hides: {told}. Does your "
            "task need any of it?"
        )
