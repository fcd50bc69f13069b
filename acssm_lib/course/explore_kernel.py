"""One mode of a state-space layer, to turn by hand: its pole, its kernel, its sound.

``KernelState`` is a plain object with the numbers and pictures; ``KernelPanel`` puts three sliders above it.
"""

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from acssm_lib import plots
from acssm_lib.course import listen
from acssm_lib.course.panel import Panel

FRAME_S = 512 / 20_000  # seconds from frame to frame in the course: hop_length / sample_rate
CLIP_FRAMES = 60  # frames of one crop
STEP_RATE = 8_000  # steps of the recurrence per second when it is played
SOUND_S = 1.0
WIDTH, HEIGHT = 10.0, 3.6  # of the picture, inches
_POLE, _MIRROR, _QUIET = "#0072B2", "#D55E00", "#999999"


@dataclass
class KernelState:
    """A conjugate pair of poles A = -real +- i imag with output weight C = 1 and step size dt.

    Attributes:
        dt: step size; continuous time that passes from one frame to the next.
        real: rate of decay, above 0; the real part of the pole is minus this.
        imag: turning rate, radians per unit of continuous time.
        length: frames of kernel to draw.
    """

    dt: float = 0.05
    real: float = 0.2
    imag: float = 16.0
    length: int = 120

    @property
    def pole(self):
        """A, the pole of continuous time; its conjugate belongs to it."""
        return complex(-self.real, self.imag)

    @property
    def time_constant(self):
        """Frames after which the kernel has shrunk to 1/e = 37 %."""
        return 1 / (self.dt * self.real)

    @property
    def turn(self):
        """Radians by which the state turns from one frame to the next."""
        return self.dt * self.imag

    @property
    def aliases(self):
        """Whether the state turns by more than half a turn per frame, so that frames show a slower turning."""
        return self.turn > np.pi

    @property
    def seen_turn(self):
        """The turn as the frames show it, 0 to pi: whole turns leave no trace, and a conjugate pair has no sign."""
        return abs(float(np.angle(np.exp(1j * self.turn))))

    @property
    def pitch_hz(self):
        """Frequency that is heard when the recurrence runs at ``STEP_RATE``; 0 to half of that."""
        return self.seen_turn / (2 * np.pi) * STEP_RATE

    def kernel(self, length=None):
        """K[l] = 2 Re((exp(dt A) - 1) / A * exp(dt A l)), the zero-order-hold kernel with C = 1.

        Args:
            length: taps, ``self.length`` if None.
        Returns:
            float64, (length,).
        """
        steps = np.arange(self.length if length is None else length)
        return 2 * (np.expm1(self.dt * self.pole) / self.pole * np.exp(self.dt * self.pole * steps)).real

    def waveform(self):
        """The kernel as sound, ``STEP_RATE`` taps per second: (samples,), peak 0.5.

        A short silence comes first. The strike rises within a tenth of the time constant (5 ms at most) and what still
        rings at the end is faded out, so that whatever clicks is the mode itself.
        """
        samples = int(SOUND_S * STEP_RATE)
        tone = self.kernel(samples)
        rise = min(int(0.005 * STEP_RATE), int(self.time_constant / 10))
        tone[:rise] *= np.sin(np.linspace(0, np.pi / 2, rise, endpoint=False)) ** 2
        fade = int(0.1 * STEP_RATE)
        tone[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
        silence = np.zeros(int(0.05 * STEP_RATE))
        return np.concatenate([silence, 0.5 * tone / np.abs(tone).max()])

    def sound(self):
        """``waveform`` as the bytes of a WAV file."""
        return listen.wav(self.waveform(), STEP_RATE)

    def caption(self):
        """What the mode does in the model, and what is heard, in words."""
        model = (
            f"<b>In the model</b> (one step = one frame = {1000 * FRAME_S:.1f} ms): the kernel shrinks to 37 % in "
            f"{_frames(self.time_constant)} = {_seconds(self.time_constant * FRAME_S)}"
        )
        if self.seen_turn > 1e-6:
            period = 2 * np.pi / self.seen_turn
            model += f" and swings once in {_frames(period)} = {_seconds(period * FRAME_S)}"
        model += "."
        if self.aliases:
            model += (
                f" <b>It aliases:</b> the state turns by {self.turn:.2f} rad per frame, more than half a turn "
                f"(3.14); seen once per frame, that cannot be told from {self.seen_turn:.2f} rad."
            )
        heard_s = self.time_constant / STEP_RATE
        heard = f"<b>Heard</b> (the same recurrence at {STEP_RATE:,} steps per second, loudness evened out): "
        swings = self.pitch_hz * heard_s  # within one time constant
        if self.pitch_hz < 20:
            heard += "a thud; " + (
                "it does not swing, so it has no pitch"
                if self.pitch_hz < 1e-3
                else f"{self.pitch_hz:.0f} Hz is too low to hear as a pitch"
            )
        elif swings < 1:
            heard += f"a click; {self.pitch_hz:,.0f} Hz dies away before it has swung once"
        else:
            heard += f"a tone of {self.pitch_hz:,.0f} Hz" + (
                ", too low for small loudspeakers" if self.pitch_hz < 100 else ""
            )
        heard += f"; time constant {_seconds(heard_s)}."
        if heard_s > 0.3:
            heard += f" It would ring on; the sound is faded out after {SOUND_S:.0f} s."
        return f"{model}<br>{heard}"

    def picture(self):
        """Poles of continuous time, the same pole on the unit circle, and the kernel: a figure of three panels."""
        fig, axes = plots.canvas(WIDTH, HEIGHT, columns=3)
        left, middle, right = axes[0]
        self._draw_continuous(left)
        self._draw_discrete(middle)
        self._draw_kernel(right)
        for ax in (left, middle, right):
            ax.spines[["top", "right"]].set_visible(False)
            ax.tick_params(labelsize=8)
            ax.xaxis.label.set_size(9)
            ax.yaxis.label.set_size(9)
            ax.title.set_size(10)
        fig.get_layout_engine().set(w_pad=0.12)
        return fig

    def _draw_continuous(self, ax):
        starts = np.pi * np.arange(32)
        ax.plot(np.full(32, -0.5), starts, ".", color=_QUIET, markersize=4, label="S4D-Lin starts")
        ax.plot(-self.real, self.imag, "o", color=_POLE, label="pole A")
        ax.plot(-self.real, -self.imag, "o", color=_MIRROR, markerfacecolor="white", label="its conjugate")
        limit = np.pi / self.dt
        for height in (limit, -limit):
            ax.axhline(height, color="#222222", linestyle="--", linewidth=0.9)
        if limit < 110:
            ax.text(-2.05, limit, "aliases beyond", fontsize=8, va="bottom")
        ax.axvline(0, color="#222222", linewidth=0.8)
        ax.set(
            xlim=(-2.1, 0.1),
            ylim=(-110, 185),
            xlabel="Real part (per unit of time)",
            ylabel="Imaginary part (rad per unit of time)",
            title="Pole of continuous time",
        )
        ax.set_yticks([-100, -50, 0, 50, 100])
        ax.legend(fontsize=7.5, loc="upper left", frameon=False, handletextpad=0.3)

    def _draw_discrete(self, ax):
        circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
        ax.plot(circle.real, circle.imag, color="#222222", linewidth=0.8)
        walk = np.exp(self.dt * self.pole * np.arange(self.length))
        ax.plot(walk.real, walk.imag, ".", color=_QUIET, markersize=4, label="the state, frame by frame")
        path = np.exp(self.dt * self.pole * np.linspace(0, 1, 400))
        ax.plot(path.real, path.imag, color=_POLE, linewidth=1.2, label="its way during one frame")
        ax.plot(path[-1].real, path[-1].imag, "o", color=_POLE, label="pole exp(dt A)")
        ax.set(
            xlim=(-1.15, 1.15),
            ylim=(-1.15, 1.75),
            aspect="equal",
            xlabel="Real part",
            ylabel="Imaginary part",
            title=f"Per frame: times {abs(path[-1]):.5g}, {self.turn:.3g} rad",
        )
        ax.legend(fontsize=7.5, loc="upper center", frameon=False, handletextpad=0.3)

    def _draw_kernel(self, ax):
        taps = self.kernel()
        ax.plot(taps, "-", color="#9CC3DD", linewidth=0.8)
        ax.plot(taps, ".", color=_POLE, markersize=4)
        ax.axhline(0, color="#222222", linewidth=0.6)
        if self.length > CLIP_FRAMES:
            ax.axvline(CLIP_FRAMES, color="#222222", linestyle="--", linewidth=0.9)
            ax.text(
                CLIP_FRAMES + 0.01 * self.length,
                0.985,
                "end of a crop",
                transform=ax.get_xaxis_transform(),
                fontsize=8,
                va="top",
            )
        reach = 1.25 * np.abs(taps).max()
        ax.set(
            xlim=(-0.01 * self.length, self.length),
            ylim=(-reach, reach),
            xlabel="Lag l (frames)",
            ylabel="Kernel K[l]",
            title=f"Kernel: 37 % after {self.time_constant:,.0f} frames",
        )


class KernelPanel(Panel):
    """Three sliders (``dt``, ``real``, ``imag``) above the pictures and the sound of one mode.

    Args:
        state: a ``KernelState``; a new one if None.
    """

    def __init__(self, state=None):
        state = state or KernelState()
        look = {
            "continuous_update": False,
            "style": {"description_width": "initial"},
            "layout": widgets.Layout(width="315px"),
        }
        controls = {
            "dt": widgets.FloatLogSlider(
                state.dt,
                base=10,
                min=-3,
                max=float(np.log10(0.3)),
                step=0.01,
                readout_format=".3f",
                description="step size dt",
                **look,
            ),
            "real": widgets.FloatSlider(
                state.real, min=0.01, max=2.0, step=0.01, readout_format=".2f", description="decay −Re A", **look
            ),
            "imag": widgets.FloatSlider(
                state.imag, min=0.0, max=100.0, step=0.5, readout_format=".1f", description="turning Im A", **look
            ),
        }
        super().__init__(state, controls, width=round(WIDTH * plots.DPI))


def _frames(value):
    """A number of frames, with a decimal where it matters."""
    return f"{value:.1f} frames" if value < 99.95 else f"{value:,.0f} frames"


def _seconds(value):
    """A time in the unit that reads best."""
    if value >= 1:
        return f"{value:.1f} s" if value < 99.95 else f"{value:,.0f} s"
    return f"{1000 * value:.0f} ms" if value >= 0.1 else f"{1000 * value:.1f} ms"
