"""The live picture of a training run: curves beside chance level and floor, redrawn while the run
goes on.
"""

import time

import ipywidgets
from IPython.display import display

from helpers.plotting import draw_training_curves, to_png
from helpers.simclr import Settings


class TrainingMonitor:
    """Shows the curves of a run while it goes on: pass it as `pretrain(...,
    monitor=TrainingMonitor(...))`.

    Args:
        settings: Those of the run, for chance level and floor.
        images: Number of training images, for the number of steps.
        classes: Number of classes, for the chance level of kNN; 0 leaves kNN out.
        every: Seconds between two pictures at least; drawing one takes about a tenth of a second.
    """

    def __init__(self, settings: Settings, images: int, classes: int = 0, every: float = 2.0):
        self.settings, self.every, self.drawn = settings, every, 0.0
        self.total_steps = max(1, round(settings.epochs * (images // settings.batch_size)))
        self.knn_chance = 1 / classes if classes else None
        # An Image whose bytes change does not flicker, as an Output area does.
        self.image = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
        self.image.value = self.png([])
        # before the run begins, so that it stands above the progress bar and does not cut it
        display(self.image)

    def __call__(self, history: list[dict], ended: bool) -> None:
        if ended or time.monotonic() - self.drawn > self.every:
            self.image.value = self.png(history)
            self.drawn = time.monotonic()

    def png(self, history: list[dict]) -> bytes:
        """Return the picture of this history as PNG bytes."""
        figure = draw_training_curves(
            history,
            self.settings.chance_loss,
            self.settings.floor_loss,
            self.total_steps,
            self.knn_chance,
        )
        return to_png(figure, dpi=80)
