"""The course's one visual language: arrays in, Figures out; never pyplot, since callbacks run on
another thread.
"""

import io
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe-Ito, told apart by people with any kind of colour vision.
VIEW_A, VIEW_B, POSITIVE, NEGATIVE, CHOSEN, OTHER = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#D55E00",
    "#E69F00",
    "#8C8C8C",
)
TEXT = "#222222"
INK = {
    POSITIVE: "#007D5B",
    NEGATIVE: "#BD5300",
}  # darker, where they are text: 4.5 to 1 against white


def figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options
) -> tuple[Figure, np.ndarray]:
    """Return a figure of width x height inches and its axes, shape (rows, columns), in the course's
    style.
    """
    fig = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = fig.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=11, colors=TEXT)
        for label in (ax.xaxis.label, ax.yaxis.label, ax.title):
            label.set_size(12)
    return fig, axes


def to_png(figure: Figure, dpi: int = 96) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi)
    return buffer.getvalue()


def show_images(images, titles=None, columns: int = 8, colors=None, inch: float = 1.2) -> Figure:
    """Draw pictures in a grid.

    Args:
        images: uint8 or float in [0, 1], shape (N, 3, H, W).
        titles: A text above each picture.
        columns: Pictures a row.
        colors: A colour for the frame of each picture; None draws none.
        inch: Side of a picture in inches.
    """
    pictures = np.asarray(images).transpose(0, 2, 3, 1)
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    fig, axes = figure(columns * inch, rows * (inch + (0.28 if titles else 0.05)), rows, columns)
    for index, ax in enumerate(axes.flat):
        ax.set_xticks([])
        ax.set_yticks([])
        if index >= len(pictures):
            ax.set_visible(False)
            continue
        ax.imshow(pictures[index], interpolation="nearest")
        ax.spines[:].set_visible(colors is not None)
        if colors is not None:
            ax.spines[:].set(color=colors[index], linewidth=3)
        if titles is not None:
            ax.set_title(titles[index], fontsize=11, color=TEXT, pad=3)
    return fig


def draw_training_curves(
    history: list[dict],
    chance_loss: float,
    floor_loss: float,
    total_steps: int,
    knn_chance: float | None = None,
) -> Figure:
    """Draw what to watch while SimCLR trains: loss between chance and floor, pairs found, spread,
    kNN accuracy.

    Args:
        history: Rows with step, loss, top1, spread and, now and then, knn.
        chance_loss: log(2N - 1), the loss when all projections are equal.
        floor_loss: About the lowest loss there is.
        total_steps: Where the run will end.
        knn_chance: kNN accuracy by guessing; without it no kNN panel is drawn.
    """
    panels = 3 + (knn_chance is not None)
    fig, axes = figure(3.1 * panels, 2.9, 1, panels)
    loss_ax, pairs_ax, spread_ax = axes[0, :3]
    _curve(loss_ax, history, "loss", "loss", VIEW_A, total_steps)
    _level(loss_ax, chance_loss, "chance: all z alike")
    _level(loss_ax, floor_loss, "floor: pairs equal")
    losses = _values(history, "loss")
    loss_ax.set_ylim(min(floor_loss, *losses) - 0.9, max(chance_loss, *losses) + 0.6)
    _curve(pairs_ax, history, "top1", "pairs found", POSITIVE, total_steps, percent=True)
    _curve(spread_ax, history, "spread", "spread of z", CHOSEN, total_steps)
    _level(spread_ax, 0, "0 = collapsed")
    spread_ax.set_ylim(-0.12, 1.12)
    if knn_chance is not None:
        ax = axes[0, 3]
        _curve(
            ax,
            history,
            "knn",
            "kNN accuracy, held out",
            NEGATIVE,
            total_steps,
            percent=True,
            marker="o",
        )
        _level(ax, knn_chance, "guessing")
    return fig


def _values(history: list[dict], key: str) -> list[float]:
    return [
        row[key] for row in history if row.get(key) is not None and math.isfinite(row[key])
    ] or [0.0]


