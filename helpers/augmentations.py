"""The transforms of SimCLR, on whole batches, with an amount of its own for every image.

Images are float (N, 3, H, W) in [0, 1]; every amount is a tensor of N values on the same device.
`Policy` says how amounts are drawn, `Augment` draws and applies them. The sliders of the notebooks
and the training call the same functions. torchvision's transforms draw one set of amounts for a
whole batch; that is why these exist.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_GRAY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, torchvision's weights


def crop_resize(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: int
) -> Tensor:
    """Cut a box out of each image and resize it to (size, size), bilinear and antialiased.

    Args:
        images: Shape (N, 3, H, W).
        top, left, height, width: The boxes in pixels, shape (N,), whole numbers inside the image.
        size: Side of the result in pixels.

    Source: torchvision's `resized_crop(antialias=True)`; equal to it up to float rounding.
    """
    rows = _resize_weights(top, height, images.shape[2], size).to(images.dtype)  # (N, size, H)
    columns = _resize_weights(left, width, images.shape[3], size).to(images.dtype)  # (N, size, W)
    n, channels, _, full_width = images.shape
    # Resizing is separable: two small matrix products an image. Channels lie side by side in the
    # first one.
    # (N, size, 3 W)
    wide = rows @ images.transpose(1, 2).reshape(n, images.shape[2], channels * full_width)
    # (N, size * 3, size)
    wide = wide.view(n, size * channels, full_width) @ columns.transpose(1, 2)
    return wide.view(n, size, channels, size).transpose(1, 2).contiguous()


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror left and right those images where `flipped`, bool (N,), is true."""
    return _where(flipped, images, lambda x: x.flip(3))


