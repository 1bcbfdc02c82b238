"""Training augmentation of clips, with the same random parameters for all frames so that a clip stays consistent.

Only frames are augmented. Residues are computed afterwards, so that they match the frames.
"""

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from lipinc.config import AugmentConfig


def augment(frames: torch.Tensor, config: AugmentConfig, random: np.random.Generator) -> torch.Tensor:
    """Augment a clip.

    Args:
        frames: (N, H, W, 3) uint8 BGR.
        config: probabilities and strengths.
        random: the only source of randomness.

    Returns:
        Frames of the same shape and dtype.
    """
    images = frames.permute(0, 3, 1, 2)  # (N, 3, H, W)
    height, width = images.shape[2:]
    if random.random() < config.flip:
        images = functional.horizontal_flip(images)
    if config.shift:
        # Integer px: resampling would blur the noise that residues show.
        down, right = (round(random.uniform(-config.shift, config.shift) * side) for side in (height, width))
        images = _shift(images, down, right)
    if config.brightness:
        images = functional.adjust_brightness(images, random.uniform(1 - config.brightness, 1 + config.brightness))
    if config.contrast:
        factor = random.uniform(1 - config.contrast, 1 + config.contrast)
        images = _adjust_contrast(images.flip(1), factor).flip(1)  # torchvision expects RGB
    if random.random() < config.rescale:
        factor = random.uniform(*config.rescale_range)
        small = [max(1, round(height * factor)), max(1, round(width * factor))]
        images = functional.resize(functional.resize(images, small), [height, width])
    if random.random() < config.blur:
        images = functional.gaussian_blur(images, kernel_size=[7, 7], sigma=[random.uniform(*config.blur_sigma)] * 2)
    if random.random() < config.compression:
        quality = int(random.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
        images = torch.stack([functional.jpeg(image, quality) for image in images.flip(1).contiguous()]).flip(1)
    return images.permute(0, 2, 3, 1).contiguous()


def _shift(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Shift images (N, 3, H, W) by integer px, repeating the edge."""
    height, width = images.shape[2:]
    rows = (torch.arange(height) - down).clamp(0, height - 1)
    columns = (torch.arange(width) - right).clamp(0, width - 1)
    return images[:, :, rows][:, :, :, columns]


def _adjust_contrast(images: torch.Tensor, factor: float) -> torch.Tensor:
    # torchvision uses the mean of each image, which would change adjacent frames differently. Stacking the frames
    # vertically into one image gives the whole clip one mean.
    count, channels, height, width = images.shape
    column = images.transpose(0, 1).reshape(channels, count * height, width)
    return functional.adjust_contrast(column, factor).reshape(channels, count, height, width).transpose(0, 1)
