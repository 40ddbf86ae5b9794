"""Choose a picture: a sample photo, a rendered shape, or a file of one's own, whatever it turns out
to be.
"""

import io
import warnings

import ipywidgets
import torch
from PIL import Image
from torch import Tensor

from helpers.data import load, sample_photos
from helpers.folders import decode_image, file_name
from helpers.shapes import CLASSES, render_shapes
from helpers.widgets.explorer import dropdown, shared

LARGEST = 100_000_000  # pixels of an upload: unpacked in memory, three bytes each


class PhotoPicker:
    """A list of pictures and an upload that adds to it.

    Attributes:
        controls: The widgets, for an explorer's row of controls.
        problem: What was wrong with the last upload, a sentence; empty if nothing was.

    Args:
        size: Side of the square pictures in pixels.
        shapes: The shapes to offer after the photos, by their names.
        first: Name of the picture that is chosen at first.
        description: The list's label.
        upload: Whether to offer the upload.
        which: Which of the shapes of each name to offer: two pickers with different ones never show
            the same image.
    """

    def __init__(
        self,
        size: int,
        shapes: tuple[str, ...] = (),
        first: str | None = None,
        description: str = "picture",
        upload: bool = True,
        which: int = 0,
    ):
        self.size, self.problem = size, ""
        photos = sample_photos(size)
        self.pictures = dict(zip(photos.classes, photos.images, strict=True))
        self.photos = set(self.pictures)
        self.pictures |= _shapes(size, shapes, which)
        self.choice = dropdown(description, list(self.pictures), first, width=220, label=70)
        self.choice.observe(lambda _: setattr(self, "problem", ""), "value")
        self.upload = ipywidgets.FileUpload(
            accept="image/*",
            multiple=False,
            description="your photo",
            layout=ipywidgets.Layout(width="145px"),
        )
        self.upload.observe(self._uploaded, "value")
        self.controls = [self.choice, self.upload] if upload else [self.choice]

    @property
    def picture(self) -> Tensor:
        """The chosen picture, uint8 (3, size, size)."""
        return self.pictures[self.choice.value]

    @property
    def is_photo(self) -> bool:
        """Whether the chosen picture is a photo, and not a rendered shape."""
        return self.choice.value in self.photos

    def _uploaded(self, change) -> None:
        if not change["new"]:  # cancelled, or emptied below
            return
        self.problem = ""
        # ipywidgets 8 gives a tuple of files, 7 a dict by their names; both are empty when the
        # upload is cancelled.
        files = list(change["new"].values() if isinstance(change["new"], dict) else change["new"])
        for file in files:
            name = file.get("name") or file.get("metadata", {}).get("name", "photo")
            try:
                self.add(name, bytes(file["content"]))
            except ValueError as error:
                self.problem = f"{error}. "
        # Emptied, so that the same file can be chosen again and its bytes do not stay in memory.
        self.upload.set_trait("value", {} if isinstance(change["new"], dict) else ())

    def add(self, name: str, content: bytes) -> None:
        """Add the picture in a file's bytes to the list and choose it.

        Raises:
            ValueError: If it is not a picture that can be read.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content)) as image:
                    width, height = image.size
                if width * height > LARGEST:
                    raise ValueError(
                        f"it has {width} x {height} pixels, more than 100 million; make it smaller "
                        "first"
                    )
                picture = decode_image(io.BytesIO(content), self.size)
        except Exception as error:
            reason = (
                "it is no image"
                if isinstance(error, Image.UnidentifiedImageError)
                else str(error).split("\n")[0]
            )
            raise ValueError(
                f"{name[:60]!r} could not be read ({reason}); choose a JPEG or PNG"
            ) from error
        short, count = file_name(name), 1
        while short in self.pictures:
            count += 1
            short = f"{short.removesuffix(f' ({count - 1})')} ({count})"
        # First in the list, since a list that is filled anew chooses its first: the explorer draws
        # once.
        self.pictures = {short: torch.from_numpy(picture.copy()), **self.pictures}
        self.photos.add(short)
        self.choice.options = list(self.pictures)


def _shapes(size: int, names: tuple[str, ...], which: int) -> dict[str, Tensor]:
    if not names:
        return {}
    if size == 32:  # the held-out images of the course's own data set
        held_out = shared(load, "shapes", "val")
        images, labels = held_out.images, held_out.labels
    else:
        images, labels = (torch.from_numpy(array) for array in render_shapes(80, size, seed=3)[:2])
    return {name: images[int((labels == CLASSES.index(name)).nonzero()[which])] for name in names}
