"""Search one's own images by an image: those that an encoder finds most alike."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.evaluation import extract_features
from helpers.folders import file_name
from helpers.own_images import OwnImages
from helpers.plotting import CHOSEN
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, dropdown, slider
from helpers.widgets.photos import PhotoPicker

FOUND = 10


class SearchExplorer(Explorer):
    """An image of the folder, or an uploaded one, and those that are most similar to it by an
    encoder of one's choice.

    Args:
        images: To search in.
        encoders: Name to encoder, each a map from images of `size` to vectors.
        size: Side of the images as the encoders take them, in pixels.
    """

    def __init__(self, images: OwnImages, encoders: dict[str, nn.Module], size: int):
        self.images, self.size, self.encoders = (
            images,
            size,
            {"raw pixels": nn.Flatten()} | encoders,
        )
        self.banks = {
            name: extract_features(net, images.at(size)) for name, net in self.encoders.items()
        }
        self.uploaded: Tensor | None = None
        self.picker = PhotoPicker(96)
        self.which = slider("image", 1, 1, max(2, len(images)), 1, width=420)
        self.whose = dropdown(
            "by", list(self.encoders), list(self.encoders)[-1], width=280, label=30
        )
        self.which.observe(self._back_to_the_folder, "value")
        self.picker.choice.observe(self._take_upload, "value")
        super().__init__([self.which, self.whose, self.picker.upload], 400)

    def _back_to_the_folder(self, _) -> None:
        self.uploaded, self.picker.problem = None, ""

    def _take_upload(self, _) -> None:
        self.uploaded = self.picker.picture
        self.redraw()

    def search(self) -> tuple[Tensor, list[int], list[float]]:
        """Return the image asked for, and the rows and similarities of those found, the most
        similar first.

        Similarities are cosines of vectors from which the mean over all images is taken off.
        """
        name, place = self.whose.value, min(self.which.value, len(self.images)) - 1
        bank, center = self.banks[name], self.banks[name].mean(dim=0)
        if self.uploaded is None:
            asked, picture = bank[place], self.images.large[place]
        else:
            picture = self.uploaded
            small = (
                F.interpolate(picture[None].float(), self.size, mode="bilinear", antialias=True)
                .round()
                .byte()
            )
            asked = extract_features(self.encoders[name], small)[0]
        similarity = F.normalize(bank - center, dim=1) @ F.normalize(asked - center, dim=0)
        if self.uploaded is None:
            similarity[place] = -torch.inf  # itself
        found = similarity.topk(min(FOUND, len(bank) - (self.uploaded is None)))
        return picture, found.indices.tolist(), found.values.tolist()

    def draw(self, canvas: Canvas) -> str:
        picture, rows, values = self.search()
        canvas.image(picture, 12, 90, 200, frame=CHOSEN, line=5)
        canvas.text(
            112, 310, "your image" if self.uploaded is not None else "the image", 16, anchor="mm"
        )
        for k, (row, value) in enumerate(zip(rows, values, strict=True)):
            x, y = 248 + 142 * (k % 5), 10 + 198 * (k // 5)
            canvas.image(self.images.large[row], x, y, 130)
            canvas.text(x + 65, y + 146, file_name(self.images.names[row], 18), 13, anchor="mm")
            canvas.text(x + 65, y + 166, f"{value:.2f}", 13, "#555555", "mm")
        if not rows:
            return f"{self.picker.problem}There is no other image to find."
        return (
            f"{self.picker.problem}By {self.whose.value}, {self.images.names[rows[0]]} is the most "
            f"similar ({values[0]:.2f}). Do they share what matters to you?"
        )
