"""The rendered data set whose every factor is known: ten shapes in varied colour, place, size,
angle and light.

Nothing is downloaded. The same seed gives the same pictures on every machine, up to the rounding of
one grey level.
"""

import math

import numpy as np

CLASSES = ("disc", "ring", "moon", "drop", "heart", "triangle", "square", "cross", "star", "arrow")
FACTORS = ("hue", "background_hue", "size", "x", "y", "angle", "light")
# random numbers that belong to one picture; fixed, so that picture k does not depend on how many
# are asked
_DRAWS = 20


def render_shapes(
    count: int, image_size: int = 32, seed: int = 0, textured: bool = False
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return pictures, their classes and the factors that they were rendered from.

    Args:
        count: Number of pictures; the first ones are the same for every count.
        image_size: Side in pixels, 16 to 128 are sensible.
        seed: Chooses the pictures.
        textured: Strong stripes in the background instead of a smooth gradient.

    Returns:
        images uint8 (count, 3, image_size, image_size), labels int64 (count,), and a dict of
        float32 (count,): hue and background_hue in turns of the colour circle, size (radius) and
        place x, y as fractions of the side, angle in radians (anticlockwise; 0 is upright), light
        (the direction it comes from) in radians.
    """
    draws = np.random.Generator(np.random.PCG64(seed)).random((count, _DRAWS)).astype(np.float32)
    labels = np.floor(draws[:, 0] * len(CLASSES)).astype(np.int64)
    factors = {
        "hue": draws[:, 1],
        "background_hue": draws[:, 2],
        "size": 0.23 + 0.12 * draws[:, 3],
        "angle": (draws[:, 4] - 0.5) * np.float32(math.pi / 3),
        "light": draws[:, 5] * np.float32(2 * math.pi),
    }
    for name, column in (("x", 6), ("y", 7)):  # the shape stays inside the picture
        room = 0.98 - 2 * factors["size"]
        factors[name] = 0.5 + (draws[:, column] - 0.5) * room
    images = np.empty((count, 3, image_size, image_size), np.uint8)
    for rows in np.array_split(np.arange(count), max(1, count * image_size**2 // 2**18)):
        part = {name: values[rows] for name, values in factors.items()}
        images[rows] = _render(labels[rows], part, draws[rows], image_size, textured)
    return images, labels, {name: factors[name] for name in FACTORS}


def _render(
    labels: np.ndarray, factors: dict, draws: np.ndarray, size: int, textured: bool
) -> np.ndarray:
    center = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(center, 1 - center)  # y grows upwards
    x, y = x[None], y[None]  # (1, H, W)
    f = {name: values[:, None, None] for name, values in factors.items()}
    u = draws[:, :, None, None]  # (N, draws, 1, 1)
    light_x, light_y = np.cos(f["light"]), np.sin(f["light"])
    toward_light = (x - 0.5) * light_x + (y - 0.5) * light_y  # (N, H, W), about -0.7 to 0.7

    # Background: two neighbouring colours that run into each other, or stripes of two strong ones.
    # Their wide range of saturation and brightness makes raw pixels a poor guide to the shape.
    if textured:
        turn, waves = u[:, 8] * math.pi, 2.0 + 4.0 * u[:, 9]
        across = x * np.cos(turn) + y * np.sin(turn)
        mix = 0.5 + 0.5 * np.tanh(4 * np.sin(2 * math.pi * (across * waves + u[:, 10])))
        first = _hsv(f["background_hue"], 0.55 + 0.35 * u[:, 11], 0.55 + 0.4 * u[:, 12])
        second = _hsv(
            f["background_hue"] + 0.25 + 0.5 * u[:, 13],
            0.55 + 0.35 * u[:, 14],
            0.35 + 0.6 * u[:, 15],
        )
    else:
        turn = u[:, 8] * 2 * math.pi
        mix = np.clip(0.5 + (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn), 0, 1)
        value = 0.2 + 0.8 * u[:, 12]
        first = _hsv(f["background_hue"], 0.1 + 0.9 * u[:, 11], value)
        second = _hsv(
            f["background_hue"] + 0.16 * (u[:, 13] - 0.5),
            0.1 + 0.9 * u[:, 14],
            np.clip(value + 0.3 * (u[:, 15] - 0.5), 0.1, 1),
        )
    picture = first + (second - first) * mix[:, None]  # (N, 3, H, W)

    # The shape: its own coordinates, upright and of radius 1; distance < 0 inside.
    dx, dy = (x - f["x"]) / f["size"], (y - f["y"]) / f["size"]
    cos, sin = np.cos(f["angle"]), np.sin(f["angle"])
    px, py = dx * cos + dy * sin, dy * cos - dx * sin
    distance, shadow = np.empty_like(px), np.empty_like(px)
    sx, sy = dx + 0.22 * light_x, dy + 0.22 * light_y  # the shadow falls away from the light
    sx, sy = sx * cos + sy * sin, sy * cos - sx * sin
    for index, name in enumerate(CLASSES):
        rows = labels == index
        distance[rows], shadow[rows] = (
            _distance(name, px[rows], py[rows]),
            _distance(name, sx[rows], sy[rows]),
        )
    pixels = f["size"] * size  # pixels a radius
    inside = np.clip(0.5 - distance * pixels, 0, 1)  # one pixel wide edge: antialiasing
    soft = np.clip(0.5 - shadow * pixels / (0.12 * size), 0, 1)
    picture = picture * (1 - 0.35 * soft * (1 - inside))[:, None]

    # The shape stands out in brightness too: bright on dark ground and dark on bright ground.
    ground = picture.mean(axis=(1, 2, 3), keepdims=False)[:, None, None]
    value = np.where(ground < 0.5, 0.8 + 0.2 * u[:, 16], 0.3 + 0.25 * u[:, 16])
    shade = 1 + 0.5 * toward_light
    body = _hsv(f["hue"], 0.55 + 0.4 * u[:, 17], value) * shade[:, None]
    picture = picture + (np.clip(body, 0, 1) - picture) * inside[:, None]
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def _distance(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance from the outline of a shape of radius about 1, negative inside."""
    length = np.hypot(x, y)
    if name == "disc":
        return length - 0.9
    if name == "ring":
        return np.abs(length - 0.68) - 0.24
    if name == "moon":
        return np.maximum(length - 0.95, 0.78 - np.hypot(x - 0.45, y - 0.1))
    return _polygon(_OUTLINES[name], x, y)


def _polygon(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    nearest = np.full_like(x, np.inf)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        along = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, (x - ax - ex * along) ** 2 + (y - ay - ey * along) ** 2)
        if ey != 0:  # an edge to the right toggles inside and outside
            inside ^= ((ay > y) != (by > y)) & (x < ax + ex * (y - ay) / ey)
    return np.sqrt(nearest) * np.where(inside, -1, 1).astype(np.float32)


def _star(points: int, inner: float) -> np.ndarray:
    turn = np.arange(2 * points) * math.pi / points + math.pi / 2
    radius = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _heart() -> np.ndarray:
    t = np.arange(28) * 2 * math.pi / 28
    x, y = (
        16 * np.sin(t) ** 3,
        13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t),
    )
    return np.stack([x / 17, (y + 2) / 16], axis=1)


