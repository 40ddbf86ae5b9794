"""A figure as a static picture with alt text: the same with and without a kernel, and no pyplot."""

from IPython.display import Image
from matplotlib.figure import Figure

from helpers.plotting import to_png


def picture(figure: Figure, alt: str, dpi: int = 96) -> Image:
    """Return a figure as a PNG that a notebook shows where it is a cell's last line.

    Args:
        figure: What to show.
        alt: What the picture shows, in a sentence, for those who cannot see it.
        dpi: Pixels an inch.
    """
    if not alt.strip():
        raise ValueError("a picture needs an alt text: say in a sentence what it shows")
    # Colab's IPython 7 knows no `alt=`
    return Image(to_png(figure, dpi), format="png", metadata={"alt": alt})
