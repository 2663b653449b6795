"""Every command line of runs/README.md is parsed, and run in its smoke form on a few real images."""

import pickle
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

import main
from datasets.torchvision_sets import md5_of
from training import command_line, settings

REPOSITORY = Path(__file__).parents[2]
RECIPES = re.findall(r"python main\.py ([^`\n]+)", (REPOSITORY / "runs" / "README.md").read_text())