def _drop() -> np.ndarray:
    t = np.linspace(-0.75, math.pi + 0.75, 20)  # round below, one tip above
    return np.concatenate(
        [np.stack([0.66 * np.cos(-t), 0.66 * np.sin(-t) - 0.3], axis=1), [[0.0, 1.0]]]
    )


_OUTLINES = {
    name: np.asarray(corners, np.float32)
    for name, corners in {
        "drop": _drop(),
        "heart": _heart(),
        "triangle": [[-0.9, -0.62], [0.9, -0.62], [0.0, 0.95]],
        "square": [[-0.75, -0.75], [0.75, -0.75], [0.75, 0.75], [-0.75, 0.75]],
        "cross": [
            [-0.3, -0.95],
            [0.3, -0.95],
            [0.3, -0.3],
            [0.95, -0.3],
            [0.95, 0.3],
            [0.3, 0.3],
            [0.3, 0.95],
            [-0.3, 0.95],
            [-0.3, 0.3],
            [-0.95, 0.3],
            [-0.95, -0.3],
            [-0.3, -0.3],
        ],
        "star": _star(5, 0.42),
        "arrow": [
            [-0.25, -0.95],
            [0.25, -0.95],
            [0.25, 0.05],
            [0.8, 0.05],
            [0.0, 1.0],
            [-0.8, 0.05],
            [-0.25, 0.05],
        ],
    }.items()
}


def _hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return RGB (N, 3, ...) of HSV values (N, ...), hue in turns."""
    sextants = np.asarray([5, 3, 1], np.float32).reshape(3, *[1] * (hue.ndim - 1))
    k = (sextants + 6 * hue[:, None]) % 6
    return value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))
