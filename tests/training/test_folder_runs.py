"""Training on a folder of images: its classes go into the weights, two folders never mix."""

from g_selfatt.models import WEIGHTS, Weights
from training.run_folder import run_name


def overrides(folder):
    return "dataset=folder", f"data_dir={folder}", "image_size=16", "epochs=1"


def test_a_run_keeps_what_the_folder_told(make_folder, configure, run):
    folder = make_folder("slides")
    results = run(*overrides(folder))
    assert results["test_images"] == 4
    config = configure(*overrides(folder))
    assert run_name(config).startswith("slides-z2sa-local3-seed0-")
    (weights,) = (folder.parent / "saved").glob(f"*/{WEIGHTS}")
    kept = Weights.read(weights).pretrained_config
    assert (kept["classes"], kept["image_size"], kept["in_channels"]) == (("cell", "debris"), 16, 1)
    assert 0 < kept["mean"][0] < 1 and 0 < kept["std"][0] < 1
    again = run(f"path={weights.parent}", "pretrained=True")  # all else is in the folder
    assert again["test_correct"] == results["test_correct"]


def test_two_folders_of_the_same_classes_are_two_runs(make_folder, configure):
    first, second = (configure(*overrides(make_folder(name))) for name in ("monday", "tuesday"))
    assert run_name(first).partition("-")[0] == "monday"
    assert run_name(first).rpartition("-")[2] != run_name(second).rpartition("-")[2]
