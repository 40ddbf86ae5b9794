"""What the figures of all lectures share."""

from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import WIDTH, Explorer


def explorer_picture(explorer: Explorer, width: int = WIDTH, height: int | None = None) -> bytes:
    """Return the picture of an explorer as it is set, without its sentence, cut to a size in page
    pixels.
    """
    canvas = Canvas(WIDTH, explorer.height)
    explorer.draw(canvas)
    scale = canvas.picture.width / WIDTH
    height = height or explorer.height
    canvas.picture = canvas.picture.crop((0, 0, round(width * scale), round(height * scale)))
    canvas.width, canvas.height = width, height
    return canvas.png()
