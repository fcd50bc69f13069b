import pytest

from acssm_lib.cli.data_check import check
from acssm_lib.cli.frog_folder import write_frog_folder
from acssm_lib.data.datasets import AudioFolder
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.protocols import splits
from acssm_lib.files import DataError
from acssm_lib.presets import preset


def test_the_layout_is_read_as_five_species_and_a_pool(tmp_path):
    folder = write_frog_folder(tmp_path / "frogs", labelled=10, unlabelled=5)
    assert [problem for problem in check(folder, 5) if problem.severity == "error"] == []
    recordings = AudioFolder(folder)
    assert len(recordings.classes) == 5 and all("synthetic" in name for name in recordings.classes)
    assert (recordings.labels >= 0).sum() == 50 and len(recordings.unlabelled()) == 25
    config = preset("quick", protocol="inductive-recording")
    data = load_group(recordings, "all", config, 0, progress=False)
    assert len(set(data.sources)) == 15  # two frogs per species with labels, one without
    (transductive,) = splits(data, preset("quick"), 0)
    assert len(transductive.pool) == 75


def test_same_seed_same_files_and_nothing_is_overwritten(tmp_path):
    first, again, other = (
        write_frog_folder(tmp_path / name, 5, 0, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    clips = [sorted(folder.glob("*/*.flac"))[0].read_bytes() for folder in (first, again, other)]
    assert clips[0] == clips[1] != clips[2]
    with pytest.raises(DataError, match="exists"):
        write_frog_folder(first)
    with pytest.raises(ValueError, match="multiples of 5"):
        write_frog_folder(tmp_path / "d", labelled=7)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}
