"""What holds for any sound, rate, crop and header: resampling, crops, readers."""

import io
import math
import struct

import numpy as np
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from acssm_lib.data.audio import prepare, resample
from acssm_lib.data.clips import Clips, random_crops
from acssm_lib.files import DataError

law = settings(
    deadline=None,
    derandomize=True,
    max_examples=30,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
seeds = some.integers(0, 2**31 - 1)
rates = some.sampled_from([4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])


def noise(seed, n):
    return 0.1 * torch.randn(n, generator=torch.Generator().manual_seed(seed))


@law
@given(rates, rates, some.integers(1, 3_000))
def test_a_resampled_waveform_is_as_long_as_its_duration_says(old, new, n):
    assert len(resample(torch.zeros(n), old, new)) == math.ceil(n * new / old)


@law
@given(rates, rates, some.floats(-1, 1, width=32))
def test_a_constant_stays_what_it_is_at_any_rate(old, new, level):
    n = math.ceil(400 * max(1, old / new))
    heard = resample(torch.full((n,), level), old, new)
    middle = heard[len(heard) // 3 : len(heard) - len(heard) // 3]
    torch.testing.assert_close(middle, torch.full_like(middle, level), rtol=0, atol=2e-3)


@law
@given(rates, rates, some.floats(-2, 2, width=32), some.floats(-2, 2, width=32), seeds)
def test_a_mixture_is_resampled_as_its_parts_are(old, new, a, b, seed):
    one, two = noise(seed, 700), noise(seed + 1, 700)
    apart = a * resample(one, old, new) + b * resample(two, old, new)
    torch.testing.assert_close(resample(a * one + b * two, old, new), apart, rtol=0, atol=1e-5)


@law
@given(
    some.lists(some.integers(2, 300), min_size=1, max_size=5),
    some.integers(2, 200),
    some.integers(-400, 400),
    some.floats(0.5, 2),
    seeds,
)
def test_a_crop_is_what_its_own_clip_holds_there_and_zero_outside(lengths, n_samples, start, factor, seed):
    levels = [(place + 1) / 8 for place in range(len(lengths))]  # a level for every clip: a neighbour would be noticed
    bank = Clips([torch.full((length,), level) for length, level in zip(lengths, levels)])
    chosen, stretch = torch.arange(len(bank)), torch.full((len(bank),), factor, dtype=torch.float64)
    crops = bank.cut(chosen, torch.full((len(bank),), start), stretch, n_samples)
    places = torch.arange(start, start + n_samples)
    for crop, length, level in zip(crops, lengths, levels):
        inside = (places >= 0) & (places < math.floor(length * factor))
        torch.testing.assert_close(crop, inside * level, rtol=0, atol=1e-6)
    drawn = random_crops(bank, chosen, n_samples, max(factor, 1 / factor), torch.Generator().manual_seed(seed))
    for crop, level in zip(drawn, levels):
        off = torch.minimum(crop.abs(), (crop - level).abs())
        assert off.max() < 1e-6


def encoded(kind):
    body = io.BytesIO()
    soundfile.write(body, noise(0, 3_000).numpy(), 8_000, format=kind)
    return body.getvalue()


KINDS = {kind: encoded(kind) for kind in ("WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")}


def refused_or_sound(path, content):
    """Nothing but a DataError that names the file may come of whatever lies in it."""
    path.write_bytes(content)
    try:
        samples = prepare(path)
    except DataError as error:
        assert path.name in str(error)
    else:
        assert samples.dtype == np.int16 and len(samples)


@law
@given(
    some.sampled_from(sorted(KINDS)),
    some.lists(some.tuples(some.integers(0, 120), some.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    some.floats(0.05, 1),
)
def test_a_damaged_header_is_named_and_never_a_crash(tmp_path, kind, patches, share):
    content = bytearray(KINDS[kind])
    for place, patch in patches:
        content[place : place + len(patch)] = patch
    refused_or_sound(tmp_path / f"damaged.{kind.lower()}", bytes(content[: math.ceil(share * len(content))]))


@law
@given(
    some.sampled_from([b"RIFF", b"RF64", b"RIFX", b"FORM", b".snd", b"caff", b"fLaC", b"OggS", b"ID3\x04", b""]),
    some.binary(max_size=200),
)
def test_random_bytes_behind_a_known_mark_are_named_and_never_a_crash(tmp_path, mark, content):
    refused_or_sound(tmp_path / "random.wav", mark + content)


@law
@given(*[some.integers(0, 2**16 - 1)] * 4, some.integers(0, 2**32 - 1), some.integers(0, 2**32 - 1))
def test_any_numbers_in_a_wav_header_are_read_or_named(tmp_path, tag, channels, align, bits, rate, size):
    body = noise(0, 3_000).mul(32767).to(torch.int16).numpy().tobytes()
    form = b"fmt " + struct.pack("<IHHIIHH", 16, tag, channels, rate, rate, align, bits)
    content = b"WAVE" + form + b"data" + struct.pack("<I", size) + body
    refused_or_sound(tmp_path / "numbers.wav", b"RIFF" + struct.pack("<I", len(content)) + content)
