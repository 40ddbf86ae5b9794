"""Notebook 01: the two tasks that need no labels, masked patches and rotations."""

import torch
from torch import Tensor

from helpers.checks.exercise import Case, Exercise, Mistake, NotDone


def _rotation_task(images: Tensor, label=lambda k: k % 4, turns=lambda label: label, axes=(1, 2)):
    labels = torch.tensor([label(k) for k in range(len(images))])
    return torch.stack(
        [
            torch.rot90(image, turns(int(each)), axes)
            for image, each in zip(images, labels, strict=True)
        ]
    ), labels


def _turned(function, images: Tensor) -> dict:
    answer = function(images)
    if answer is None or answer is ...:
        raise NotDone
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return {"answer": f"{type(answer).__name__}, where two things should come back"}
    return {"labels": answer[1], "pictures": answer[0]}


def _flipped(images: Tensor):
    labels = torch.arange(len(images)) % 4
    mirrored = labels.view(-1, 1, 1, 1) % 2 == 1
    return torch.where(mirrored, images.flip(3), images), labels


def _all_by_the_first(images: Tensor):
    return torch.rot90(images, 1, (2, 3)), torch.arange(len(images)) % 4


ROTATION = Exercise(
    "rotation_task",
    "01",
    _rotation_task,
    observe=_turned,
    cases=(
        Case(
            (torch.rand(10, 3, 4, 4, generator=torch.Generator().manual_seed(0)),),
            "ten pictures of 4 x 4 pixels",
        ),
        Case(
            (torch.rand(3, 3, 5, 5, generator=torch.Generator().manual_seed(1)),),
            "three pictures of 5 x 5 pixels",
        ),
    ),
    mistakes=(
        Mistake(
            "turned clockwise",
            "The labels of 1 and 3 quarter turns would be swapped. Which way does rot90 turn for "
            "a positive number?",
            lambda x: _rotation_task(x, turns=lambda label: -label),
        ),
        Mistake(
            "labels from 1 to 4",
            "Which numbers do classes have in torch: from 1 on, or from 0?",
            lambda x: (_rotation_task(x)[0], _rotation_task(x)[1] + 1),
        ),
        Mistake(
            "labels in degrees",
            "Cross-entropy wants the class's number. How many classes are there, and what are "
            "their numbers?",
            lambda x: (_rotation_task(x)[0], _rotation_task(x)[1] * 90),
        ),
        Mistake(
            "the same turn for all",
            "Does the second picture get two quarter turns, or as many as the first?",
            _all_by_the_first,
        ),
        Mistake(
            "nothing is turned",
            "The labels are right. What happened to the pictures?",
            lambda x: (x, torch.arange(len(x)) % 4),
        ),
        Mistake(
            "four in a row get the same turn",
            "What is 5 mod 4, and what is 5 // 4?",
            lambda x: _rotation_task(x, label=lambda k: k // 4),
        ),
        Mistake(
            "mirrored instead of turned",
            "A half turn moves the top to the bottom *and* the left to the right. What does a "
            "flip do?",
            _flipped,
        ),
        Mistake(
            "turned by half turns",
            "How many degrees is one quarter turn?",
            lambda x: _rotation_task(x, turns=lambda label: 2 * label),
        ),
        Mistake(
            "labels and pictures are swapped",
            "In which order should the two come back?",
            lambda x: _rotation_task(x)[::-1],
        ),
    ),
    hints=(
        "The label of row k is k % 4: a tensor of all of them is torch.arange(N) % 4.",
        "Turn one picture at a time, by its own label, and join them again with torch.stack.",
        "Axis 0 of one picture holds the colours; its height and width are axes 1 and 2.",
    ),
)


def _mask(images: Tensor, hidden: Tensor, fill: float = 0.5) -> Tensor:
    side = images.shape[2] // hidden.shape[1]
    pixels = hidden.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return torch.where(pixels[:, None], torch.as_tensor(fill), images)


def _tiled(images: Tensor, hidden: Tensor) -> Tensor:
    side = images.shape[2] // hidden.shape[1]
    return torch.where(hidden.repeat(1, side, side)[:, None], torch.tensor(0.5), images)


def _one_pixel(images: Tensor, hidden: Tensor) -> Tensor:
    side = images.shape[2] // hidden.shape[1]
    pixels = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    pixels[:, ::side, ::side] = hidden
    return torch.where(pixels[:, None], torch.tensor(0.5), images)


def _one_channel(images: Tensor, hidden: Tensor) -> Tensor:
    masked = images.clone()
    masked[:, 0] = _mask(images, hidden)[:, 0]
    return masked


def _over_colors(images: Tensor, hidden: Tensor) -> Tensor:
    side = images.shape[2] // hidden.shape[1]
    pixels = hidden.repeat_interleave(side, 1).repeat_interleave(side, 2)
    # (N, H, W) against (N, 3, H, W): where N is 3
    return torch.where(pixels, torch.tensor(0.5), images)


def _hidden(n: int, patches: int, seed: int) -> Tensor:
    return torch.rand(n, patches, patches, generator=torch.Generator().manual_seed(seed)) < 0.4


MASK = Exercise(
    "mask_patches",
    "01",
    _mask,
    cases=(
        Case(
            (torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2)), _hidden(3, 4, 0)),
            "three pictures of 8 x 8 pixels in 4 x 4 patches",
        ),
        Case(
            (torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(3)), _hidden(2, 2, 6)),
            "two pictures of 6 x 6 pixels in 2 x 2 patches",
        ),
    ),
    mistakes=(
        Mistake(
            "the mask is the wrong way round",
            "True means hidden. Which pixels should stay as they are?",
            lambda x, m: _mask(x, ~m),
        ),
        Mistake(
            "rows and columns are swapped",
            "Is the first axis of a patch grid its rows or its columns?",
            lambda x, m: _mask(x, m.transpose(1, 2)),
        ),
        Mistake(
            "every picture gets the first picture's mask",
            "The mask has an entry for each picture: which axis is that?",
            lambda x, m: _mask(x, m[:1].expand_as(m)),
        ),
        Mistake(
            "the grid is repeated side by side",
            "Each entry of the grid should become a block of pixels. Does repeating the whole "
            "grid do that? (repeat and repeat_interleave differ.)",
            _tiled,
        ),
        Mistake(
            "one pixel of each patch",
            "How many pixels does a patch have, and how many are hidden in yours?",
            _one_pixel,
        ),
        Mistake(
            "only red is hidden", "What can still be seen in the other two channels?", _one_channel
        ),
        Mistake(
            "the mask meets the colours, not the pictures",
            "Which axis of the images does the first axis of your mask meet, counted from the "
            "last one?",
            _over_colors,
        ),
        Mistake(
            "black instead of grey",
            "What value should hidden pixels have?",
            lambda x, m: _mask(x, m, 0.0),
        ),
        Mistake(
            "nothing is hidden", "Is the result of your last step what comes back?", lambda x, m: x
        ),
    ),
    hints=(
        "Two steps: make the mask as large as the picture, then put 0.5 where it is True.",
        "A patch has H / P pixels a side. repeat_interleave repeats every entry along one axis.",
        "The mask (N, H, W) needs an axis for the three colours before it fits (N, 3, H, W): "
        "mask[:, None].",
    ),
)
