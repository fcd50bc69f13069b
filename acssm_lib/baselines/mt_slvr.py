"""MT-SLVR: one 2-D residual network, two tasks, and small adapters that let their features part ways.

Contrast makes two augmentations of a clip alike, so their differences are lost; guessing which augmentations were
used needs just those differences. The 3x3 convolutions serve both tasks. The 1x1 convolutions beside them and all
batch norms exist once per task from the second stage on, and the embedding is what both tasks see.

Heggan et al. train at 16 kHz with Adam at 5e-5 on AudioSet or FSD50K. Here it gets what AcousticSSM gets: pool, steps,
optimiser, 20 kHz (``sample_rate=16000 n_samples=24180`` is its own rate at the same length). Of the published
variants this is the default, parallel adapters with a SimCLR head; series adapters, batch norms alone, a split last
layer and SimSiam are left out. So is their scaling of the waveform by mean and deviation of the data set, so
that every method has the same front end; where there is sound it shifts both log channels by a constant.

In preset ``best`` it gets that recipe's front end, length, learning rate, number of views, temperature and head; the
augmentations, the task of guessing them and the network stay. Its convolutions run along time too, so there is no
feature per frame to take a deviation of: with pooling "mean-std" the few columns of the last stage give theirs.
"""

import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.data.clips import random_crops
from acssm_lib.model.base import Encoder, over_time
from acssm_lib.model.features import front_end
from acssm_lib.model.standardisation import Standardisation
from acssm_lib.pretraining.augment import AUGMENTATIONS, apply_plans, augmentations, draw_plans
from acssm_lib.pretraining.contrastive import projection_head
from acssm_lib.pretraining.spectrogram_views import multi_view_nt_xent
from acssm_lib.training import reduced_precision

_TEMPERATURE = 0.07  # of the cosine similarities; with views "pair" ``Preset.temperature`` belongs to bilinear ones


