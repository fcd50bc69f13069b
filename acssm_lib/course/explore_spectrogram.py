"""A panel for notebook 01: turn the settings of the front end and see, and hear, what the network would get."""

import ipywidgets as widgets

from acssm_lib import plots
from acssm_lib.course import listen, panel
from acssm_lib.model.features import SpectrogramStack

WIDTH, HEIGHT = 760, 340  # of the picture, pixels
CHANNEL_NAMES = ("log-mel", "magnitude", "phase")  # in the order of ``SpectrogramStack``


class SpectrogramState:
    """One crop, the settings of the front end, and what follows from them.

    The window acts on every channel here, so that its effect can be seen in each. The caption says so where the
    published front end takes the other one: Hann belongs to log-mel, rectangular to magnitude and phase.

    Args:
        waveforms: float, (clips, samples), in [-1, 1]; crops to choose from.
        names: of the crops, for the title.
        sample_rate: Hz.
        n_fft, hop_length, n_mels, window: as ``SpectrogramStack``; ``window`` is its ``stft_window``.
        channel: "log-mel", "magnitude" or "phase".
    Attributes:
        the same, and ``clip``, index of the crop shown. Set them freely: a combination that cannot be computed
        raises in ``picture``, and the next good one draws again.
    Raises:
        ValueError: names of another number than crops.
    """

    def __init__(
        self,
        waveforms,
        names,
        sample_rate=20_000,
        n_fft=1024,
        hop_length=512,
        n_mels=32,
        window="hann",
        channel="log-mel",
    ):
        if len(waveforms) != len(names):
            raise ValueError(f"{len(waveforms)} crops but {len(names)} names")
        self.waveforms, self.names, self.sample_rate = waveforms, list(names), sample_rate
        self.n_fft, self.hop_length, self.n_mels = n_fft, hop_length, n_mels
        self.window, self.channel, self.clip = window, channel, 0

    def values(self):
        """The chosen channel of the chosen crop, (n_mels, frames); dB or rad.

        Raises:
            ValueError: empty mel filters, an unknown window or channel, or a frame longer than the crop allows.
        """
        if self.channel not in CHANNEL_NAMES:
            raise ValueError(f"channel={self.channel!r}: choose one of {', '.join(CHANNEL_NAMES)}")
        front_end = SpectrogramStack(self.sample_rate, self.n_fft, self.hop_length, self.n_mels, self.window)
        front_end.hann = front_end.window  # log-mel through the chosen window as well, see above
        return front_end(self.waveforms[self.clip])[0, CHANNEL_NAMES.index(self.channel)]

    def picture(self):
        """The values as a figure of ``WIDTH`` by ``HEIGHT`` pixels."""
        values = self.values()
        label, colour_map, limits = plots.CHANNELS[CHANNEL_NAMES.index(self.channel)]
        fig, ax = plots.canvas(WIDTH / plots.DPI, HEIGHT / plots.DPI)
        plots.spectrogram(
            values, self.sample_rate, self.hop_length, ax, self.names[self.clip], label, colour_map, limits
        )
        ax.set_xlim(0, self.waveforms.shape[1] / self.sample_rate)  # the same seconds, however wide a frame is
        return fig

    def sound(self):
        """The crop as the bytes of a WAV file; the settings do not change it."""
        return listen.wav(self.waveforms[self.clip], self.sample_rate)

    def caption(self):
        """Two lines: what the frames measure, and what is traded for what."""
        frame_ms, bin_hz = 1000 * self.n_fft / self.sample_rate, self.sample_rate / self.n_fft
        frames = 1 + self.waveforms.shape[1] // self.hop_length
        facts = (
            f"{frames} frames, one every {1000 * self.hop_length / self.sample_rate:.3g} ms; each looks at "
            f"{frame_ms:.3g} ms of sound, and its bins are {bin_hz:.3g} Hz apart."
        )
        if self.hop_length > self.n_fft:
            trade = f"{1 - self.n_fft / self.hop_length:.0%} of the sound falls between the frames and is never seen."
        else:
            width = 2 if self.window == "hann" else 1  # bins from the peak of a tone to its first zero
            trade = (
                f"Events closer than {frame_ms:.3g} ms run together, and so do tones closer than about "
                f"{width * bin_hz:.3g} Hz: n_fft trades the one for the other."
            )
        published = "hann" if self.channel == "log-mel" else "rectangular"
        note = "" if self.window == published else f" The published window of this channel is {published}."
        return f"{facts}<br>{trade}{note}"


class SpectrogramPanel(panel.Panel):
    """Controls for a ``SpectrogramState`` above its picture, player and caption.

    Args:
        state: a ``SpectrogramState``.
    """

    def __init__(self, state):
        def dropdown(name, options):
            value = getattr(state, name)
            options = options if value in options else sorted([*options, value])  # a preset may have set another one
            return widgets.Dropdown(
                options=options, value=value, description=name, layout=widgets.Layout(width="230px")
            )

        super().__init__(
            state,
            {
                "clip": widgets.IntSlider(
                    value=state.clip,
                    min=0,
                    max=len(state.names) - 1,
                    description="clip",
                    continuous_update=False,
                    layout=widgets.Layout(width="230px"),
                ),
                "n_fft": dropdown("n_fft", [2**power for power in range(7, 13)]),
                "hop_length": dropdown("hop_length", [2**power for power in range(6, 11)]),
                "n_mels": dropdown("n_mels", [2**power for power in range(4, 9)]),
                "window": dropdown("window", ["hann", "rectangular"]),
                "channel": dropdown("channel", CHANNEL_NAMES),
            },
            WIDTH,
        )
