import pytest
import torch
from torch.nn import functional

from workflow.convergent.nets import device, strided


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(227, 11, 4, 0), (36, 11, 4, 2), (35, 7, 2, 3), (20, 3, 3, 1), (17, 2, 5, 0), (9, 9, 4, 0), (12, 5, 1, 2)],
)
def test_a_convolution_over_blocks_is_that_over_pixels(size: int, kernel: int, stride: int, padding: int) -> None:
    """Values and gradients, in float64: kernels wider and narrower than blocks, images with pixels left over."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 3, size, size + 5), (6, 3, kernel, kernel), (6,)
    both = []
    for convolve in (strided.by_blocks, functional.conv2d):
        generator.manual_seed(0)
        x, weight, bias = (torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes)
        y = convolve(x, weight, bias, stride, padding)
        y.square().sum().backward()
        both.append([y, x.grad, weight.grad, bias.grad])
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-9)


@pytest.mark.gpu
def test_on_cuda_it_has_the_weights_and_the_values_of_a_plain_one() -> None:
    plain = torch.nn.Conv2d(3, 96, 11, 4)
    ours = strided.StridedConv2d(3, 96, 11, 4)
    ours.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 227, 227)
    torch.testing.assert_close(ours.to(device.pick())(x.to(device.pick())).cpu(), plain(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.cpu()(x), plain(x), rtol=0, atol=0)
