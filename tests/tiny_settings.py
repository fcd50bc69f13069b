"""A network and clips so small that a test of preset ``best`` takes a second."""

TINY_BEST = {
    "widths": "4,8",
    "blocks": "1,1",
    "n_layers": 1,
    "d_state": 4,
    "n_mels": 16,
    "n_samples": 8192,
    "n_fft": 512,
    "hop_length": 256,
    "d_projection": 8,
}