class SplitResNet(Encoder):
    """A 2-D ResNet-18 whose stages run once per task, with shared convolutions and adapters of their own.

    Stem and first stage are shared. Task 0 is contrast, task 1 the prediction of augmentations; each ends in
    ``d_task`` values, 500 for a last stage of 512, and an embedding is both, one after the other. Time is averaged
    inside, so there is one "frame".

    Args:
        config: a ``Preset``; ``widths`` and ``blocks`` are those of the stages. ``paper`` gives 13,949,736 parameters.
    Shapes:
        spectrograms (batch, 3, n_mels, frames) -> features (batch, d_model, 1), d_model = 2 d_task.
        ``embed``: waveform (batch, samples) -> (batch, d_model).
    Raises:
        ValueError: a stage is narrower than the one before it, or ``widths`` and ``blocks`` differ in length; the
            input is not four-dimensional.
    Taught in: 06_ablation_comparison.
    Source: Heggan et al. 2023, MT-SLVR; initial weights as in ``FrequencyResNet``.
    """

    def __init__(self, config):
        super().__init__()
        widths, blocks = config.widths, config.blocks
        if len(widths) != len(blocks):
            raise ValueError(f"{len(widths)} widths but {len(blocks)} block counts; give one of each per stage")
        if list(widths) != sorted(widths):
            raise ValueError(f"widths={widths}: shortcuts append channels, so no stage may be narrower than the last")
        self.front_end = front_end(config)
        self.standardisation = Standardisation(self.front_end.n_channels, config.n_mels, config.standardise)
        self.stem = nn.Sequential(
            nn.Conv2d(self.front_end.n_channels, widths[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.shared = nn.Sequential(*(_AdapterBlock(widths[0], widths[0], 1, n_tasks=1) for _ in range(blocks[0])))
        self.split = nn.ModuleList()
        for before, width, count in zip(widths, widths[1:], blocks[1:]):
            self.split.append(_AdapterBlock(before, width, 2, n_tasks=2))
            self.split.extend(_AdapterBlock(width, width, 1, n_tasks=2) for _ in range(count - 1))
        self.d_task = widths[-1] * 125 // 128
        self.d_model = 2 * self.d_task
        self.norms = nn.ModuleList(nn.BatchNorm2d(widths[-1]) for _ in range(2))
        self.columns = "mean-std" if config.pooling == "mean-std" else "mean"
        width = widths[-1] * (2 if self.columns == "mean-std" else 1)
        self.last = nn.ModuleList(nn.Linear(width, self.d_task) for _ in range(2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.precision = config.precision

    def forward(self, spectrograms):
        if spectrograms.ndim != 4:
            raise ValueError(f"expected (batch, channels, mel, frames), got {tuple(spectrograms.shape)}")
        with reduced_precision(self.precision if self.training else "float32", spectrograms.device):
            return self._features(spectrograms).float()

    def _features(self, spectrograms):
        shared = self.shared(self.stem(self.standardisation(spectrograms)))
        outputs = []
        for task in range(2):
            x = shared
            for block in self.split:
                x = block(x, task)
            x = over_time(F.relu(self.norms[task](x)).mean(dim=2), self.columns)
            outputs.append(self.last[task](x))
        return torch.cat(outputs, dim=1)[..., None]


class _AdapterConv(nn.Module):
    """3x3 convolution plus the task's own 1x1 convolution of the same input, then the task's batch norm."""

    def __init__(self, in_channels, out_channels, stride, n_tasks):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.adapters = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) for _ in range(n_tasks)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in range(n_tasks))

    def forward(self, x, task):
        return self.norms[task](self.conv(x) + self.adapters[task](x))


class _AdapterBlock(nn.Module):
    """Two adapted convolutions and a shortcut without parameters: averaged to size, missing channels are zero."""

    def __init__(self, in_channels, out_channels, stride, n_tasks):
        super().__init__()
        self.first = _AdapterConv(in_channels, out_channels, stride, n_tasks)
        self.second = _AdapterConv(out_channels, out_channels, 1, n_tasks)

    def forward(self, x, task=0):
        y = self.second(F.relu(self.first(x, task)), task)
        shortcut = F.adaptive_avg_pool2d(x, y.shape[2:])
        return F.relu(y + F.pad(shortcut, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1])))


def augmentation_labels(plans):
    """Which augmentations a plan uses, whatever their order.

    Args:
        plans: int64, (batch, names), as from ``draw_plans``: indices, filled up with -1.
    Returns:
        labels: float32, (batch, names); 1 where the augmentation is used, else 0.
    Taught in: 06_ablation_comparison.
    """
    return F.one_hot(plans + 1, plans.shape[1] + 1).sum(dim=1)[:, 1:].float()


def n_views(config):
    """How often the contrast sees a clip: in two views, as published, or with ``config.views`` in as many as it has.

    Taught in: 06_ablation_comparison.
    """
    return 2 if config.views == "pair" else config.n_views


class MTSLVRObjective(nn.Module):
    """Contrast of two augmented views plus prediction of the augmentations that made them, equally weighted.

    One crop of a recording, not stretched, goes twice through one random choice of the seven augmentations, in the
    same order, with fresh parameters for each view. An objective like ``SegmentPairs``; it needs a ``SplitResNet``,
    whose first half of an embedding is contrasted and whose second half predicts. With ``config.views`` other than
    "pair" a crop goes through it ``n_views`` times, and temperature and head of the contrast are those of the settings.

    Args:
        encoder: its ``d_task`` sets the heads' inputs.
        config: a ``Preset``.
    Taught in: 06_ablation_comparison.
    Source: Heggan et al. 2023, MT-SLVR.
    """

    augmentations = tuple(AUGMENTATIONS)

    def __init__(self, encoder, config):
        super().__init__()
        self.config = config
        d_task = encoder.d_task
        if config.views == "pair":
            self.temperature = _TEMPERATURE
            self.contrast = nn.Sequential(nn.Linear(d_task, d_task), nn.ReLU(), nn.Linear(d_task, config.d_projection))
        else:
            self.temperature = config.temperature
            self.contrast = projection_head(d_task, config.d_projection, config.projection)
        layers = []
        for before, width in zip((d_task, 256, 64), (256, 64, 16)):
            layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
        self.prediction = nn.Sequential(*layers, nn.Linear(16, len(self.augmentations)))

    def views(self, clips, chosen, generator):
        """Waveforms of all views, (n batch, n_samples), and their labels, (n batch, 7); row i + batch is of clip i."""
        n = n_views(self.config)
        crop = random_crops(clips, chosen, self.config.n_samples, 1.0, generator)
        plans = draw_plans(len(chosen), self.augmentations, generator, all_of_them=False).repeat(n, 1)
        waveform = apply_plans(crop.repeat(n, 1), plans, augmentations(self.augmentations, self.config), generator)
        return waveform, augmentation_labels(plans)

    def forward(self, encoder, clips, chosen, generator):
        device = self.contrast[0].weight.device
        waveform, labels = (x.to(device, non_blocking=True) for x in self.views(clips, chosen, generator))
        contrasted, predicting = encoder.embed(waveform).split(encoder.d_task, dim=1)
        contrast = multi_view_nt_xent(self.contrast(contrasted), n_views(self.config), self.temperature)
        prediction = F.binary_cross_entropy_with_logits(self.prediction(predicting), labels)
        return contrast + prediction
