"""A figure as a static picture with alt text: the same with and without a kernel, and no pyplot."""

import io

from IPython.display import Image
from matplotlib.figure import Figure
from PIL import Image as Pillow


def picture(figure: Figure, alt: str, dpi: int = 96) -> Image:
    """Return a figure as a PNG that a notebook shows where it is a cell's last line.

    Args:
        figure: What to show.
        alt: What the picture shows, in a sentence, for those who cannot see it.
        dpi: Pixels an inch.
    """
    if not alt.strip():
        raise ValueError("a picture needs an alt text: say in a sentence what it shows")
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=dpi)
    # 256 colours are enough for curves and small pictures, and keep the notebooks small.
    Pillow.open(drawn).convert("RGB").quantize(256, dither=Pillow.Dither.NONE).save(small, "PNG", optimize=True)
    return Image(small.getvalue(), format="png", alt=alt)
