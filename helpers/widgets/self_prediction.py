"""Self-prediction at work: five networks that predict what was hidden, changed or shuffled."""

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.augmentations import color_drop, gaussian_noise
from helpers.plotting import NEGATIVE, OTHER, POSITIVE, VIEW_A
from helpers.pretext import ORDERS, PATCHES, cut_tiles, load_pretext, mask_patches
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, shared, slider, steps
from helpers.widgets.photos import PhotoPicker

SIDE, SHOWN = 32, 250  # pixels that the network sees, and how large a picture is shown
SHAPES = ("star", "arrow")


class _PretextExplorer(Explorer):
    def __init__(self, task: str, controls: list, height: int = 320, first: str = "temple"):
        self.net = shared(load_pretext, task).net
        self.photo = PhotoPicker(SIDE, SHAPES, first=first)
        super().__init__([*self.photo.controls, *controls], height)

    @property
    def picture(self) -> Tensor:
        return self.photo.picture[None].float() / 255

    @torch.inference_mode()
    def predict(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def three(self, canvas: Canvas, pictures: list[tuple[Tensor, str, str | None]]) -> None:
        for k, (picture, title, color) in enumerate(pictures):
            x = 20 + k * (SHOWN + 84)
            canvas.image(picture, x, 16, SHOWN, frame=color, line=4)
            canvas.text(x + SHOWN / 2, 292, title, 17, anchor="mm")
            if k:
                canvas.arrow(x - 68, 16 + SHOWN / 2, x - 16, 16 + SHOWN / 2, OTHER, 4)


class MaskedExplorer(_PretextExplorer):
    """Hide patches of a picture and let the masked autoencoder paint them."""

    def __init__(self):
        self.ratio = slider("hidden share", 0.75, 0.0, 0.95, 0.05, label=95)
        self.patch = steps("patch (px)", (2, 4, 8, 16), 4, width=260, label=80)
        self.again = button("other patches", "hide other patches", 120)
        self.seed = 0
        super().__init__("masked", [self.ratio, self.patch, self.again])

    def press(self, pressed) -> None:
        self.seed += 1

    def draw(self, canvas: Canvas) -> str:
        patch = self.patch.value
        scores = torch.rand(
            1, (SIDE // patch) ** 2, generator=torch.Generator().manual_seed(self.seed)
        )
        masked, mask = mask_patches(self.picture, patch, torch.tensor([self.ratio.value]), scores)
        painted = torch.where(mask, self.predict(masked).clamp(0, 1), self.picture)
        self.three(
            canvas,
            [
                (self.picture[0], "original", None),
                (masked[0], "what the network sees", VIEW_A),
                (painted[0], "hidden patches painted", POSITIVE),
            ],
        )
        hidden = mask.float().mean().item()
        if hidden == 0:
            return f"{self.photo.problem}Nothing is hidden: there is nothing to predict."
        if hidden == 1:
            return (
                f"{self.photo.problem}Everything is hidden: it paints the same for every picture."
            )
        seen = (self.picture * ~mask).sum((2, 3), keepdim=True) / (~mask).sum()
        error, plain = (
            _error(guess, self.picture, mask) for guess in (painted, seen.expand_as(painted))
        )
        strange = (
            ""
            if patch in PATCHES
            else f" (In training, patches had {PATCHES[0]} or {PATCHES[1]} px.)"
        )
        return (
            f"{self.photo.problem}{hidden:.0%} is hidden. Error on hidden pixels {error:.3f}; "
            f"painting all of them in the mean colour of the rest would give {plain:.3f}.{strange}"
        )


def _error(guess: Tensor, truth: Tensor, where: Tensor) -> float:
    return ((guess - truth).square() * where).sum().item() / (3 * max(int(where.sum()), 1))


class DenoisingExplorer(_PretextExplorer):
    """Add noise to a picture and let the denoising autoencoder take it away."""

    def __init__(self):
        self.sigma = slider("noise sigma", 0.2, 0.0, 0.6, 0.02, label=90)
        self.again = button("other noise", "draw other noise", 110)
        self.seed = 0
        super().__init__("denoising", [self.sigma, self.again])

    def press(self, pressed) -> None:
        self.seed += 1

    def draw(self, canvas: Canvas) -> str:
        noise = torch.randn(self.picture.shape, generator=torch.Generator().manual_seed(self.seed))
        noisy = gaussian_noise(self.picture, torch.tensor([self.sigma.value]), noise)
        clean = self.predict(noisy).clamp(0, 1)
        self.three(
            canvas,
            [
                (self.picture[0], "original", None),
                (noisy[0], "what the network sees", VIEW_A),
                (clean[0], "what it makes of it", POSITIVE),
            ],
        )
        before, after = ((x - self.picture).square().mean().item() for x in (noisy, clean))
        return (
            f"{self.photo.problem}Mean squared error {before:.3f} before and {after:.3f} after. "
            + (
                "The network takes away more than it spoils."
                if after < before
                else "With so little noise, its own blur costs more than the noise did."
            )
        )


class ColorizationExplorer(_PretextExplorer):
    """Take the colour away and let the network guess it."""

    def __init__(self):
        self.boost = slider("show colour ×", 2.0, 1.0, 3.0, 0.25, label=105)
        super().__init__("colorization", [self.boost], first="temple")

    def draw(self, canvas: Canvas) -> str:
        gray = color_drop(self.picture, torch.ones(1))
        guess = self.predict(gray)
        shown = (gray + (guess - gray) * self.boost.value).clamp(0, 1)
        self.three(
            canvas,
            [
                (self.picture[0], "original", None),
                (gray[0], "what the network sees", VIEW_A),
                (shown[0], f"colours it guesses, × {self.boost.value:g}", POSITIVE),
            ],
        )
        chroma = [(x - gray).norm(dim=1).mean().item() for x in (guess, self.picture)]
        if chroma[1] < 0.01:
            return f"{self.photo.problem}The original has no colour: the guess is invention."
        return (
            f"{self.photo.problem}Before it is strengthened, the guess has "
            f"{chroma[0] / chroma[1]:.0%} of the original's colour. Where several colours are "
            "possible, the guess with the smallest squared error is their mean: pale."
        )


class RotationExplorer(_PretextExplorer):
    """Turn a picture and see which of four rotations the network believes in."""

    def __init__(self):
        self.angle = slider("turn (degrees)", 0, 0, 355, 5, width=420)
        super().__init__("rotation", [self.angle])

    def turned(self) -> Tensor:
        """Return the picture turned anticlockwise; exact at quarter turns, and its corners filled
        from the edges.
        """
        quarters, rest = divmod(self.angle.value, 90)
        picture = torch.rot90(self.picture, quarters, (2, 3))
        if rest == 0:
            return picture
        a = torch.tensor(rest * torch.pi / 180)
        turn = torch.stack(
            [torch.stack([a.cos(), -a.sin(), a * 0]), torch.stack([a.sin(), a.cos(), a * 0])]
        )[None]
        grid = F.affine_grid(turn, list(picture.shape), align_corners=False)
        return F.grid_sample(picture, grid, padding_mode="reflection", align_corners=False)

    def draw(self, canvas: Canvas) -> str:
        turned = self.turned()
        p = self.predict(turned).softmax(1)[0]
        canvas.image(turned[0], 60, 16, SHOWN, frame=VIEW_A, line=4)
        canvas.text(60 + SHOWN / 2, 292, "what the network sees", 17, anchor="mm")
        best = int(p.argmax())
        nearest = {
            round((self.angle.value + way) / 90) % 4 for way in (-1, 1)
        }  # two of them half-way
        canvas.text(420, 26, "how far was it turned?", 17, "#555555")
        for k in range(4):
            y = 50 + 60 * k
            canvas.text(480, y + 20, f"{90 * k}°", 20, anchor="rm", bold=k == best)
            canvas.bar(
                500,
                y,
                330,
                40,
                p[k].item(),
                POSITIVE if k in nearest else OTHER,
                f"{p[k].item():.0%}",
            )
            if k in nearest:
                canvas.marker(492, y + 20, "triangle", 6, POSITIVE)
        right = "right" if best in nearest else "wrong"
        return (
            f"{self.photo.problem}Turned by {self.angle.value}°, it answers {90 * best}° with "
            f"probability {p[best].item():.0%}: {right}, if the nearest quarter turn (green, with "
            "a mark) counts. It learned from quarter turns only."
        )


class JigsawExplorer(_PretextExplorer):
    """Shuffle the four quarters of a picture and let the network put them back."""

    def __init__(self):
        self.order = slider("order no.", 14, 1, len(ORDERS), 1, label=80)
        super().__init__("jigsaw", [self.order], first="flower")

    def draw(self, canvas: Canvas) -> str:
        gap, tile = SIDE // 16, SIDE // 2 - SIDE // 8
        corner = torch.full((1, 4), gap)
        tiles = cut_tiles(self.picture, corner, corner, tile)  # (1, 4, 3, tile, tile)
        order = ORDERS[self.order.value - 1]
        p = self.predict(tiles[:, list(order)]).softmax(1)[0]
        believed = ORDERS[int(p.argmax())]
        restored: list = [None] * 4
        # it believes that this place shows the tile of that home
        for place, home in enumerate(believed):
            restored[home] = tiles[0, order[place]]
        right = [order[believed.index(home)] == home for home in range(4)]
        canvas.image(self.picture[0], 20, 16, SHOWN)
        for k, x in ((0, 354), (1, 688)):
            for place in range(4):
                shown = tiles[0, order[place]] if k == 0 else restored[place]
                color = VIEW_A if k == 0 else POSITIVE if right[place] else NEGATIVE
                left, top = x + 129 * (place % 2), 16 + 129 * (place // 2)
                canvas.image(shown, left + 4, top + 4, 113, frame=color, line=4)
                if k == 1 and not right[place]:
                    canvas.marker(left + 22, top + 22, "cross", 9, NEGATIVE)
            canvas.arrow(x - 68, 16 + SHOWN / 2, x - 16, 16 + SHOWN / 2, OTHER, 4)
        for x, title in (
            (145, "original"),
            (479, "what the network sees"),
            (813, "how it puts them back"),
        ):
            canvas.text(x, 292, title, 17, anchor="mm")
        told = (
            "all four tiles are in place" if all(right) else f"{sum(right)} of 4 tiles are in place"
        )
        rank = int((p > p[self.order.value - 1]).sum()) + 1
        chance = p[self.order.value - 1].item()
        return (
            f"{self.photo.problem}It is {p.max().item():.0%} sure of its answer, and {told}. Of "
            f"the 24 orders it ranks the right one at place {rank} ({chance:.0%}; guessing gives "
            "4%)."
        )
