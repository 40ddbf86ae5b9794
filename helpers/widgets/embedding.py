"""A map of an embedding: choose an image, and see its nearest neighbours in the embedding and by
pixels.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.data import ImageSet, load
from helpers.evaluation import extract_features, map_2d
from helpers.plotting import CHOSEN, NEGATIVE, OTHER, POSITIVE, VIEW_A, VIEW_B
from helpers.simclr import load_pretrained
from helpers.widgets.canvas import Canvas, as_picture
from helpers.widgets.explorer import Explorer, dropdown, slider

ENCODER, NEW = "shapes-six", ("moon", "heart", "cross", "arrow")  # these classes it never saw
IMAGES, NEIGHBORS = 240, 6
SPACES = {"h": "h", "pixels": "raw pixels"}
# The form says the same as the colour.
LOOKS = (
    ("circle", 6, VIEW_A),
    ("square", 6, "#CC79A7"),
    ("triangle", 6, VIEW_B),
    ("diamond", 6, OTHER),
)


@lru_cache(1)
def _images() -> ImageSet:
    found = load("shapes", "test").only(NEW)
    each = IMAGES // len(NEW)
    return found.subset(
        torch.cat([(found.labels == k).nonzero()[:each, 0] for k in range(len(NEW))])
    )


@lru_cache(2)
def _features(space: str) -> Tensor:
    net = nn.Flatten() if space == "pixels" else load_pretrained(ENCODER).encoder
    return extract_features(net, _images().images)


@lru_cache(4)
def _map(space: str, method: str) -> list[list[float]]:
    return map_2d(_features(space), method).tolist()


class EmbeddingExplorer(Explorer):
    """Test images of four classes that pretraining never saw, on a map, with the neighbours of one
    of them.
    """

    def __init__(self):
        self.images = _images()
        self.labels = self.images.labels.tolist()
        self.pictures = [as_picture(pixels) for pixels in self.images.images]
        self.similarity = {}
        for space in SPACES:
            unit = F.normalize(_features(space) - _features(space).mean(dim=0), dim=1)
            self.similarity[space] = unit @ unit.T
            for method in ("PCA", "t-SNE"):
                _map(space, method)  # the first t-SNE takes seconds, and a control should not
        self.index = slider("image", 130, 1, len(self.images), 1, width=420, label=50)
        self.space = dropdown(
            "map of", [(title, space) for space, title in SPACES.items()], "h", width=220, label=65
        )
        self.method = dropdown("by", ["t-SNE", "PCA"], "t-SNE", width=150, label=35)
        super().__init__([self.index, self.space, self.method], height=440)

    def neighbors(self, space: str) -> list[int]:
        """Return the images most similar to the chosen one (cosine similarity, the mean taken off),
        itself left out.
        """
        similarity = self.similarity[space][self.index.value - 1].clone()
        similarity[self.index.value - 1] = -2
        return similarity.topk(NEIGHBORS).indices.tolist()

    def draw(self, canvas: Canvas) -> str:
        chosen = self.index.value - 1
        name = NEW[self.labels[chosen]]
        found = {space: self.neighbors(space) for space in SPACES}
        places = [
            (30 + 200 * (x + 1), 20 + 190 * (1 - y))
            for x, y in _map(self.space.value, self.method.value)
        ]
        for k, (x, y) in enumerate(places):
            canvas.marker(x, y, *LOOKS[self.labels[k]])
        x, y = places[chosen]
        canvas.image(self.pictures[chosen], x - 13, y - 13, 26, frame=CHOSEN, line=4)
        for k in found[self.space.value]:
            color = POSITIVE if self.labels[k] == self.labels[chosen] else NEGATIVE
            canvas.line([places[chosen], places[k]], color, 2)
            canvas.circle(*places[k], 10, None, color, 3)
        for k, label in enumerate(NEW):
            canvas.marker(36 + 105 * k, 428, *LOOKS[k])
            canvas.text(50 + 105 * k, 428, label, 16)
        canvas.image(self.pictures[chosen], 490, 40, 96, frame=CHOSEN, line=5)
        canvas.text(538, 158, name, 18, anchor="mm", bold=True)
        same = {}
        for row, (space, title) in enumerate(SPACES.items()):
            top = 44 + 206 * row
            same[space] = sum(self.labels[k] == self.labels[chosen] for k in found[space])
            canvas.text(
                620, top - 20, f"nearest by {title}: {same[space]} of {NEIGHBORS} of its kind", 16
            )
            for place, k in enumerate(found[space]):
                right = self.labels[k] == self.labels[chosen]
                left, down = 620 + 112 * (place % 3), top + 90 * (place // 3)
                canvas.image(
                    self.pictures[k], left, down, 74, frame=POSITIVE if right else NEGATIVE, line=4
                )
                canvas.text(
                    left + 84,
                    down + 37,
                    "✓" if right else "✗",
                    22,
                    POSITIVE if right else NEGATIVE,
                    bold=True,
                )
        best = max(same, key=same.get)
        more = (
            "both find as many"
            if len(set(same.values())) == 1
            else f"{SPACES[best]} finds more of its kind, though the encoder was never shown one"
            if best == "h"
            else "here raw pixels find more of its kind"
        )
        return (
            f"{name.capitalize()}, image {chosen + 1}: of its {NEIGHBORS} nearest images, "
            f"{same['h']} of its kind by h and {same['pixels']} by raw pixels; {more}."
        )
