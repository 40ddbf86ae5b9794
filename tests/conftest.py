"""Every test is offline, seeded and keeps its data in a temporary folder."""

import os

import pytest
import torch

from helpers.runtime import seed_everything


@pytest.fixture(autouse=True, scope="session")
def _course_data(tmp_path_factory):
    os.environ["COURSE_DATA"] = str(tmp_path_factory.mktemp("course-data"))


@pytest.fixture(autouse=True)
def _seeded():
    seed_everything(0)
    yield
    assert not torch.distributed.is_initialized(), "a test left a process group behind"