def _curve(
    ax: Axes,
    history: list[dict],
    key: str,
    title: str,
    color: str,
    total_steps: int,
    percent: bool = False,
    marker: str = "",
) -> None:
    rows = [row for row in history if row.get(key) is not None]
    if rows:  # an empty line with markers would spoil the layout
        ax.plot(
            [row["step"] for row in rows],
            [row[key] for row in rows],
            color=color,
            linewidth=2.2,
            marker=marker,
            clip_on=False,
        )
        last = f"{rows[-1][key]:.0%}" if percent else f"{rows[-1][key]:.2f}"
        step, value = rows[-1]["step"], rows[-1][key]
        early = step < 0.25 * total_steps  # there a number left of the point would cover the axis
        ax.annotate(
            last,
            (step, value),
            xytext=(7, 0) if early else (-4, 12),
            textcoords="offset points",
            ha="left" if early else "right",
            va="center" if early else "baseline",
            fontsize=12,
            fontweight="bold",
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
        )
    ax.set_title(title, loc="left", color=TEXT)
    ax.set_xlabel("step")
    ax.set_xlim(0, total_steps)
    if percent:
        ax.set_ylim(0, 1.05)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _level(ax: Axes, value: float, text: str) -> None:
    ax.axhline(value, color=OTHER, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.text(
        0.98,
        value,
        text,
        transform=ax.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=10,
        color="#555555",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
    )


def draw_similarities(groups: dict[str, tuple]) -> Figure:
    """Draw histograms of cosine similarities: views of one image (filled) and of different ones
    (hatched).

    Args:
        groups: Title of a panel to (similarities of pairs, similarities of others), each of shape
            (N,).
    """
    fig, axes = figure(4.6 * len(groups), 3.0, 1, len(groups))
    bins = np.linspace(-1, 1, 41)
    for ax, (title, (pairs, others)) in zip(axes[0], groups.items(), strict=True):
        ax.hist(np.asarray(pairs), bins, color=POSITIVE, alpha=0.75, label="two views of one image")
        ax.hist(
            np.asarray(others),
            bins,
            histtype="step",
            color=NEGATIVE,
            linewidth=2.2,
            hatch="///",
            label="views of different images",
        )
        ax.set_title(title, loc="left", color=TEXT)
        ax.set_xlabel("cosine similarity of z")
        ax.set_xlim(-1, 1)
        ax.set_xticks([-1, -0.5, 0, 0.5, 1])
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=10, loc="upper left")
    return fig


