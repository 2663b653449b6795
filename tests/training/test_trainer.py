"""The loop on a network small enough to follow: what it counts, keeps, and refuses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from g_selfatt.datasets import INFO, TensorSplit, make_loader
from training.errors import NonFiniteLoss
from training.evaluation import Score, evaluate
from training.optimizers import create_optimizer
from training.precision import Precision
from training.schedulers import create_scheduler
from training.trainer import Trainer

CPU = torch.device("cpu")
IMAGES, BATCH = 25, 8  # three whole batches and one image over


class Linear(nn.Module):
    """Logits of a linear layer; NaN from a given step on."""

    def __init__(self, nan_from_step: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(144, 10)
        self.steps = 0
        self.nan_from_step = nan_from_step

    def forward(self, x):
        logits = self.layer(x.flatten(1))
        if self.training:
            self.steps += 1
            if self.nan_from_step is not None and self.steps >= self.nan_from_step:
                return logits * torch.nan
        return logits


def split(count=IMAGES):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 1, 12, 12), generator=generator, dtype=torch.uint8)
    return TensorSplit(images, torch.randint(0, 10, (count,), generator=generator))


def loader(count=IMAGES, shuffle=False):
    return make_loader(split(count), INFO["rotDigits"], BATCH, device=CPU, shuffle=shuffle)


def trainer(model, *, epochs=2, scheduler="constant", lr=0.01, amp="off", **options):
    training = loader(shuffle=True)
    optimizer = create_optimizer("SGD", model.parameters(), lr=lr, momentum=0.0, weight_decay=0.0)
    schedule = create_scheduler(scheduler, optimizer, epochs=epochs, steps_per_epoch=len(training))
    return Trainer(
        model,
        optimizer,
        schedule,
        Precision(amp, CPU, "constant"),
        training=training,
        validation=loader(10),
        epochs=epochs,
        **options,
    )


def test_the_loop_is_gradient_descent_on_every_whole_batch_of_every_epoch():
    torch.manual_seed(3)
    model = Linear()
    weight = model.layer.weight.detach().clone().requires_grad_()
    bias = model.layer.bias.detach().clone().requires_grad_()
    rows = []
    trainer(model, epochs=2).fit(rows.append)

    batches, losses = loader(shuffle=True), []
    for epoch in range(2):
        batches.set_epoch(epoch)
        for x, y in batches:
            loss = F.cross_entropy(F.linear(x.flatten(1), weight, bias), y)
            gradients = torch.autograd.grad(loss, (weight, bias))
            with torch.no_grad():
                weight -= 0.01 * gradients[0]
                bias -= 0.01 * gradients[1]
            losses.append(loss.item())
    assert torch.allclose(model.layer.weight, weight, rtol=0, atol=1e-7)
    assert [row["train_loss"] for row in rows] == pytest.approx(
        [sum(losses[:3]) / 3, sum(losses[3:]) / 3]
    )
    assert [row["epoch"] for row in rows] == [1, 2]
    assert model.steps == 2 * (IMAGES // BATCH)


def test_label_smoothing_and_clipping_are_those_of_their_equations():
    model = Linear()
    weight = model.layer.weight.detach().clone().requires_grad_()
    bias = model.layer.bias.detach().clone().requires_grad_()
    rows: list = []
    trainer(model, epochs=1, lr=1.0, label_smoothing=0.3, clip_grad_norm=0.05).fit(rows.append)

    losses = []
    for x, y in loader(shuffle=True):
        logs = F.linear(x.flatten(1), weight, bias).log_softmax(1)
        loss = -(0.7 * logs.gather(1, y[:, None])[:, 0] + 0.3 * logs.mean(1)).mean()
        gradients = torch.autograd.grad(loss, (weight, bias))
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        assert norm > 0.05
        with torch.no_grad():
            weight -= 0.05 / norm * gradients[0]
            bias -= 0.05 / norm * gradients[1]
        losses.append(loss.item())
    assert torch.allclose(model.layer.weight, weight, rtol=0, atol=1e-6)
    assert rows[0]["train_loss"] == pytest.approx(sum(losses) / 3)


def test_the_average_is_exponential_and_is_what_is_evaluated_and_kept():
    model, steps = Linear(), []
    averaging = trainer(model, epochs=2, lr=0.5, ema_decay=0.8)
    averaging.optimizer.register_step_post_hook(
        lambda *_: steps.append(model.layer.weight.detach().clone())
    )
    rows, expected = [], []

    def after_epoch(row):
        average = steps[0]
        for weight in steps[1:]:
            average = 0.8 * average + 0.2 * weight
        expected.append(average)
        rows.append(row)

    averaging.fit(after_epoch)
    kept = averaging.best["weights"]["layer.weight"]
    torch.testing.assert_close(kept, expected[averaging.best["epoch"] - 1])
    averaged = Linear()
    averaged.load_state_dict(averaging.best["weights"])
    score = evaluate(averaged, loader(10), averaging.precision)
    assert score.loss == pytest.approx(rows[averaging.best["epoch"] - 1]["validation_loss"])
    assert not torch.allclose(kept, model.layer.weight)


def test_the_statistics_of_batch_norm_are_averaged_and_indices_are_not():
    model, means = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144), nn.Linear(144, 10)), []
    model.register_buffer("index", torch.arange(1000))
    averaging = trainer(model, epochs=2, ema_decay=0.999)
    averaging.optimizer.register_step_post_hook(
        lambda *_: means.append(model[1].running_mean.clone())
    )
    averaging.fit(lambda _: None)
    expected = means[0]
    for mean in means[1:]:
        expected = 0.999 * expected + 0.001 * mean
    average = averaging.evaluated
    torch.testing.assert_close(average[1].running_mean, expected)
    assert average[1].num_batches_tracked == model[1].num_batches_tracked == len(means)
    assert torch.equal(average.index, model.index)


def test_the_schedule_moves_with_every_step():
    rows = []
    trainer(Linear(), epochs=20, scheduler="linear_warmup_cosine", lr=0.3).fit(rows.append)
    # warm-up of 10 epochs = 30 steps; the last of epoch e is step 3e - 1
    assert [row["lr"] for row in rows[:10]] == pytest.approx(
        [0.3 * (3 * epoch - 1) / 30 for epoch in range(1, 11)]
    )


def test_the_best_epoch_has_the_most_right_and_among_equals_the_lower_loss():
    fitted = trainer(Linear())
    scores = [(3, 1.0), (5, 2.0), (5, 1.5), (4, 0.1), (5, 1.5)]
    kept = [fitted._keep_if_best(Score(loss, correct, 10)) for correct, loss in scores]
    assert kept == [True, True, True, False, False]


def test_the_best_weights_are_a_copy_that_further_training_does_not_change():
    model = Linear()
    fitted = trainer(model, epochs=6, lr=0.5)
    weights = []
    fitted.fit(lambda _: weights.append(model.layer.weight.detach().clone()))
    best = fitted.best["epoch"]
    assert torch.equal(fitted.best["weights"]["layer.weight"], weights[best - 1])
    assert sum(torch.equal(w, weights[best - 1]) for w in weights) == 1  # the others differ


@pytest.mark.parametrize(("step", "epoch", "within"), [(1, 1, 1), (2, 1, 2), (5, 2, 2)])
def test_a_loss_that_is_nan_stops_the_run_at_its_step(step, epoch, within):
    rows = []
    with pytest.raises(NonFiniteLoss) as caught:
        trainer(Linear(nan_from_step=step), lr=0.02).fit(rows.append)
    message = str(caught.value)
    assert f"the loss is nan at step {within} of epoch {epoch} (step {step} of the run)" in message
    assert "learning rate 0.02; try --config.lr=0.002" in message
    assert "amp" not in message
    assert len(rows) == epoch - 1  # nothing is reported of an epoch with NaN
    assert caught.value.exit_code == 1


def test_in_warm_up_the_advice_is_still_a_learning_rate():
    fitted = trainer(Linear(nan_from_step=1), scheduler="linear_warmup_cosine", lr=0.02)
    with pytest.raises(NonFiniteLoss, match=r"learning rate 0; try --config\.lr=0\.002"):
        fitted.fit(lambda row: None)


def test_a_late_look_at_the_losses_still_names_the_first_bad_step():
    looked = trainer(Linear(), amp="bf16")
    with pytest.raises(NonFiniteLoss, match=r"is inf at step 3 .* rate 0.3; .*--config.amp=off"):
        looked._refuse_non_finite(
            torch.tensor([1.0, 2.0, float("inf"), float("nan")]), [0.1, 0.2, 0.3, 0.4]
        )


def test_weights_that_became_nan_in_the_last_step_of_an_epoch_are_not_kept():
    model = Linear()
    fitted = trainer(model)
    model.layer.weight.register_hook(
        lambda gradient: gradient * torch.nan if model.steps == 3 else gradient
    )
    with pytest.raises(NonFiniteLoss, match="the validation loss is nan after epoch 1"):
        fitted.fit(lambda row: pytest.fail("an epoch with NaN was reported"))
    assert fitted.best == {}


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_state_covers_all_that_changes(ema_decay):
    whole = Linear()
    rows: list = []
    torch.manual_seed(0)
    start = {k: v.clone() for k, v in whole.state_dict().items()}
    uninterrupted = trainer(whole, epochs=4, scheduler="one_cycle", ema_decay=ema_decay)
    uninterrupted.fit(rows.append)

    half = Linear()
    half.load_state_dict(start)
    first = trainer(half, epochs=4, scheduler="one_cycle", ema_decay=ema_decay)
    states = []

    def stop_after_two(row):
        if row["epoch"] == 2:
            states.append(first.state_dict())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.fit(stop_after_two)
    rest = Linear()
    second = trainer(rest, epochs=4, scheduler="one_cycle", ema_decay=ema_decay)
    second.load_state_dict(states[0])
    assert second.epoch == 2
    second.fit(lambda row: None)
    assert torch.equal(rest.layer.weight, whole.layer.weight)
    assert torch.equal(second.evaluated.layer.weight, uninterrupted.evaluated.layer.weight)
    timeless = [{k: v for k, v in row.items() if k != "seconds"} for row in second.history]
    assert timeless == [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
