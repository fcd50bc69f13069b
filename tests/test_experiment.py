import dataclasses

import numpy as np
import pytest

from acssm_lib.contrastive import Pretraining
from acssm_lib.experiment import load_group, pretraining_pool, run_record
from acssm_lib.frogs import SyntheticFrogs
from acssm_lib.presets import preset
from acssm_lib.results import check_metrics

FROGS = SyntheticFrogs(n_individuals=2, clips_per_individual=3, duration_s=1.5)


def test_pool_of_the_group_holds_everything_and_unlabelled_leaves_the_support_out():
    config = preset("quick", n_shot=2)
    data = load_group(FROGS, "order", config, 0, progress=False)
    assert len(data.clips) == 30 and data.labels.tolist() == sorted(list(range(5)) * 6)
    assert pretraining_pool(data, config, 0).tolist() == list(range(30))
    published = dataclasses.replace(config, pool="unlabelled", n_episodes=1)
    assert len(pretraining_pool(data, published, 0)) == 20
    assert pretraining_pool(data, published, 0).tolist() != pretraining_pool(data, published, 1).tolist()


def test_pool_of_all_leaves_every_group_s_support_out():
    config = preset("quick", n_shot=2, pool="all", n_episodes=1)
    data = load_group(FROGS, "order", config, 0, progress=False)
    assert len(data.clips) == 90 and (data.labels >= 0).sum() == 30
    assert len(pretraining_pool(data, config, 0)) == 90 - 3 * 10


def test_several_draws_cannot_each_be_withheld():
    config = preset("quick", pool="unlabelled", n_shot=2)
    with pytest.raises(ValueError, match="n_episodes=4"):
        pretraining_pool(load_group(FROGS, "order", config, 0, progress=False), config, 0)


def test_the_record_fits_the_schema():
    config = preset("quick", n_shot=2)
    data = load_group(FROGS, "order", config, 0, progress=False)
    draws = [{"seed": draw, "accuracy": accuracy, "n_query": 20, "accuracy_unshared_sources": None,
              "n_query_unshared_sources": 0, "support": ["a"], "confusion": np.eye(5, dtype=int).tolist(),
              "seconds": 1.0} for draw, accuracy in ((0, 0.4), (1, 0.6))]
    record = run_record(dataset=FROGS, group="order", method="acoustic-ssm1", seed=0, config=config, overrides={},
                        data=data, draws=draws, pretraining=Pretraining(30, 1000, 2.0, [1.0] * 1000), parameters=7,
                        device="cpu")
    check_metrics(record)
    assert record["accuracy_mean"] == pytest.approx(0.5) and record["synthetic"] is True
    assert record["confusion"][0][0] == 2 and len(record["pretraining"]["losses"]) == 200
    assert record["pretraining"]["saw_query_clips"] is True
