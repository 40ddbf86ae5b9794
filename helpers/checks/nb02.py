"""Notebook 02: two views of every image, and a jitter with an amount of its own for every image."""

import torch
from torch import Tensor

from helpers.augmentations import Policy
from helpers.checks.exercise import Case, Exercise, Mistake, NotDone, as_numbers

_GRAY = torch.tensor([0.2989, 0.587, 0.114])


class _Counting:
    """Stands for an Augment: makes each image a little brighter, by a draw of its own, so that it
    can be counted.
    """

    def __init__(self, size: int):
        self.policy = Policy(size=size)

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        images = images[:, :, :1, :1].expand(-1, -1, self.policy.size, self.policy.size)
        return images + 0.01 + 1e-4 * torch.rand(len(images), 1, 1, 1, generator=generator)


def _observe_views(function, count: int, size: int) -> dict:
    images = (torch.arange(count) / 10).view(-1, 1, 1, 1).expand(count, 3, 4, 4).clone()
    views = function(images, _Counting(size))
    if views is None or views is ...:
        raise NotDone
    if isinstance(views, (tuple, list)) and len(views) == 2 != 2 * count:
        return {"answer": "two things instead of one tensor"}
    views = as_numbers(views)
    if views is None or views.ndim != 4:
        return {
            "answer": "no tensor"
            if views is None
            else f"a tensor of {views.ndim} axes instead of four"
        }
    level = views.mean(dim=(1, 2, 3))
    image = ((level + 0.04) * 10).floor()  # at most six draws before it passes for the next image
    draws = (level - image / 10) * 1e4 % 100
    pairs = draws.chunk(2)
    alike = (
        len(pairs) == 2
        and len(pairs[0]) == len(pairs[1])
        and torch.allclose(pairs[0], pairs[1], atol=1e-2)
    )
    return {
        "axes": str(tuple(views.shape)),
        "images of the rows": image,
        "times drawn": ((level - image / 10) * 100 + 2e-3).floor(),
        "both views": "the same" if alike else "different",
    }


TWO_VIEWS = Exercise(
    "two_views",
    "02",
    lambda x, augment: torch.cat([augment(x), augment(x)]),
    observe=_observe_views,
    cases=(
        Case((3, 4), "three images"),
        Case((4, 4), "four images"),
        Case((2, 6), "two images of 4 x 4 pixels, whose views have 6 x 6"),
    ),
    mistakes=(
        Mistake(
            "views that alternate",
            "Rows k and k + N should be a pair. Are all first views stacked before all second "
            "ones?",
            lambda x, a: a(x.repeat_interleave(2, 0)),
        ),
        Mistake(
            "the same view twice",
            "How often is augment called? Two names for one draw are one view, and the loss would "
            "be at its floor almost at once.",
            lambda x, a: a(x).repeat(2, 1, 1, 1),
        ),
        Mistake(
            "the image itself is one of the views",
            "Both views are drawn. Which half of yours has never met augment?",
            lambda x, a: torch.cat([x, a(x)]),
        ),
        Mistake(
            "a view of a view",
            "From what should the second view be drawn: from the image, or from the first view?",
            lambda x, a: torch.cat([(first := a(x)), a(first)]),
        ),
        Mistake("one view only", "How many views does each image give?", lambda x, a: a(x)),
        Mistake(
            "two tensors instead of one",
            "How do two tensors of N rows become one of 2N rows?",
            lambda x, a: (a(x), a(x)),
        ),
        Mistake(
            "an axis too many",
            "What is the difference between torch.stack and torch.cat?",
            lambda x, a: torch.stack([a(x), a(x)]),
        ),
        Mistake(
            "the second half is in another order",
            "Row k + N should show the image of row k. What does yours show there?",
            lambda x, a: torch.cat([a(x), a(x).flip(0)]),
        ),
        Mistake(
            "stacked along the colours",
            "Along which axis do images lie?",
            lambda x, a: torch.cat([a(x), a(x)], dim=1),
        ),
    ),
    hints=(
        "Each call of augment draws anew: how many calls are needed?",
        "First all N first views, then all N second views, in the same order: 2N rows.",
        "torch.cat joins tensors along the first axis.",
    ),
)


