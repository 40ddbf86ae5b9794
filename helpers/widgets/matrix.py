"""The similarity matrix of a batch of views: who is similar to whom, and what softmax and gradient
make of it.
"""

import math

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from helpers.augmentations import Augment
from helpers.data import load
from helpers.evaluation import extract_features
from helpers.losses import cosine_similarity, nt_xent, positive_index
from helpers.plotting import CHOSEN, NEGATIVE, OTHER, POSITIVE, VIEW_A
from helpers.simclr import load_pretrained
from helpers.widgets.canvas import Canvas, as_picture
from helpers.widgets.explorer import Explorer, button, dropdown, shared, slider, steps

MOST = 16  # images
EPOCHS = (0, 1, 2, 5, 10, 15)
_GRAYS = (matplotlib.colormaps["Greys"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)


class MatrixExplorer(Explorer):
    """2N views and their similarities: choose whose, at which epoch, at which temperature, and an
    anchor to follow.

    Args:
        run: A shipped encoder that has snapshots for all EPOCHS but the last.
        seed: Chooses the first images and views.
    """

    def __init__(self, run: str = "shapes-tiny", seed: int = 0):
        self.seed = seed
        self.images = shared(load, "shapes", "val")
        # All at once: a first move of the epoch's slider is as quick as the next.
        self._nets = {
            epoch: shared(load_pretrained, run if epoch == EPOCHS[-1] else f"{run}-epoch{epoch}")
            for epoch in EPOCHS
        }
        self._new_views()
        self.whose = dropdown(
            "whose similarity",
            [("z = g(h)", "z"), ("h = f(view)", "h"), ("raw pixels", "pixels")],
            width=270,
        )
        names = [("0 (random)" if epoch == 0 else str(epoch), epoch) for epoch in EPOCHS]
        self.epoch = steps("after epoch", names, EPOCHS[-1], width=310, label=90)
        self.count = slider("images N", 6, 2, MOST, 1, width=330, label=90)
        self.anchor = slider("anchor (row)", 1, 1, 12, 1, width=270)
        self.temperature = slider("temperature τ", 0.1, 0.05, 2.0, 0.05, width=310, label=105)
        self.again = button("new images", "draw other images and other views of them", 110)
        self.count.observe(lambda change: setattr(self.anchor, "max", 2 * change["new"]), "value")
        super().__init__(
            [self.whose, self.epoch, self.count, self.anchor, self.temperature, self.again],
            height=545,
        )

    def press(self, pressed) -> None:
        self.seed += 1
        self._new_views()

    def _new_views(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.randperm(len(self.images), generator=generator)[:MOST]
        augment = Augment(self._nets[EPOCHS[-1]].settings.policy())
        self.views = augment(self.images.images[rows.repeat(2)], generator)  # (2 MOST, 3, 32, 32)
        self.pictures = [as_picture(view) for view in self.views]
        self._embedded: dict = {}

    def embeddings(self) -> Tensor:
        """Return what is compared: 2N rows, rows k and k + N a pair."""
        whose, epoch, n = self.whose.value, self.epoch.value, self.count.value
        if whose == "pixels":
            return torch.cat([self.views[:n], self.views[MOST : MOST + n]]).flatten(1)
        if (epoch, n) not in self._embedded:
            net = self._nets[epoch]
            h = extract_features(
                net.encoder, torch.cat([self.views[:n], self.views[MOST : MOST + n]])
            )
            with torch.inference_mode():
                z = net.head(h)
            self._embedded[epoch, n] = {"h": h.clone(), "z": z.clone()}
        return self._embedded[epoch, n][whose]

    def draw(self, canvas: Canvas) -> str:
        n, tau = self.count.value, self.temperature.value
        self.epoch.disabled = self.whose.value == "pixels"  # pixels do not learn
        rows = 2 * n
        anchor = min(self.anchor.value, rows) - 1
        embeddings = self.embeddings()
        similarity = cosine_similarity(embeddings)
        views = self.pictures[:n] + self.pictures[MOST : MOST + n]
        partner = positive_index(rows)
        logits = (similarity / tau).fill_diagonal_(-math.inf)
        each = F.cross_entropy(logits, partner, reduction="none")  # (2N,)
        p = logits[anchor].softmax(0)
        # gradient of the anchor's loss by its similarities
        force = (p - F.one_hot(partner[anchor], rows)) / tau
        self._draw_matrix(canvas, views, similarity, partner, anchor)
        loss = nt_xent(embeddings, tau).item()
        # at a low temperature the loss may be 0
        share = each[anchor].item() / max(each.sum().item(), 1e-12)
        self._draw_anchor(
            canvas, views, anchor, int(partner[anchor]), each[anchor].item(), share, loss
        )
        order = (
            similarity[anchor]
            .clone()
            .index_fill_(0, torch.tensor(anchor), -9)
            .argsort(descending=True)[:-1]
        )
        self._draw_row(
            canvas,
            [views[k] for k in order],
            similarity[anchor][order],
            p[order],
            force[order],
            (order == partner[anchor]).tolist(),
        )
        rank = order.tolist().index(int(partner[anchor])) + 1
        pushes = force.clone().index_fill_(0, partner[anchor], 0)
        hardest = pushes.max().item() / max(pushes.sum().item(), 1e-12)
        first = (logits.argmax(1) == partner).sum().item()
        place = "nearest" if rank == 1 else f"number {rank} of {rows - 1}"
        sure = p[partner[anchor]].item()
        return (
            f"Row {anchor + 1}: its partner is {place}, and the softmax gives it {sure:.0%}. The "
            f"hardest negative gets {hardest:.0%} of the pushing. {first} of {rows} views have "
            f"their partner nearest (by guessing: {rows / (rows - 1):.1f})."
        )

    def _draw_matrix(
        self,
        canvas: Canvas,
        views: list[Image.Image],
        similarity: Tensor,
        partner: Tensor,
        anchor: int,
    ) -> None:
        rows = len(views)
        x, y, side = 42, 42, 456
        cell = side / rows
        shades = _GRAYS[((similarity.numpy() + 1) * 127.5).round().astype(int).clip(0, 255)]
        shades[np.arange(rows), np.arange(rows)] = 255
        canvas.image(shades.transpose(2, 0, 1), x, y, side)
        thumb = 32
        small = min(thumb, cell - 1)
        for k in range(rows):
            middle = (k + 0.5) * cell
            canvas.image(
                views[k], x - thumb - 4 + (thumb - small) / 2, y + middle - small / 2, small
            )
            canvas.image(
                views[k], x + middle - small / 2, y - thumb - 4 + (thumb - small) / 2, small
            )
            a, b = x + k * cell, y + k * cell
            canvas.line(
                [(a + 0.3 * cell, b + 0.3 * cell), (a + 0.7 * cell, b + 0.7 * cell)], OTHER, 1.5
            )
            canvas.line(
                [(a + 0.7 * cell, b + 0.3 * cell), (a + 0.3 * cell, b + 0.7 * cell)], OTHER, 1.5
            )
        negatives = similarity.clone().fill_diagonal_(-9)
        negatives[torch.arange(rows), partner] = -9
        for k, (mate, hard) in enumerate(
            zip(partner.tolist(), negatives.argmax(1).tolist(), strict=True)
        ):
            width = 3 if cell > 18 else 2
            canvas.rectangle(x + mate * cell, y + k * cell, cell, cell, None, POSITIVE, width)
            canvas.marker(
                x + (hard + 0.5) * cell,
                y + (k + 0.5) * cell,
                "diamond",
                min(0.26 * cell, 7),
                NEGATIVE,
            )
        canvas.rectangle(
            x - thumb - 6, y + anchor * cell - 2, side + thumb + 8, cell + 4, None, CHOSEN, 3
        )
        canvas.rectangle(x, 506, 15, 15, None, POSITIVE, 3)
        canvas.text(x + 22, 513, "partner", 15, "#555555")
        canvas.marker(x + 103, 513, "diamond", 7, NEGATIVE)
        canvas.text(x + 116, 513, "hardest negative", 15, "#555555")
        canvas.image(_GRAYS.T[:, None], x + 368, 507, 80, 13)
        canvas.text(x + 360, 513, "s = -1", 15, "#555555", "rm")
        canvas.text(x + 455, 513, "1", 15, "#555555")

    def _draw_anchor(
        self,
        canvas: Canvas,
        views: list[Image.Image],
        anchor: int,
        partner: int,
        own: float,
        share: float,
        loss: float,
    ) -> None:
        x = 540
        canvas.image(views[anchor], x + 3, 8, 76, frame=CHOSEN)
        canvas.image(views[partner], x + 96, 8, 76, frame=POSITIVE)
        canvas.text(x + 41, 100, "anchor", 15, "#555555", "mm")
        canvas.text(x + 134, 100, "partner", 15, "#555555", "mm")
        canvas.text(x + 192, 22, f"ℓ = −log p = {own:.2f}", 20, bold=True)
        canvas.text(x + 192, 52, f"{share:.0%} of the batch's loss", 15)
        canvas.text(x + 192, 73, f"(an equal share: {1 / len(views):.0%})", 15)
        canvas.text(x + 192, 98, f"loss {loss:.2f}, chance {math.log(len(views) - 1):.2f}", 15)

    def _draw_row(
        self,
        canvas: Canvas,
        views: list[Image.Image],
        similarity: Tensor,
        p: Tensor,
        force: Tensor,
        is_partner: list[bool],
    ) -> None:
        x, width, count = 540, 410, len(views)
        step = width / count
        thumb = min(step - 1, 44)
        bar = min(0.72 * step, 34)
        most = max(force.abs().max().item(), 1e-9)
        pull = -force[is_partner.index(True)].item()
        canvas.text(x, 126, "the other views, the most similar first", 15, "#555555")
        canvas.text(x, 208, "similarity s", 15, "#555555")
        canvas.text(x, 308, "p: softmax of s / τ", 15, "#555555")
        canvas.text(
            x, 425, f"what ℓ asks of each s:  up {pull:.2f}, down {pull:.2f} in all", 15, "#555555"
        )
        for base in (268, 404, 488):
            canvas.line([(x, base), (x + width, base)], OTHER, 1)
        for k, mine in enumerate(is_partner):
            middle = x + (k + 0.5) * step
            color = POSITIVE if mine else OTHER
            canvas.image(
                views[k],
                middle - thumb / 2,
                140 + (44 - thumb) / 2,
                thumb,
                frame=POSITIVE if mine else None,
                line=2,
            )
            self._bar(canvas, middle, 268, bar, 44 * similarity[k].item(), color)
            self._bar(canvas, middle, 404, bar, 66 * p[k].item(), POSITIVE if mine else VIEW_A)
            if p[k] > 0.095 and bar > 14:
                canvas.text(middle, 404 - 66 * p[k].item() - 3, f"{p[k]:.0%}", 13, anchor="mb")
            if mine:
                canvas.marker(middle, 279, "triangle", 6, POSITIVE)
            self._bar(
                canvas,
                middle,
                488,
                bar,
                -48 * force[k].item() / most,
                POSITIVE if mine else NEGATIVE,
            )

    @staticmethod
    def _bar(
        canvas: Canvas, middle: float, base: float, width: float, height: float, color: str
    ) -> None:
        canvas.rectangle(middle - width / 2, base - max(height, 0), width, abs(height), color)