def draw_neighbors(queries, query_labels, neighbors: dict, neighbor_labels: dict) -> Figure:
    """Draw queries with their nearest neighbours, a block of columns for each way to find them.

    A neighbour of the query's class has a green frame and a tick, another an orange frame and a
    cross.

    Args:
        queries: uint8 (Q, 3, H, W); query_labels: (Q,).
        neighbors: Name of the way to its neighbours, uint8 (Q, K, 3, H, W).
        neighbor_labels: Name to labels (Q, K).
    """
    count = next(iter(neighbors.values())).shape[1]
    columns = 1 + len(neighbors) * (count + 0.6)
    fig = Figure(figsize=(0.62 * columns, 0.72 * len(queries) + 0.35), facecolor="white")
    height = 1 / (len(queries) + 0.5)

    def draw(image, column: float, row: int, same: bool | None) -> None:
        ax = fig.add_axes(
            (column / columns, 1 - (row + 1.5) * height, 0.92 / columns, 0.92 * height)
        )
        ax.imshow(np.asarray(image).transpose(1, 2, 0), interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        color = TEXT if same is None else POSITIVE if same else NEGATIVE
        ax.spines[:].set(color=color, linewidth=2.5)
        if same is not None:
            ax.text(
                0.97,
                0.02,
                "✓" if same else "✗",
                transform=ax.transAxes,
                ha="right",
                va="bottom",
                fontsize=10,
                fontweight="bold",
                color="white",
                bbox={"facecolor": color, "edgecolor": "none", "pad": 0.8},
            )

    fig.text(
        0.5 / columns, 1 - 0.25 * height, "image", ha="center", va="center", fontsize=11, color=TEXT
    )
    for row, image in enumerate(queries):
        draw(image, 0.04, row, None)
    for block, (name, found) in enumerate(neighbors.items()):
        left = 1.6 + block * (count + 0.6)
        fig.text(
            (left + count / 2) / columns,
            1 - 0.25 * height,
            f"nearest by {name}",
            ha="center",
            va="center",
            fontsize=12,
            color=TEXT,
        )
        for row in range(len(queries)):
            for k in range(count):
                draw(
                    found[row][k],
                    left + k,
                    row,
                    bool(neighbor_labels[name][row][k] == query_labels[row]),
                )
    return fig


def draw_clinic(runs: dict[str, list[dict]], chance_loss: float, knn_chance: float) -> Figure:
    """Draw the curves of several runs, a row for each: loss, pairs found, spread of z, kNN
    accuracy.

    Args:
        runs: Name to history; the panels of a column share their scale, so that runs can be
            compared.
        chance_loss: log(2N - 1) of these runs.
        knn_chance: kNN accuracy by guessing.
    """
    panels = (
        ("loss", "NT-Xent", VIEW_A, False),
        ("top1", "pairs found", POSITIVE, True),
        ("spread", "spread of z", CHOSEN, False),
        ("knn", "kNN accuracy, held out", NEGATIVE, True),
    )
    fig, axes = figure(12.4, 1.75 * len(runs) + 0.4, len(runs), len(panels))
    steps = max(row["step"] for history in runs.values() for row in history)
    highest = max(
        [chance_loss, *(value for history in runs.values() for value in _values(history, "loss"))]
    )
    for row, (name, history) in enumerate(runs.items()):
        for column, (key, title, color, percent) in enumerate(panels):
            ax = axes[row, column]
            _curve(
                ax,
                history,
                key,
                title if row == 0 else "",
                color,
                steps,
                percent,
                "o" if key == "knn" else "",
            )
            ax.set_xlabel("step" if row == len(runs) - 1 else "")
            if key == "loss":
                _level(ax, chance_loss, "chance" if row == 0 else "")
                ax.set_ylim(0, highest + 1)
                ax.set_ylabel(
                    name, fontsize=15, fontweight="bold", rotation=0, labelpad=44, va="center"
                )
            if key == "spread":
                ax.set_ylim(-0.12, 1.12)
            if key == "knn":
                _level(ax, knn_chance, "guessing" if row == 0 else "")
    return fig


# colour, marker, line
SERIES = (
    (VIEW_A, "o", "-"),
    (NEGATIVE, "s", "--"),
    (POSITIVE, "^", "-."),
    (CHOSEN, "D", ":"),
)


def draw_curves(
    panels: dict[str, dict[str, list[tuple[str, float, float]]]],
    x_title: str,
    y_title: str,
    new: dict[str, tuple[str, float]] | None = None,
    inch: float = 4.1,
    height: float = 3.3,
) -> Figure:
    """Draw curves over a few named places, in panels with a scale of their own: ours beside the
    paper's.

    Args:
        panels: Title to curves: name to (place, mean, half width of the interval or nan) each, in
            percent. Three panels make a row.
        x_title: What the places are.
        y_title: What is drawn.
        new: Title to one more point (place, value), drawn as a star: of a run made just now.
        inch, height: Width and height of a panel, in inches.
    """
    rows = math.ceil(len(panels) / 3)
    columns = math.ceil(len(panels) / rows)
    fig, axes = figure(inch * columns, height * rows, rows, columns)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    for ax, (title, curves) in zip(axes.flat, panels.items(), strict=False):
        places = list(dict.fromkeys(place for curve in curves.values() for place, _, _ in curve))
        for shift, (name, curve) in enumerate(curves.items()):
            color, marker, line = SERIES[shift % len(SERIES)]
            x = [
                places.index(place) + 0.07 * (shift - (len(curves) - 1) / 2)
                for place, _, _ in curve
            ]
            means = np.array([mean for _, mean, _ in curve])
            widths = np.nan_to_num([width for _, _, width in curve])
            ax.errorbar(
                x,
                means,
                widths,
                color=color,
                marker=marker,
                linestyle=line,
                linewidth=2,
                markersize=7,
                capsize=4,
                label=name,
            )
        if new and title in new:
            place, value = new[title]
            ax.plot(
                places.index(place),
                value,
                marker="*",
                markersize=19,
                color=CHOSEN,
                markeredgecolor=TEXT,
                linestyle="",
                label="run just now",
                zorder=5,
            )
        ax.set_xticks(range(len(places)), [place.replace(" + ", "\n+ ") for place in places])
        ax.margins(x=0.12, y=0.15)
        ax.set_title(title, loc="left", color=TEXT)
        ax.set_xlabel(x_title)
        if len(curves) > 1 or (new and title in new):
            many = len(curves) > 2
            ax.legend(
                frameon=False, fontsize=10, ncols=1 + many, loc="upper left" if many else "best"
            )
            if many:  # room for it above the curves
                low, high = ax.get_ylim()
                ax.set_ylim(low, high + 0.4 * (high - low))
                # of percent
                ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= 100])
    for ax in axes[:, 0]:
        ax.set_ylabel(y_title)
    return fig
