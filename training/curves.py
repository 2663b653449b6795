"""The picture of a run: loss and accuracy by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from g_selfatt.datasets.files import replacing
from training.run_folder import printable


def draw(
    path: Path,
    title: str,
    history: Sequence[Mapping[str, Any]],
    results: Mapping[str, Any],
) -> None:
    """Write the curves of a run as a PNG.

    Args:
        path: the file.
        title: name of the run.
        history: one row an epoch: epoch, and loss and accuracy as train_loss, validation_loss, ...
        results: best_epoch, test_accuracy, and on which images the epoch was selected.
    """
    # no pyplot: no window system is touched, and nothing stays open
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
    epochs = [row["epoch"] for row in history]
    best, selected_on = results["best_epoch"], results["selected_on"]
    for axes, quantity, place in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("upper right", "lower right"), strict=True
    ):
        for split, label, colour in (
            ("train", "training", "C0"),
            ("validation", selected_on, "C1"),
        ):
            values = [row[f"{split}_{quantity}"] for row in history]
            axes.plot(epochs, values, colour, marker="o", markersize=3, label=label)
        axes.axvline(best, color="0.6", linestyle=":", label=f"best epoch ({best})")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if quantity == "accuracy":
            axes.axhline(
                results["test_accuracy"],
                color="C2",
                linestyle="--",
                label=f"test, at the end ({results['test_accuracy']:.2%})",
            )
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylabel("accuracy")
        else:
            axes.set_ylabel("cross-entropy [nats]")
        axes.legend(loc=place, fontsize="small")
    figure.suptitle(printable(title), parse_math=False)  # `$x^y$` is no formula
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
