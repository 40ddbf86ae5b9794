"""Each batched transform against torchvision's on one image at a time, and the policy against its
own promises.
"""

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision.transforms.v2.functional as reference

from helpers.augmentations import (
    Augment,
    Policy,
    blur_kernel_size,
    color_drop,
    color_jitter,
    crop_resize,
    cutout,
    flip,
    gaussian_blur,
    gaussian_noise,
    rotate,
    sobel,
)

N = 12
GREY_LEVEL = 1 / 255


@pytest.fixture
def images():
    """Half photo-like smooth pictures, half noise with pure greys, black and white among them."""
    noise = torch.rand(N, 3, 24, 24)
    smooth = reference.gaussian_blur(torch.rand(N, 3, 24, 24), [9, 9], [3.0, 3.0])
    smooth = (smooth - smooth.amin()) / (smooth.amax() - smooth.amin())
    mixed = torch.cat([noise[: N // 2], smooth[: N // 2]])
    mixed[0] = 0
    mixed[1] = 1
    mixed[2] = mixed[2, :1]
    return mixed


def amounts(low, high):
    return torch.rand(N) * (high - low) + low


def assert_equal_one_by_one(found, images, transform):
    expected = torch.stack([transform(image, k) for k, image in enumerate(images)])
    # far closer than the grey level that is asked for
    assert (found - expected).abs().max() < GREY_LEVEL / 10


@pytest.mark.parametrize("size", [8, 17, 24, 40])
def test_crop_resize(images, size):
    top, left = torch.randint(0, 12, (N,)), torch.randint(0, 12, (N,))
    height, width = torch.randint(1, 13, (N,)), torch.randint(1, 13, (N,))
    top[0], left[0], height[0], width[0] = 0, 0, 24, 24
    assert_equal_one_by_one(
        crop_resize(images, top, left, height, width, size),
        images,
        lambda image, k: reference.resized_crop(
            image, top[k], left[k], height[k], width[k], [size, size], antialias=True
        ),
    )


@pytest.mark.parametrize("order", [None, "random"])
def test_color_jitter(images, order):
    factors = [amounts(0, 2), amounts(0, 2), amounts(0, 2), amounts(-0.5, 0.5)]
    order = None if order is None else torch.rand(N, 4).argsort(1)
    steps = (
        reference.adjust_brightness,
        reference.adjust_contrast,
        reference.adjust_saturation,
        reference.adjust_hue,
    )

    def one(image, k):
        for step in range(4) if order is None else order[k].tolist():
            image = steps[step](image, factors[step][k].item())
        return image

    untouched = images.clone()
    assert_equal_one_by_one(color_jitter(images, *factors, order), images, one)
    assert torch.equal(images, untouched), "the input must not change"


def test_color_drop(images):
    assert_equal_one_by_one(
        color_drop(images, torch.ones(N)),
        images,
        lambda image, k: reference.rgb_to_grayscale(image, num_output_channels=3),
    )
    assert torch.equal(color_drop(images, torch.zeros(N)), images)


def test_flip_and_rotate(images):
    flipped, turns = torch.arange(N) % 2 == 0, torch.arange(N) % 4
    assert_equal_one_by_one(
        flip(images, flipped),
        images,
        lambda image, k: reference.horizontal_flip(image) if flipped[k] else image,
    )
    assert_equal_one_by_one(
        rotate(images, turns),
        images,
        lambda image, k: reference.rotate(image, 90.0 * int(turns[k])),
    )
    with pytest.raises(ValueError, match="square"):
        rotate(images[:, :, :10], turns)


def test_cutout(images):
    top, left, side = (
        torch.randint(0, 12, (N,)),
        torch.randint(0, 12, (N,)),
        torch.randint(0, 12, (N,)),
    )
    assert_equal_one_by_one(
        cutout(images, top, left, side),
        images,
        lambda image, k: (
            reference.erase(image, top[k], left[k], side[k], side[k], torch.full((3, 1, 1), 0.5))
            if side[k]
            else image
        ),
    )


@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_gaussian_blur(images, kernel_size):
    sigma = amounts(0.1, 2)
    assert_equal_one_by_one(
        gaussian_blur(images, sigma, kernel_size),
        images,
        lambda image, k: reference.gaussian_blur(image, [kernel_size] * 2, [sigma[k].item()] * 2),
    )
    torch.testing.assert_close(gaussian_blur(images, torch.zeros(N), kernel_size), images)


def test_blur_kernel_is_the_odd_number_nearest_to_a_tenth_of_the_side():
    assert [blur_kernel_size(side) for side in (16, 32, 64, 96, 128, 224)] == [3, 3, 7, 9, 13, 23]


def test_gaussian_noise(images):
    noise, sigma = torch.randn_like(images), amounts(0, 0.5)
    assert_equal_one_by_one(
        gaussian_noise(images, sigma, noise),
        images,
        lambda image, k: (image + sigma[k] * noise[k]).clamp(0, 1),
    )
    drawn = gaussian_noise(torch.full((N, 3, 64, 64), 0.5), torch.full((N,), 0.1))
    assert drawn.std().item() == pytest.approx(0.1, rel=0.02)


def test_sobel(images):
    def one(image, k):
        gray = reference.rgb_to_grayscale(image)[0].numpy()
        edges = np.hypot(*(scipy.ndimage.sobel(gray, axis, mode="nearest") for axis in (0, 1)))
        return torch.from_numpy(np.minimum(edges, 1)).float().expand(3, -1, -1)

    assert_equal_one_by_one(sobel(images, torch.ones(N)), images, one)


EVERYTHING = Policy(size=20, rotate_p=0.5, cutout_p=0.5, noise_p=0.5, sobel_p=0.3)


def test_augment_is_reproducible_from_a_generator_and_stays_in_range(images):
    augment = Augment(EVERYTHING)
    first, again, other = (
        augment(images, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (N, 3, 20, 20)
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1


def test_augment_takes_bytes_and_floats_alike(images):
    as_bytes = (images * 255).round().byte()
    found = Augment(EVERYTHING)(as_bytes, torch.Generator().manual_seed(0))
    expected = Augment(EVERYTHING)(as_bytes.float() / 255, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, expected)


def test_images_of_a_batch_get_amounts_of_their_own():
    same = torch.rand(1, 3, 32, 32).repeat(64, 1, 1, 1)
    views = Augment(Policy())(same)
    assert len({tuple(view.flatten()[:50].tolist()) for view in views}) == 64


def test_draws_follow_the_policy():
    policy = Policy(crop_area=(0.2, 0.8), color_strength=0.5)
    drawn = Augment(policy).draw(20_000, 32, 32)
    area = drawn["height"] * drawn["width"] / 32**2
    assert area.min() > 0.17
    assert area.max() < 0.85
    assert area.mean().item() == pytest.approx(0.5, abs=0.02)
    ratio = drawn["width"] / drawn["height"]
    assert 0.6 < ratio.min() <= ratio.max() < 1.6
    assert ((drawn["top"] >= 0) & (drawn["top"] + drawn["height"] <= 32)).all()
    assert drawn["flipped"].float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert (drawn["brightness"] != 1).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert 0.6 <= drawn["brightness"].min() <= drawn["brightness"].max() <= 1.4
    assert drawn["hue"].abs().max() <= 0.1
    assert drawn["gray"].mean().item() == pytest.approx(0.2, abs=0.02)
    orders = {tuple(row) for row in drawn["order"].tolist()}
    assert len(orders) == 24


def test_whole_image_policy_changes_nothing():
    images = torch.rand(6, 3, 32, 32)
    still = Policy(crop_area=(1, 1), crop_ratio=(1, 1), flip_p=0, color_p=0, gray_p=0, blur_p=0)
    torch.testing.assert_close(Augment(still)(images), images)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flip_p": 1.5}, "probability"),
        ({"crop_area": (0, 1)}, "crop_area"),
        ({"crop_area": (0.5, 0.2)}, "range"),
        ({"color_strength": 3}, "color_strength"),
        ({"size": 2}, "4 px"),
    ],
)
def test_impossible_policies_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Policy(**wrong)
