"""The least work of a step, counted: how fast it could be if nothing were wasted.

Counted is the factored algorithm that `g_selfatt.backends.numba` describes, with its
recomputation in backward, and the convolutions; a better algorithm would have a lower floor: where
rows of the positional table are equal, the kernels compute P and its exponentials once, which is
not taken off here. With
O = |H| of h, G of g and m, N pairs of a query and a key pixel inside the image, c channels of a
head, d that meet positions, e that meet the group, for each head of each sample:

    forward   scores    A (g,m,o) G²N·c;  P (h,g,o) OGN·d;  U (g,t) GO·pixels·e
              softmax   3 OG²N: z += eA·eP;  eA·eP;  W += r·(…)
                        2 OG²·pixels: Z += eR·z;  r = eR/Z
              output    W·v  OGN·c
    backward  scores    again
              softmax   7 OG²N: x = eA·eP;  W += r·x;  y = x·dW;  D += y;  s = y − x·D;
                        dA += r·s;  dP += r·s
              gradients dW, dv  2 OGN·c;  dq, dk by A  2 G²N·c;  dq, dT by P  2 OGN·d;
                        dq, dE by U  2 GO·pixels·e
    each      exponentials  G²N + OGN + OG²·pixels, or OG²N where that is fewer (z2)
              masks         OG²N with dropout

Not counted: sums that could be kept from forward (Z) or come with others (dR), finding the maxima,
norms, activations, pooling, the optimizer. A sum, a product, or both at once is one operation.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from benchmarks.rates import Rates
from benchmarks.worker import Step
from g_selfatt.nn.self_attention import SelfAttention

# x − max, in units of ln 2; x rounded to n, 2; x − n; a polynomial of degree 6; times 2ⁿ.
OPERATIONS_OF_EXPONENTIAL = 11
# The two multiplications of the hash. Its shifts, and the comparison, may run beside other work.
OPERATIONS_OF_MASK = 2
BYTES_OF_NUMBER = 4  # float32


@dataclass(frozen=True)
class Work:
    """Counts of what must be done.

    Attributes:
        multiply_adds: sums, products, or both at once.
        exponentials: exp of one number.
        masks: decisions whether to drop an attention weight.
        bytes: read or written at least.
    """

    multiply_adds: int = 0
    exponentials: int = 0
    masks: int = 0
    bytes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def operations(self) -> int:
        """All as multiply-adds."""
        return (
            self.multiply_adds
            + OPERATIONS_OF_EXPONENTIAL * self.exponentials
            + OPERATIONS_OF_MASK * self.masks
        )

    def floor_ms(self, rates: Rates) -> float:
        """Milliseconds that the work takes at least: computing and moving go on at once."""
        return 1e3 * max(self.operations / rates.multiply_adds, self.bytes / rates.bytes)


def step_work(step: Step, network: nn.Module) -> Work:
    """The work of a step: of all attention layers and convolutions that its forward meets."""
    found: list[Work] = []

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if isinstance(module, SelfAttention):
            found.append(attention_work(module, inputs[0]))
        elif isinstance(module, _ConvNd):
            found.append(convolution_work(module, inputs[0], output))

    handles = [module.register_forward_hook(note) for module in network.modules()]
    step.forward()
    for handle in handles:
        handle.remove()
    return sum(found, Work())


def convolution_work(convolution: _ConvNd, x: Tensor, output: Tensor) -> Work:
    """A convolution; in training its backward too. All inputs and outputs are moved once a pass."""
    if not convolution.training:
        products = output.numel() * convolution.weight[0].numel()
        return Work(products, bytes=BYTES_OF_NUMBER * (x.numel() + output.numel()))
    gradients = 1 + x.requires_grad  # the weight's, and the input's
    multiply_adds = (1 + gradients) * output.numel() * convolution.weight[0].numel()
    numbers = 2 * (x.numel() + output.numel()) + (x.numel() if x.requires_grad else 0)
    return Work(multiply_adds, bytes=BYTES_OF_NUMBER * numbers)


def attention_work(layer: SelfAttention, x: Tensor) -> Work:
    """A layer's attention, between its projections; in training its backward too.

    Args:
        layer: an attention layer.
        x: its input, ``(B, C, [|H|,] H, W)``.
    """
    size, channels = x.shape[-2:], layer.mid_channels
    outputs = layer.group.num_elements
    elements = 1 if layer.lifting else outputs
    parts = 2 if layer.lifting else 3  # rows, columns, and the group
    depth = 2 * (channels // parts)
    pixels = size[0] * size[1]
    window = layer.neighbourhood.window(*size)
    pairs = pairs_on_a_line(size[0], window[0]) * pairs_on_a_line(size[1], window[1])
    return count_attention(
        units=x.shape[0] * layer.num_heads,
        channels=channels,
        depth=depth,
        group_depth=channels - depth,
        elements=elements,
        outputs=outputs,
        pixels=pixels,
        pairs=pairs,
        dropout=layer.attention_dropout_rate > 0,
        training=layer.training,
    )


def pairs_on_a_line(length: int, window: int) -> int:
    """Pairs of pixels of a line whose offset lies in an odd window."""
    reach = min(window // 2, length - 1)
    return sum(length - abs(offset) for offset in range(-reach, reach + 1))


def count_attention(
    *,
    units: int,
    channels: int,
    depth: int,
    group_depth: int,
    elements: int,
    outputs: int,
    pixels: int,
    pairs: int,
    dropout: bool,
    training: bool = True,
) -> Work:
    """The formulas at the top, with their letters.

    Args:
        units: heads times samples.
        channels, depth, group_depth: c, d, e; e = 0 for lifting.
        elements, outputs: G, O.
        pixels: of the image.
        pairs: N.
        dropout: whether attention weights are dropped in training.
        training: whether there is a backward.
    """
    content = elements**2 * pairs  # (g, m, o)
    position = outputs * elements * pairs  # (h, g, o), and (h, m, o)
    group = outputs * elements**2 * pixels if group_depth else 0  # (h, g, m)
    weights = outputs * elements**2 * pairs  # (h, g, m, o)
    by_row = elements * outputs * pixels * group_depth
    scores = content * channels + position * depth + by_row
    forward = scores + 3 * weights + 2 * group + position * channels
    exponentials = min(content + position + group, weights)
    if not training:
        numbers = pixels * channels * (3 * elements + outputs)  # q, k, v, out
        return Work(units * forward, units * exponentials, 0, units * BYTES_OF_NUMBER * numbers)
    gradients = 2 * (position * channels + content * channels + position * depth + by_row)
    backward = scores + 7 * weights + gradients
    # Forward: q, k, v, out. Backward: q, k, v and their gradients, and that of out.
    numbers = pixels * channels * (9 * elements + 2 * outputs)
    return Work(
        units * (forward + backward),
        units * 2 * exponentials,
        units * 2 * weights if dropout else 0,
        units * BYTES_OF_NUMBER * numbers,
    )
