# %% [markdown]
# # 07 · Your images
#
# **The whole way, on your own photos.**
#
# A folder of photos from your phone, your lab or your holidays: you will clean it, decide what two views of such a photo may
# differ in, continue pretraining on it, label a few images by clicking, find out which transfer option pays, search by image, and take
# encoder and report home.
#
# *6 minutes on two CPU cores with 500 photos. You should have seen notebooks 02, 04 and 05. No internet connection is needed: nothing
# that you load leaves this machine.*

# %% [markdown]
# ## 1. Load and look
#
# Write the path of a folder or zip into `PHOTOS`. Folders inside it that are named after classes give labels; plain images are fine,
# too. In Colab, upload a zip with the folder sign at the left, or connect Google Drive. As long as it says `None`, the course's
# samples are used: tiles of two photos, and some shapes.
#
# What you make here is kept in `PLACE`. In Colab name a folder in your Drive: then a lost session goes on where it was.

# %%
from pathlib import Path

from helpers.own_images import open_images
from helpers.runtime import hardware, seed_everything

PHOTOS = None  # or "D:/pictures/birds", or "birds.zip"
PLACE = Path("runs/your_images")  # in Colab: Path("/content/drive/MyDrive/your_images")

seed_everything(0)
print(hardware())
own = open_images(PHOTOS)
print(f"{len(own)} images in {own.name}; classes by folder: {', '.join(own.classes) or 'none'}")
for note in own.notes:
    print("-", note)

# %%
import torch

from helpers.plotting import show_images
from helpers.widgets.picture import picture

some = torch.randperm(len(own))[:24]
picture(show_images(own.large[some], columns=8), f"{len(some)} images of the folder {own.name}, as they were read.")

# %% [markdown]
# Each image was turned upright, cut to the square in its middle, and made small. Is what matters still in the picture? If it
# stood at the rim, cut your photos by hand first. The network sees even less of it: 32 × 32 pixels.

# %% [markdown]
# ## 2. What may two views differ in?
#
# This is the decision that only you can make (notebook 02): **whatever a view may change, the encoder need not keep.** Flowers need
# their colour, satellite images have no up, and a letter must not be mirrored.
#
# Move the sliders until you would still say of each pair: the same thing. The next part takes them as they stand.

# %%
from helpers.simclr import load_pretrained
from helpers.widgets.policy import PolicyExplorer

start = load_pretrained("cifar10-tiny")
policy = PolicyExplorer(own, start.settings)
policy

# %% [markdown]
# ## 3. Go on learning, on your images
#
# A few hundred photos are too few to start from nothing. So we start from the encoder that has learned from 45,000 photos of CIFAR-10,
# and let it go on with yours, without a label. A batch needs other images to tell from: the more you have, the better.

# %%
from helpers.own_images import go_on_settings
from helpers.runtime import fast_mode

settings = go_on_settings(start.settings, len(own), seconds=1 if fast_mode() else 90, **policy.changes())
print(f"{settings.epochs:g} epochs, batches of {settings.batch_size}")

# %%
from helpers.data import ImageSet
from helpers.simclr import pretrain
from helpers.widgets.monitor import TrainingMonitor

unlabelled = ImageSet(own.name, own.at(settings.image_size))
found = pretrain(unlabelled, settings, start=start, monitor=TrainingMonitor(settings, len(own)))
found.save(PLACE / "encoder.safetensors")
print(f"{found.card['seconds']:.0f} s; kept in {PLACE / 'encoder.safetensors'}")

# %% [markdown]
# ## 4. Look at neighbours, search by image
#
# Which images does it find alike? Compare raw pixels, the encoder before, and after it has seen your images. Or upload a photo that is not in
# the folder: a search by image.

# %%
from helpers.widgets.search import SearchExplorer

search = SearchExplorer(own, {"the encoder before": start.encoder, "the encoder after": found.encoder}, settings.image_size)
search

# %% [markdown]
# ## 5. Label a few
#
# Write your classes, choose one, and click on its images; five each suffice to begin with. Clicks are kept in a file, and the image
# keeps its label when you come back. Labels from folder names are there already; a click outweighs them.

# %%
from helpers.widgets.labels import LabelBoard

board = LabelBoard(own, PLACE / "labels.json")
board

# %% [markdown]
# ## 6. Which option pays?
#
# Now the options of notebook 05, on what you labelled: five images a class to learn from, some to choose by, the rest to test. Three times,
# with other images dealt to each.
#
# With a handful of test images an accuracy is a rough guess: 20 images say 80% where 60% or 95% may be true. And if the same flower was
# photographed ten times, some of those photos learn and others test: then every option looks better than it is.

# %%
from IPython.display import Markdown

from helpers.own_images import compare_few
from helpers.results import results_table

labelled = own.labelled(board.labels(), board.classes, settings.image_size)
try:
    rows = compare_few(found.encoder, labelled, seeds=1 if fast_mode() else 3, steps=10 if fast_mode() else 100)
    table = results_table(rows, {"option": "option", "train_images": "learned from", "test_images": "tested on"},
                          {"accuracy": "test accuracy"}, {"seconds": "seconds"})
except ValueError as error:
    rows, table = [], f"{error}. Label some above, then run this cell again."
Markdown(table)

# %% [markdown]
# Are the intervals apart? If not, take the quickest (notebook 05, part 10), and label more before you believe a difference.

# %% [markdown]
# ## 7. Take it home
#
# The encoder is kept in `encoder.safetensors`, which `load_pretrained` opens again. The report is one HTML page with everything on it;
# open it in any browser, or send it to someone.

# %%
from helpers.plotting import draw_training_curves
from helpers.report import Picture, write_report

curves = draw_training_curves(found.history, settings.chance_loss, settings.floor_loss, found.history[-1]["step"])
path = write_report(PLACE / "report.html", f"SimCLR on {own.name}", {
    "Images": [f"{len(own)} images; classes: {', '.join(board.classes)}.", *own.notes, board.text],
    "Settings": [[{"setting": name, "value": value} for name, value in vars(settings).items()]],
    "Curves": [Picture(curves, "Loss and other curves of the continued pretraining.")],
    "Neighbours": [search.text, Picture(search.static(), search.text)],
    "Transfer options": [[{name: row[name] for name in ("option", "seed", "train_images", "test_images", "accuracy")}
                          for row in rows]],
    "Made with": [hardware()]})
print(f"open {path} in a browser")

# %% [markdown]
# ## What you have done
#
# * You decided what does not matter in your images, and the encoder learned from nothing else.
# * You labelled a few, and let validation choose.
# * You know how sure the result is, and how to make it surer: more labels, not more tries.
#
# A next step: all of it with more images, for longer, on a GPU: `python -m helpers train --data PATH --preset colab`.