def color_jitter(
    images: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor,
    order: Tensor | None = None,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image, in an order of its own.

    Args:
        images: Shape (N, 3, H, W).
        brightness, contrast, saturation: Factors >= 0, shape (N,); 1 changes nothing.
        hue: Shift as a fraction of the colour circle, in [-0.5, 0.5], shape (N,); 0 changes
            nothing.
        order: Shape (N, 4); row i lists the operations on image i in their order, 0 brightness, 1
            contrast, 2 saturation, 3 hue. In this order for all where it is not given.

    Source: torchvision's `adjust_brightness`, `adjust_contrast`, `adjust_saturation` and
    `adjust_hue`.
    """
    if order is None:
        order = torch.arange(4, device=images.device).expand(len(images), 4)
    operations = (
        (_adjust_brightness, brightness, 1.0),
        (_adjust_contrast, contrast, 1.0),
        (_adjust_saturation, saturation, 1.0),
        (_adjust_hue, hue, 0.0),
    )
    images = images.clone()
    for position in range(4):
        for index, (adjust, amount, neutral) in enumerate(operations):
            chosen = (order[:, position] == index) & (amount != neutral)
            images = _where(chosen, images, adjust, amount, in_place=True)
    return images


def color_drop(images: Tensor, amount: Tensor) -> Tensor:
    """Mix each image with its grey version; amount in [0, 1], shape (N,), 1 is all grey."""
    return torch.lerp(images, _grayscale(images), _per_image(amount.to(images.dtype)))


def rotate(images: Tensor, quarter_turns: Tensor) -> Tensor:
    """Turn square images anticlockwise by quarter_turns x 90 degrees, int (N,) from 0 to 3."""
    if images.shape[2] != images.shape[3]:
        raise ValueError(
            f"quarter turns need square images, not {tuple(images.shape[2:])}; crop them first"
        )
    for turns in (1, 2, 3):
        images = _where(
            quarter_turns % 4 == turns, images, lambda x, turns=turns: torch.rot90(x, turns, (2, 3))
        )
    return images


def cutout(images: Tensor, top: Tensor, left: Tensor, side: Tensor, fill: float = 0.5) -> Tensor:
    """Paint a square of each image with one grey; top, left and side in pixels, shape (N,).

    A square may reach over the edge, and side 0 changes nothing.

    Source: DeVries and Taylor 2017; torchvision's `erase`.
    """
    y = torch.arange(images.shape[2], device=images.device)[None, :, None]
    x = torch.arange(images.shape[3], device=images.device)[None, None, :]
    top, left, side = (amount.view(-1, 1, 1) for amount in (top, left, side))
    inside = (y >= top) & (y < top + side) & (x >= left) & (x < left + side)  # (N, H, W)
    return images.masked_fill(inside[:, None], fill)


def gaussian_noise(
    images: Tensor,
    sigma: Tensor,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Add normal noise of standard deviation sigma, shape (N,), to each image, and clip to [0, 1].

    `noise`, standard normal of the images' shape, is drawn from the generator where it is not
    given.
    """
    if noise is None:
        noise = torch.randn(
            images.shape, device=images.device, dtype=images.dtype, generator=generator
        )
    return (images + _per_image(sigma.to(images.dtype)) * noise).clamp_(0, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, kernel_size: int | None = None) -> Tensor:
    """Blur each image with a Gaussian of standard deviation sigma pixels, shape (N,); 0 changes
    nothing.

    Args:
        images: Shape (N, 3, H, W).
        sigma: In pixels, >= 0, shape (N,).
        kernel_size: Odd; the odd number nearest to 10% of the side (at least 3) where it is not
            given.

    Source: Chen et al. 2020, Appendix A; equal to torchvision's `gaussian_blur`, edges reflected.
    """
    kernel_size = kernel_size or blur_kernel_size(images.shape[3])
    reach = kernel_size // 2
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    # (N, K)
    weights = torch.exp(-0.5 * (offsets / sigma.to(images.dtype).clamp(min=1e-3)[:, None]) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    for axis in (2, 3):
        length = images.shape[axis]
        padded = F.pad(
            images, (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0), mode="reflect"
        )
        # A sum of shifted pictures: for these few taps faster than a convolution with a kernel of
        # its own an image.
        blurred = torch.zeros_like(images)
        for k in range(kernel_size):
            blurred = blurred + padded.narrow(axis, k, length) * _per_image(weights[:, k])
        images = blurred
    return images


def blur_kernel_size(side: int) -> int:
    """Return the paper's blur kernel for images of `side` pixels: the odd number nearest to 10% of
    it, at least 3.
    """
    return max(3, 2 * round((side / 10 - 1) / 2) + 1)


def sobel(images: Tensor, amount: Tensor) -> Tensor:
    """Mix each image with its Sobel edge strength; amount in [0, 1], shape (N,), 1 is all edges.

    The strength is the length of the brightness gradient (Sobel's 3x3 kernels, edges of the image
    repeated), clipped to [0, 1], in all three channels.
    """
    gray = F.pad(_grayscale(images), (1, 1, 1, 1), mode="replicate")
    smooth, slope = gray.new_tensor([1.0, 2.0, 1.0]), gray.new_tensor([-1.0, 0.0, 1.0])
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[
        :, None
    ]  # (2, 1, 3, 3)
    strength = F.conv2d(gray, kernels).norm(dim=1, keepdim=True).clamp_(max=1)  # (N, 1, H, W)
    return torch.lerp(images, strength.expand_as(images), _per_image(amount.to(images.dtype)))


@dataclass(frozen=True)
class Policy:
    """How much of which transform a view gets; the defaults are the paper's (Chen et al. 2020,
    Appendix A).

    Attributes:
        size: Side of the views in pixels.
        crop_area: Smallest and largest area of the crop, as fractions of the image; (1, 1) keeps it
            whole.
        crop_ratio: Narrowest and widest aspect ratio (width / height) of the crop.
        flip_p: Probability of mirroring left and right.
        color_strength: The paper's s: jitter of 0.8 s in brightness, contrast and saturation, and
            of 0.2 s in hue.
        color_p: Probability of that colour jitter.
        gray_p: Probability of dropping colour.
        blur_p, blur_sigma: Probability of blur, and its range of standard deviations in pixels.
        rotate_p: Probability of a turn by 90, 180 or 270 degrees. Not in the default policy, nor
            are those below.
        cutout_p, cutout_side: Probability of cutout, and its range of sides as fractions of `size`.
        noise_p, noise_sigma: Probability of Gaussian noise, and its range of standard deviations.
        sobel_p: Probability of the Sobel filter.
    """

    size: int = 32
    crop_area: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_p: float = 0.5
    color_strength: float = 1.0
    color_p: float = 0.8
    gray_p: float = 0.2
    blur_p: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    rotate_p: float = 0.0
    cutout_p: float = 0.0
    cutout_side: tuple[float, float] = (0.25, 0.5)
    noise_p: float = 0.0
    noise_sigma: tuple[float, float] = (0.02, 0.2)
    sobel_p: float = 0.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if name.endswith("_p") and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1, not {value}")
            if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
                raise ValueError(f"{name} is a range from low to high, not {value}")
        if self.size < 4:
            raise ValueError(f"views need at least 4 px a side, not {self.size}")
        if not (self.crop_area[0] > 0 and self.crop_area[1] <= 1):
            raise ValueError(f"crop_area lies above 0 and up to 1, not {self.crop_area}")
        if not 0 <= self.color_strength <= 2.5:
            raise ValueError(
                "color_strength goes from 0 to 2.5 (hue turns at most half a circle), not "
                f"{self.color_strength}"
            )


class Augment:
    """Draw a view of every image according to a policy: `Augment(policy)(images, generator)`.

    `draw` and `apply` are the two halves: an explorer keeps the draw and changes one amount of it.
    """

    def __init__(self, policy: Policy):
        self.policy = policy

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a view of each image, float (N, 3, size, size) in [0, 1].

        Args:
            images: Shape (N, 3, H, W), uint8 or float in [0, 1], on any device.
            generator: Where the draws come from, on the images' device; torch's own where it is not
                given.
        """
        count, _, height, width = images.shape
        return self.apply(images, self.draw(count, width, height, images.device, generator))

    def draw(
        self,
        count: int,
        width: int,
        height: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return the amounts of `count` views of images of this size, by the names of the
        transforms' arguments.
        """
        p = self.policy

        def uniform(
            low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = (count,)
        ) -> Tensor:
            return torch.rand(shape, generator=generator, device=device) * (high - low) + low

        def chosen(probability: float) -> Tensor:
            return uniform() < probability

        amounts = dict(
            zip(
                ("top", "left", "height", "width"),
                self._draw_boxes(uniform, width, height),
                strict=True,
            )
        )
        amounts["flipped"] = chosen(p.flip_p)
        jitter = chosen(p.color_p)
        reach, s = 0.8 * p.color_strength, p.color_strength
        for name in ("brightness", "contrast", "saturation"):
            amounts[name] = torch.where(jitter, uniform(max(0.0, 1 - reach), 1 + reach), 1.0)
        amounts["hue"] = torch.where(jitter, uniform(-0.2 * s, 0.2 * s), 0.0)
        amounts["order"] = uniform(shape=(count, 4)).argsort(dim=1)
        amounts["gray"] = chosen(p.gray_p).float()
        amounts["blur_sigma"] = torch.where(chosen(p.blur_p), uniform(*p.blur_sigma), 0.0)
        amounts["quarter_turns"] = chosen(p.rotate_p) * uniform(1, 4).long()
        amounts["cutout_side"] = chosen(p.cutout_p) * (uniform(*p.cutout_side) * p.size).round()
        amounts["cutout_top"] = (uniform() * (p.size - amounts["cutout_side"])).round()
        amounts["cutout_left"] = (uniform() * (p.size - amounts["cutout_side"])).round()
        amounts["noise_sigma"] = torch.where(chosen(p.noise_p), uniform(*p.noise_sigma), 0.0)
        if p.noise_p > 0:
            amounts["noise"] = torch.randn(
                (count, 3, p.size, p.size), generator=generator, device=device
            )
        amounts["sobel"] = chosen(p.sobel_p).float()
        return amounts

    def apply(self, images: Tensor, amounts: dict[str, Tensor]) -> Tensor:
        """Return the views that these amounts give; transforms that the policy never chooses are
        left out.
        """
        p, a = self.policy, amounts
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        views = crop_resize(images, a["top"], a["left"], a["height"], a["width"], p.size)
        if p.flip_p > 0:
            views = flip(views, a["flipped"])
        if p.rotate_p > 0:
            views = rotate(views, a["quarter_turns"])
        if p.color_p > 0 and p.color_strength > 0:
            views = color_jitter(
                views, a["brightness"], a["contrast"], a["saturation"], a["hue"], a["order"]
            )
        if p.gray_p > 0:
            views = color_drop(views, a["gray"])
        if p.blur_p > 0:
            views = _where(a["blur_sigma"] > 0, views, gaussian_blur, a["blur_sigma"])
        if p.sobel_p > 0:
            views = sobel(views, a["sobel"])
        if p.noise_p > 0:
            views = gaussian_noise(views, a["noise_sigma"], a["noise"])
        if p.cutout_p > 0:
            views = cutout(views, a["cutout_top"], a["cutout_left"], a["cutout_side"])
        return views

    def _draw_boxes(
        self, uniform, width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # As torchvision's RandomResizedCrop: the first of ten tries that fits, else the largest box
        # in the middle.
        p, tries = self.policy, (10, len(uniform()))
        area = uniform(*p.crop_area, tries) * (width * height)
        low, high = torch.log(torch.tensor(p.crop_ratio)).tolist()
        ratio = torch.exp(uniform(low, high, tries))
        w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (w >= 1) & (h >= 1) & (w <= width) & (h <= height)
        first = fits.float().argmax(dim=0, keepdim=True)
        fits, w, h = (values.gather(0, first)[0] for values in (fits, w, h))
        w = torch.where(fits, w, float(round(min(width, height * p.crop_ratio[1]))))
        h = torch.where(fits, h, float(round(min(height, width / p.crop_ratio[0]))))
        top, left = (uniform() * (height - h + 1)).floor(), (uniform() * (width - w + 1)).floor()
        return (
            torch.where(fits, top, ((height - h) / 2).round()),
            torch.where(fits, left, ((width - w) / 2).round()),
            h,
            w,
        )


def one_branch_views(
    images: Tensor, stages: list[Augment], generator: torch.Generator | None = None
) -> Tensor:
    """Return two views of each image, (2N, 3, size, size): a crop by the first of `stages`, changed
    by the others in their order, and then that crop as it is."""
    changed = shared = stages[0](images, generator)
    for stage in stages[1:]:
        changed = stage(changed, generator)
    return torch.cat([changed, shared])


def _per_image(amount: Tensor) -> Tensor:
    return amount.view(-1, 1, 1, 1)


def _grayscale(images: Tensor) -> Tensor:
    r, g, b = images.unbind(1)
    return (r * _GRAY[0]).add_(g, alpha=_GRAY[1]).add_(b, alpha=_GRAY[2])[:, None]  # (N, 1, H, W)


def _where(
    chosen: Tensor, images: Tensor, transform, *amounts: Tensor, in_place: bool = False
) -> Tensor:
    # On the CPU only the chosen images are worked on. A GPU would have to wait until it knows how
    # many those are, so there all are worked on and the chosen ones are kept.
    if images.device.type == "cpu":
        rows = chosen.nonzero()[:, 0]
        if len(rows) == 0:
            return images
        changed = transform(images[rows], *(amount[rows] for amount in amounts))
        return (
            images.index_copy_(0, rows, changed)
            if in_place
            else images.index_copy(0, rows, changed)
        )
    return torch.where(_per_image(chosen), transform(images, *amounts), images)


def _resize_weights(start: Tensor, length: Tensor, full: int, size: int) -> Tensor:
    # Row k of an image's (size, full) matrix holds the weights with which source pixels make target
    # pixel k: a triangle around its centre, at least one pixel wide to either side, cut off at the
    # box and normalised.
    start, length = start.float().view(-1, 1, 1), length.float().view(-1, 1, 1)
    scale = length / size
    # within the box
    center = (torch.arange(size, device=start.device).view(1, -1, 1) + 0.5) * scale
    source = torch.arange(full, device=start.device).view(1, 1, -1) - start + 0.5
    weights = (1 - (source - center).abs() / scale.clamp(min=1)).clamp_(min=0)
    weights = weights * ((source > 0) & (source < length))
    return weights / weights.sum(dim=2, keepdim=True)


def _adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    return (images * _per_image(factor)).clamp_(0, 1)


def _adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(
        _grayscale(images).mean(dim=(2, 3), keepdim=True), images, _per_image(factor)
    ).clamp_(0, 1)


def _adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_grayscale(images), images, _per_image(factor)).clamp_(0, 1)


def _adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    # RGB -> HSV, turn, -> RGB in one go: the largest and smallest channel stay what they are, only
    # the hue moves.
    r, g, b = images.unbind(1)
    high, low = images.amax(dim=1), images.amin(dim=1)
    chroma = high - low
    hue = torch.where(
        high == r,
        g - b,
        torch.where(high == g, (b - r).add_(chroma, alpha=2), (r - g).add_(chroma, alpha=4)),
    )
    # (N, H, W), in sextants
    hue = hue.div_(chroma.clamp(min=1e-12)).add_(6 * shift.view(-1, 1, 1)).remainder_(6)
    turned = torch.stack(
        [(hue - 3).abs_().sub_(1), 2 - (hue - 2).abs_(), 2 - (hue - 4).abs_()], dim=1
    ).clamp_(0, 1)
    return turned.mul_(chroma[:, None]).add_(low[:, None])
