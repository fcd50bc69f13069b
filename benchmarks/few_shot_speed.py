"""Fine-tuning of one episode, and frozen readouts of 5 to 50 classes: ``python benchmarks/few_shot_speed.py``.

The episode is one support draw of the synthetic frogs with the published recipe in a small network: 25 labelled clips,
40 crops of each, five epochs; then every query is asked twice, in time and with shuffled frames. The plain side cuts a
crop, makes its spectrograms and sends it through the whole network wherever a crop is needed, in every epoch and for
each question anew. The readout is logistic regression on generated clips of 512 coordinates, five labels per class,
asked twice as well; it is scikit-learn's, so it has no plain side, only the time that a draw may take.
"""

import argparse
import cProfile
import pstats
import time

import common
import numpy as np
import plain
import torch
from torch.nn import functional as F

from acssm_lib.data.datasets import load
from acssm_lib.experiment.methods import build_encoder
from acssm_lib.fewshot.embedding import shuffle_frames
from acssm_lib.fewshot.episodes import sample_episode
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.finetuning import Classifier, FineTuning
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.readout import LogisticReadout
from acssm_lib.presets import preset
from acssm_lib.training import cosine_factor, parameter_groups


class PlainFineTuning:
    """A learner that knows no short cut; the same network, crops, batches and learning rates as ``FineTuning``."""

    def __init__(self, encoder, clips, config):
        self.encoder, self.clips, self.config = encoder, clips, config

    def spectrograms(self, index, crop, n_crops):
        """Of one crop of one clip, (1, 3, n_mels, frames), from the waveform."""
        samples = self.clips.waveform(index).numpy() * 32768
        pad = self.config.n_samples // 2
        start = (len(samples) + 2 * pad - self.config.n_samples) // (n_crops - 1) * crop - pad
        waveform = plain.views([samples], [1.0], [start], self.config.n_samples)
        return plain.spectrogram_stack(waveform, self.encoder.front_end)

    def fit(self, indices, labels, seed):
        config, crops, network = self.config, self.config.finetune_crops, plain.PlainEncoder(self.encoder)  # a copy
        torch.manual_seed(seed)
        self.classifier = Classifier(network, 5, config.head_width, config.head_dropout).train()
        groups = parameter_groups(
            network.encoder,
            config.finetune_encoder_lr,
            config.finetune_weight_decay,
            config.finetune_ssm_lr,
            network.encoder.special_parameters(),
        )
        groups += parameter_groups(self.classifier.head, config.finetune_lr, config.finetune_weight_decay, 0)
        optimiser, rates = torch.optim.AdamW(groups), [group["lr"] for group in groups]
        for epoch in range(config.finetune_epochs):
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * cosine_factor(epoch, config.finetune_epochs)
            for batch in torch.randperm(len(indices) * crops).split(config.finetune_batch):
                x = torch.cat([self.spectrograms(indices[n // crops], n % crops, crops) for n in batch.tolist()])
                loss = F.cross_entropy(self.classifier(x), torch.as_tensor(labels)[batch // crops])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return self

    @torch.no_grad()
    def predict(self, indices, shuffle_seed=None):
        self.classifier.eval()
        crops, probabilities = self.config.test_crops, []
        for index in indices:
            x = torch.cat([self.spectrograms(index, crop, crops) for crop in range(crops)])
            if shuffle_seed is not None:
                x = shuffle_frames(x, torch.Generator().manual_seed(shuffle_seed))
            probabilities.append(self.classifier(x).softmax(1).mean(0))
        return torch.stack(probabilities).numpy()


def episode_learners():
    """Both learners, and a function that runs the episode with one of them: -> (seconds, accuracy)."""
    config = common.SMALL
    data = load_group(load("synthetic-frogs", None, preset=config), "natural", config, 0, progress=False)
    encoder = build_encoder("acoustic-ssm1", data.clips, np.arange(len(data.labels)), config, 0).eval()
    episode = sample_episode(data.labels, 5, config.n_shot, 0)

    def run(learner):
        started = time.perf_counter()
        learner.fit(episode.support, data.labels[episode.support], 0)
        answers = learner.predict(episode.query).argmax(1)
        learner.predict(episode.query, shuffle_seed=0)
        return time.perf_counter() - started, (answers == data.labels[episode.query]).mean()

    ours = lambda: FineTuning(encoder, data.clips, config, progress=False)  # new: nothing is kept from the last time
    return PlainFineTuning(encoder, data.clips, config), ours, run


def finetuning():
    """Row: one episode, the plain side once, ours before and after it."""
    plain_learner, ours, run = episode_learners()
    run(ours())  # imports
    before, (plain_s, plain_accuracy), after = run(ours()), run(plain_learner), run(ours())
    ours_s = (before[0] + after[0]) / 2
    remark = (
        f"{plain_s / ours_s:.1f} times faster; from random weights, "
        f"right answers {plain_accuracy:.3f} plain, {after[1]:.3f} ours"
    )
    return common.within("fine-tuning of one episode, small", plain_s, ours_s, 5, "s", remark)


def readout_draws(n_way, n_draws, clips_per_class=40, d=512):
    """A function that asks the logistic readout of generated clips over all draws -> mean accuracy."""
    generator = np.random.default_rng(0)
    labels = np.arange(clips_per_class * n_way) % n_way
    factors = generator.standard_normal((n_way, 8))[labels] + 0.7 * generator.standard_normal((len(labels), 8))
    embedding = np.tanh(factors @ generator.standard_normal((8, d)) / 3)
    in_time, shuffled = (
        (embedding + 0.3 * generator.standard_normal(embedding.shape)).astype(np.float32) for _ in range(2)
    )
    readout = LogisticReadout(in_time, shuffled=shuffled)
    sources, names = [None] * len(labels), [f"clip {n}" for n in range(len(labels))]
    config = preset("paper", pool="group", n_episodes=n_draws)

    def run():
        draws = evaluate(readout, labels, sources, names, config, 0, shuffled=True, progress=False)
        return np.mean([draw["accuracy"] for draw in draws])

    return run


def readouts():
    """Rows: one draw of the logistic readout for more and more classes, the mean of many."""
    readout_draws(5, 1)()  # imports
    for n_way, n_draws in ((5, 100), (11, 50), (25, 10), (50, 5)):
        run = readout_draws(n_way, n_draws)
        started = time.perf_counter()
        accuracy = run()
        ours = 1000 * (time.perf_counter() - started) / n_draws
        yield common.within(
            f"frozen readout, {n_way} classes x 5 clips, d = 512",
            None,
            ours,
            1000,
            "ms",
            f"a draw, mean of {n_draws}; right answers {accuracy:.3f}, chance {1 / n_way:.3f}",
        )


def profile():
    """Where the time of our side goes: operators of the episode, functions of the readout."""
    _, ours, run = episode_learners()
    run(ours())  # imports
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as operators:
        run(ours())
    print(operators.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    run = readout_draws(5, 100)
    run()  # imports
    with cProfile.Profile() as functions:
        run()
    pstats.Stats(functions).strip_dirs().sort_stats("tottime").print_stats(15)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="file for the rows")
    parser.add_argument("--profile", action="store_true", help="print where our time goes instead")
    args = parser.parse_args()
    if args.profile:
        profile()
    else:
        common.finish([finetuning(), *readouts()], args.json)


if __name__ == "__main__":
    main()
