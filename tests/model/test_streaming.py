import pytest
import torch
from published import small

from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN
from acssm_lib.model.s4d import S4D
from acssm_lib.model.streaming import Recurrence, crop_embeddings, running_mean, spectrogram_blocks, stream

SMALL = {"n_mels": 16, "widths": (4, 8), "blocks": (1, 1), "d_state": 4}


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(1))


def test_recurrence_equals_step_and_convolution():
    torch.manual_seed(0)
    layer = S4D(6, 8).double().eval()
    u = torch.randn(2, 6, 30, dtype=torch.double)
    whole = layer(u)
    for frames in (1, 4, 30, 64):
        advance = Recurrence(layer, frames)
        pieces = torch.cat([advance(part) for part in u.split(frames, dim=2)], dim=2)
        torch.testing.assert_close(pieces, whole, atol=1e-10, rtol=0)
    one, state = Recurrence(layer, 1), layer.initial_state(2)
    for u_t in u.unbind(2):
        y_t, state = layer.step(u_t, state)
        torch.testing.assert_close(one(u_t[..., None])[..., 0], y_t, atol=1e-12, rtol=0)
    torch.testing.assert_close(one.state, state, atol=1e-12, rtol=0)


@pytest.mark.parametrize("samples", [513, 1024, 5120, 20_001])
@pytest.mark.parametrize("frames", [1, 5, 64])
def test_streamed_spectrogram_is_that_of_the_whole(samples, frames):
    front_end = AdaptedCNN(small(**SMALL)).front_end
    waveform = noise(samples)
    whole = front_end(waveform)
    for blocks in (waveform.split(700), [waveform], waveform[:600].split(1) + (waveform[600:],)):
        parts = list(spectrogram_blocks(front_end, blocks, frames))
        assert {part.shape[3] for part in parts[:-1]} <= {frames}
        torch.testing.assert_close(torch.cat(parts, dim=3), whole, atol=2e-4, rtol=0)


@pytest.mark.parametrize("n_fft, hop_length", [(1024, 1024), (1000, 130), (512, 800)])
def test_streamed_spectrogram_at_other_hops(n_fft, hop_length):
    front_end = AdaptedCNN(small(n_fft=n_fft, hop_length=hop_length, **SMALL)).front_end
    waveform = noise(9000)
    parts = torch.cat(list(spectrogram_blocks(front_end, waveform.split(333), 2)), dim=3)
    torch.testing.assert_close(parts, front_end(waveform), atol=2e-4, rtol=0)


@pytest.mark.parametrize("model, prenorm", [(AcousticSSM, False), (AcousticSSM, True), (AdaptedCNN, False)])
def test_streamed_features_are_those_of_the_whole(model, prenorm):
    torch.manual_seed(0)
    encoder = model(small(prenorm=prenorm, **SMALL)).eval()
    waveform = noise(25_000)
    encoder.standardisation.fit(encoder.front_end, [waveform])
    with torch.no_grad():
        whole = encoder(encoder.front_end(waveform))[0]
    for frames, block in ((1, 400), (32, 3000)):
        streamed = torch.cat(list(stream(encoder, waveform.split(block), frames)), dim=1)
        torch.testing.assert_close(streamed, whole, atol=1e-4, rtol=0)


def test_features_come_while_the_recording_goes_on_and_little_is_kept():
    encoder = AcousticSSM(small(**SMALL)).eval()
    given = []

    def recorder():
        for block in noise(200_000).split(512):
            given.append(block)
            yield block

    for number, _ in enumerate(stream(encoder, recorder(), frames=1)):
        heard = sum(map(len, given))
        assert heard == 200_000 or heard <= number * 512 + 2 * 1024


@pytest.mark.parametrize("frames", [1, 16])
def test_no_more_of_a_recording_is_looked_at_again_than_a_reflection_reaches(frames):
    front_end, seen = AdaptedCNN(small(**SMALL)).front_end, []
    front_end.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[3]))
    given = sum(part.shape[3] for part in spectrogram_blocks(front_end, noise(100_000).split(1_000), frames))
    assert given == 100_000 // 512 + 1 and max(seen) <= frames + 4


def test_running_mean_is_the_embedding_of_the_last_frames():
    features = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    for sizes in (1, 7, 50):
        means = torch.cat(list(running_mean(features.split(sizes, dim=1), 8)), dim=1)
        torch.testing.assert_close(means, features.unfold(1, 8, 1).mean(2))
    assert list(running_mean([features], 51)) == []


def test_crop_embeddings_are_those_of_the_crops():
    torch.manual_seed(0)
    encoder, waveform = AcousticSSM(small(**SMALL)).eval(), noise(30_000)
    with torch.no_grad():
        features = encoder.by_frame(encoder.front_end(waveform))
        crops = [encoder.sequence(features[..., start : start + 20]).mean(2)[0] for start in (0, 10, 20, 30)]
    embeddings = list(crop_embeddings(encoder, waveform.split(900), window=20, step=10))
    torch.testing.assert_close(torch.stack(embeddings[:4]), torch.stack(crops), atol=1e-4, rtol=0)


def test_wrong_use_is_named():
    encoder = AcousticSSM(small(**SMALL))
    with pytest.raises(ValueError, match="encoder.eval"):
        next(crop_embeddings(encoder, [noise(5000)], 20, 10))
    with pytest.raises(ValueError, match="encoder.eval"):
        next(stream(encoder, [noise(5000)]))
    with pytest.raises(ValueError, match="frames=0"):
        next(stream(encoder.eval(), [noise(5000)], frames=0))
    with pytest.raises(ValueError, match="300 samples are too few"):
        next(stream(encoder, [noise(300)]))
