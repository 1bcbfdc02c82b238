"""NoiseMaps: the networks of LIPINC on maps of noise energy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lipinc.config import AugmentConfig, Config, LossConfig, ModelConfig, SamplingConfig
from lipinc.detection.evidence import heat_map
from lipinc.errors import UserError
from lipinc.models import LIPINC, LIPINCV2, NoiseMaps, build_model
from lipinc.models.registry import check_shapes

V1 = {"network": "lipinc", "height": 2, "width": 6, "hidden": 8}
V2 = {"network": "lipinc_v2", "height": 8, "width": 16, "hidden": 8}


def clips(count: int, height: int = 24, width: int = 48) -> torch.Tensor:
    noise = np.random.default_rng(0).normal(128, 12, (count, 8, height, width, 3))
    return torch.from_numpy(noise.clip(0, 255).astype(np.uint8))


def maps_of(model: NoiseMaps, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (B, 8, H, W, 3) of frames and (B, 7, H, W, 3) of differences."""
    maps = model.extract_features(frames, frames[:, 1:]).unflatten(1, (15, *model.size, 3))
    return maps[:, :8], maps[:, 8:]


def smooth(picture: np.ndarray) -> np.ndarray:
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    padded = np.pad(picture, 2, mode="edge")
    rows, columns = picture.shape
    return sum(
        kernel[down, right] * padded[down : down + rows, right : right + columns]
        for down in range(5)
        for right in range(5)
    )


def test_a_cell_is_the_spectrum_of_the_noise_there():
    frames = clips(1)
    brightness = frames[0].numpy().astype(float) @ [0.25, 0.5, 0.25]  # blue, green, red
    bands = [[], [], []]
    for picture in brightness:
        for band in bands:
            low = smooth(picture)
            band.append(picture - low)
            picture = low[::2, ::2]

    def energies(pictures: np.ndarray) -> np.ndarray:
        rows, columns = (
            np.array_split(np.arange(side), cells) for side, cells in zip(pictures.shape[1:], (2, 6), strict=True)
        )
        cells = [
            [[np.square(one[np.ix_(row, column)]).mean() for column in columns] for row in rows] for one in pictures
        ]
        return np.log(np.array(cells) + 0.05)

    frame_maps, change_maps = maps_of(NoiseMaps(**V1), frames)
    assert frame_maps.shape == (1, 8, 2, 6, 3) and change_maps.shape == (1, 7, 2, 6, 3)
    for found, pictures, (level, slope) in (
        (frame_maps, [np.array(band) for band in bands], ((2.5, 1.4), (-2, 0.8))),
        (change_maps, [np.diff(band, axis=0) for band in bands], ((1.9, 1.5), (-0.4, 1.2))),
    ):
        fine, middle, coarse = map(energies, pictures)
        expected = [
            ((fine + middle + coarse) / 3 - level[0]) / level[1],
            (fine - coarse - slope[0]) / slope[1],
            (fine - 2 * middle + coarse) / 0.8,
        ]
        np.testing.assert_allclose(found[0], np.stack(expected, axis=-1), atol=1e-4)