def _jitter(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    images = (images * brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    grey = (images * _GRAY.to(images).view(1, 3, 1, 1)).sum(1).mean((1, 2)).view(-1, 1, 1, 1)
    return (grey + (images - grey) * contrast.view(-1, 1, 1, 1)).clamp(0, 1)


def _contrast_first(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    one = torch.ones_like(brightness)
    return _jitter(_jitter(images, one, contrast), brightness, one)


def _around(mean, clipped: bool = True):
    def wrong(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
        images = images * brightness.view(-1, 1, 1, 1)
        images = images.clamp(0, 1) if clipped else images
        middle = mean(images)
        images = middle + (images - middle) * contrast.view(-1, 1, 1, 1)
        return images.clamp(0, 1) if clipped else images

    return wrong


def _old_middle(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    middle, images = _grey(images), (images * brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    return (middle + (images - middle) * contrast.view(-1, 1, 1, 1)).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    return (images * _GRAY.to(images).view(1, 3, 1, 1)).sum(1).mean((1, 2)).view(-1, 1, 1, 1)


def _along_the_width(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    images = (images * brightness).clamp(0, 1)
    return (_grey(images) + (images - _grey(images)) * contrast).clamp(0, 1)


def _along_the_height(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    return _along_the_width(images, brightness[:, None], contrast[:, None])


def _photos(seed: int) -> Tensor:
    photos = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return photos * torch.tensor([1, 0.7, 0.4]).view(3, 1, 1)


JITTER = Exercise(
    "color_jitter",
    "02",
    _jitter,
    named="jitter",
    cases=(
        Case(
            (_photos(0), torch.tensor([0.5, 1.0, 1.5, 2.0]), torch.tensor([1.5, 0.3, 0.8, 1.8])),
            "four pictures, each with its own brightness and contrast",
        ),
        Case(
            (_photos(1), torch.tensor([1.2, 0.7, 1.0, 1.0]), torch.tensor([1.0, 1.0, 0.0, 2.0])),
            "four pictures, one of which loses all contrast",
        ),
    ),
    mistakes=(
        Mistake(
            "one amount for the whole batch",
            "Image 1 has an amount of its own. Where does yours take it from?",
            lambda x, b, c: _jitter(x, b[:1].expand_as(b), c[:1].expand_as(c)),
        ),
        Mistake(
            "the batch's mean amount for every image",
            "What becomes of an image with amount 0.5 next to one with 1.5, in yours?",
            lambda x, b, c: _jitter(x, b.mean().expand_as(b), c.mean().expand_as(c)),
        ),
        Mistake(
            "contrast is a second brightness",
            "What should stay as it is when the contrast changes: black, or the image's mean?",
            lambda x, b, c: _jitter(_jitter(x, b, torch.ones_like(c)), c, torch.ones_like(c)),
        ),
        Mistake(
            "the amounts run along the width",
            "(N,) broadcasts against the *last* axis. Which shape puts one number before each "
            "image?",
            _along_the_width,
        ),
        Mistake(
            "the amounts run along the height",
            "amounts[:, None] is (N, 1), and meets the *last* two axes. Which shape puts one "
            "number before each image?",
            _along_the_height,
        ),
        Mistake(
            "contrast around each pixel's own grey",
            "That changes how colourful a pixel is. Contrast needs one middle for the whole image.",
            _around(lambda x: (x * _GRAY.to(x).view(1, 3, 1, 1)).sum(1)[:, None]),
        ),
        Mistake(
            "contrast before brightness",
            "In which order are the two to be done? Clipping makes a difference.",
            _contrast_first,
        ),
        Mistake("values leave 0 to 1", "How bright can a pixel be?", _around(_grey, clipped=False)),
        Mistake(
            "contrast around the mean of the batch",
            "A dark image next to a bright one: around whose mean is it spread in yours?",
            _around(lambda x: _grey(x).mean()),
        ),
        Mistake(
            "contrast around each colour's own mean",
            "Spreading each channel around its own mean changes the tint. Which one number per "
            "image is the middle?",
            _around(lambda x: x.mean((2, 3), keepdim=True)),
        ),
        Mistake(
            "contrast around 0.5",
            "What happens to a dark image of low contrast in yours? The middle is the image's own "
            "mean grey level.",
            _around(lambda x: torch.tensor(0.5)),
        ),
        Mistake(
            "the mean over all colours instead of the grey level",
            "The eye sees green brighter than blue. Which weights make the grey of a pixel?",
            _around(lambda x: x.mean((1, 2, 3), keepdim=True)),
        ),
        Mistake(
            "the grey level is that of the image before brightness",
            "Which image is spread around its mean: the one that came in, or the brightened one?",
            _old_middle,
        ),
        Mistake(
            "clipped at the end only",
            "How bright can a pixel be after the first of the two steps?",
            lambda x, b, c: _around(_grey, clipped=False)(x, b, c).clamp(0, 1),
        ),
        Mistake(
            "brightness is added",
            "Twice as bright is a factor. What does yours do with 2?",
            lambda x, b, c: _jitter(
                (x + b.view(-1, 1, 1, 1) - 1).clamp(0, 1), torch.ones_like(b), c
            ),
        ),
    ),
    hints=(
        "An amount for each image broadcasts over the batch in the shape (N, 1, 1, 1): "
        "amounts.view(-1, 1, 1, 1).",
        "Brightness multiplies. Contrast moves every pixel away from a middle, or towards it: "
        "middle + (x - middle) * contrast.",
        "The middle is one number per image: the mean of its grey picture, 0.2989 R + 0.587 G + "
        "0.114 B. Clip to 0 and 1 after each of the two.",
    ),
)