def test_maps_see_where_it_is_smooth_and_what_changes_but_no_light():
    model, frames = NoiseMaps(**V1), clips(1)
    plain, changes = maps_of(model, frames // 2 + 60)
    brighter, same_changes = maps_of(model, frames // 2 + 90)
    torch.testing.assert_close(brighter, plain, atol=1e-3, rtol=0)
    torch.testing.assert_close(same_changes, changes, atol=1e-3, rtol=0)
    smooth_right = frames.clone()
    smooth_right[:, :, :, 24:] = 128
    difference = maps_of(model, smooth_right)[0] - maps_of(model, frames)[0]
    assert difference[..., :2, :].abs().max() < 1 and difference[..., 4:, 0].max() < -2
    still = frames[:, :1].expand(-1, 8, -1, -1, -1)
    unchanged = torch.tensor([(np.log(0.05) - 1.9) / 1.5, 0.4 / 1.2, 0.0], dtype=torch.float32)
    torch.testing.assert_close(maps_of(model, still)[1], unchanged.expand(1, 7, 2, 6, 3), atol=1e-5, rtol=0)


def test_noise_of_any_strength_has_the_same_contrasts_of_its_bands():
    generator = np.random.default_rng(1)
    noise = torch.from_numpy(generator.normal(0, 20, (1, 8, 64, 144, 1)).round().repeat(3, axis=-1)).float()
    weak, strong = (maps_of(NoiseMaps(**V1), 128 + noise * gain)[0] for gain in (1, 2))
    assert (strong - weak)[..., 0].min() == pytest.approx(2 * np.log(2) / 1.4, abs=0.01)
    torch.testing.assert_close(strong[..., 1:], weak[..., 1:], atol=0.05, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(18, 18), (40, 90), (111, 64)])
def test_a_map_covers_mouths_of_any_size(height, width):
    model, frames = NoiseMaps(**V2), clips(2, height, width)
    frames[:, :, height // 2 :] = 128  # the lower half
    found, _ = maps_of(model, frames)
    assert found.shape == (2, 8, 8, 16, 3)
    assert found[:, :, :3, :, 0].min() > found[:, :, 5:, :, 0].max()


@pytest.mark.parametrize(("options", "network"), [(V1, LIPINC), (V2, LIPINCV2)])
def test_the_network_is_the_papers_on_maps(options, network):
    model = build_model(Config(model=ModelConfig("noise_maps", **options), loss=LossConfig(inconsistency=0)))
    assert type(model.network) is network
    frames = clips(3)
    features = model.extract_features(frames, frames[:, 1:])
    frame_maps, change_maps = features.unflatten(1, (15, *model.size, 3)).split([8, 7], dim=1)
    logits = model.train().score_clips(frames, frames[:, 1:])
    assert logits.shape == (3, 2) and logits.dtype == torch.float32
    logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    model.eval()
    torch.testing.assert_close(model(features), model.network(frame_maps, change_maps))
    torch.testing.assert_close(model.score_clips(frames[:1], frames[:1, 1:]), model(features)[:1], rtol=1e-4, atol=1e-5)
    heat = heat_map(model, frames.numpy(), frames[:, 1:].numpy(), torch.device("cpu"))
    assert heat.shape == (3, 8, 24, 48) and heat.max() == pytest.approx(1)


def test_embeddings_are_those_of_the_head_and_not_the_maps():
    model, frames = NoiseMaps(**V1).eval(), clips(2)
    embeddings, logits = model.embed_clips(frames, frames[:, 1:])
    assert embeddings.shape == (2, 8) and embeddings.dtype == torch.float32
    torch.testing.assert_close(model.classifier()(embeddings), logits)
    torch.testing.assert_close(model.score_clips(frames, frames[:, 1:]), logits)


def test_both_networks_share_the_maps_of_a_size():
    keys = [NoiseMaps(**{**options, "height": 8, "width": 8}).feature_key() for options in (V1, V2)]
    assert keys[0] == keys[1] != NoiseMaps(**V1).feature_key()


def test_maps_that_a_network_cannot_read_are_refused():
    for network in ("lipinc", "lipinc_v2"):
        good = Config(
            model=ModelConfig("noise_maps", network=network),
            loss=LossConfig(inconsistency=0),
            augment=AugmentConfig(flip=0),
        )
        good.check()
        check_shapes(build_model(good), good)
        with pytest.raises(UserError, match="no feature maps for the inconsistency loss"):
            replace(good, loss=LossConfig(inconsistency=1)).check()
    with pytest.raises(UserError, match="at least 3 frames"):
        build_model(Config(model=ModelConfig("noise_maps"), sampling=SamplingConfig(local_frames=1, global_frames=1)))
