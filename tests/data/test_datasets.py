"""The data sets: what they read from names and tables, and what they refuse."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from made_folders import make_esc50, make_folder, tone, write_rows

from acssm_lib.data import audio, datasets
from acssm_lib.data.audio import prepare
from acssm_lib.data.base import AudioDataset
from acssm_lib.data.datasets import ESC50, AudioFolder, load, require_readable, require_shots
from acssm_lib.fewshot.groups import load_group
from acssm_lib.files import DataError
from acssm_lib.presets import preset


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_esc50_reads_rows_and_sound(tmp_path, suffix):
    rows = make_esc50(tmp_path, targets=(7, 3), suffix=suffix)
    dataset = ESC50(tmp_path, cache_dir=tmp_path / "cache")
    assert dataset.classes == ["class3", "class7"]
    assert dataset.labels.tolist() == [1, 1, 0, 0] and dataset.labels.dtype == np.int64
    assert dataset.targets.tolist() == [7, 7, 3, 3] and dataset.folds.tolist() == [1, 2, 1, 2]
    assert dataset.names == [row["filename"] for row in rows] and len(dataset) == 4
    assert dataset.sources == ["1071", "1072", "1031", "1032"]
    waveform = dataset.waveform(2)
    assert waveform.dtype == torch.float32 and waveform.shape == (3_000,)
    assert waveform[100:-100].abs().max().item() == pytest.approx(0.5, abs=0.1 if suffix == ".ogg" else 0.005)
    assert dataset.unlabelled().tolist() == []


def test_opening_decodes_nothing(tmp_path):
    make_esc50(tmp_path)
    for file in (tmp_path / "audio").iterdir():
        file.write_text("no sound")
    dataset = ESC50(tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=dataset.names[1]):
        dataset.waveform(1)


def test_opening_again_reads_the_cache(tmp_path, monkeypatch):
    make_esc50(tmp_path)
    first = ESC50(tmp_path, cache_dir=tmp_path / "cache").waveform(0)
    monkeypatch.setattr(audio, "Recording", lambda *args: pytest.fail("decoded again"))
    assert torch.equal(ESC50(tmp_path, cache_dir=tmp_path / "cache").waveform(0), first)


def test_only_the_file_that_changed_is_prepared_again(tmp_path, monkeypatch):
    rows = make_esc50(tmp_path)
    whole = ESC50(tmp_path, cache_dir=tmp_path / "cache").clips(range(4))
    tone(tmp_path / "audio" / rows[2]["filename"], 900, duration_s=0.2)
    decoded = []
    monkeypatch.setattr(datasets, "prepare", lambda path, *settings: decoded.append(path.name) or prepare(path))
    again = ESC50(tmp_path, cache_dir=tmp_path / "cache").clips(range(4))
    assert decoded == [rows[2]["filename"]] and again.lengths.tolist() == [3_000, 3_000, 4_000, 3_000]
    assert all(torch.equal(again.waveform(i), whole.waveform(i)) for i in (0, 1, 3))


def test_clips_come_in_the_order_asked_for_whatever_the_bank_holds(tmp_path):
    make_esc50(tmp_path)
    dataset = ESC50(tmp_path, cache_dir=tmp_path / "cache")
    dataset.clips([2])
    clips = dataset.clips([3, 0, 2])
    assert len(clips) == 3
    assert all(torch.equal(clips.waveform(place), dataset.waveform(i)) for place, i in enumerate((3, 0, 2)))


def test_a_bad_clip_is_named_and_those_before_it_are_kept(tmp_path, monkeypatch):
    rows = make_esc50(tmp_path)
    (tmp_path / "audio" / rows[3]["filename"]).write_text("no sound")
    dataset = ESC50(tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=f"{rows[3]['filename']}: not an audio file"):
        dataset.clips(range(4))
    monkeypatch.setattr(datasets, "prepare", lambda *args: pytest.fail("prepared again"))
    assert len(dataset.clips(range(3))) == 3


def layout_only(root, targets):
    rows = [
        {"filename": f"{target}.wav", "fold": 1, "target": target, "category": f"class{target}", "src_file": 1}
        for target in targets
    ]
    (root / "audio").mkdir()
    for row in rows:
        (root / "audio" / row["filename"]).touch()
    write_rows(root, rows)
    return ESC50(root)


def test_all_fifty_classes_give_the_groups_of_the_paper_and_ours(tmp_path):
    dataset = layout_only(tmp_path, reversed(range(50)))
    assert list(dataset.groups) == [f"G{i}" for i in range(1, 11)] + ["E1", "E2"]
    assert dataset.groups["G1"] == [f"class{i}" for i in range(5)]
    assert dataset.groups["G10"] == [f"class{i}" for i in range(45, 50)]
    assert dataset.groups["E2"] == ["class10", "class11", "class12", "class40", "class41"]
    assert dataset.default_groups == [f"G{i}" for i in range(1, 11)]
    assert dataset.clips_of("G2").tolist() == [40, 41, 42, 43, 44]  # targets 9 to 5, as the rows stand


def test_the_ten_classes_give_our_groups(tmp_path):
    dataset = layout_only(tmp_path, [0, 1, 10, 11, 12, 20, 21, 38, 40, 41])
    assert list(dataset.groups) == dataset.default_groups == ["E1", "E2"]
    with pytest.raises(ValueError, match="no group 'G1' in esc50; there are E1, E2"):
        dataset.clips_of("G1")


def test_any_other_part_is_one_group(tmp_path):
    assert layout_only(tmp_path, [3, 30]).groups == {"all": ["class3", "class30"]}


def edit(**changes):
    return lambda rows, folder: rows[1].update(changes)


def link_outside(rows, folder):
    tone(folder / "elsewhere.wav")
    (folder / "audio" / "link.wav").symlink_to(folder / "elsewhere.wav")
    rows[1]["filename"] = "link.wav"


BAD_ROWS = {
    "missing": (edit(filename="gone.wav"), "row 3: file 'gone.wav' is not in audio/; copy it"),
    "other format": (edit(filename="1-1001-A-0.flac"), "row 3: file '1-1001-A-0.flac' .*1-1001-A-0.wav is"),
    "empty name": (edit(filename=""), "row 3: file '' is not in audio/"),
    "parent": (edit(filename="../meta/esc50.csv"), "row 3: file '../meta/esc50.csv' points outside of audio/"),
    "absolute": (edit(filename="/etc/hosts"), "row 3: file '/etc/hosts' points outside of audio/"),
    "link": (link_outside, "row 3: file 'link.wav' points outside of audio/"),
    "twice": (edit(filename="1-1001-A-0.wav"), "row 3: '1-1001-A-0.wav' is named by a row above"),
    "target": (edit(target="dog"), "row 3: target 'dog' of 2-1002-A-0.wav is not a whole number"),
    "negative target": (edit(target="-1"), "row 3: target '-1'"),
    "fold": (edit(fold="1.5"), "row 3: fold '1.5'"),
    "category": (edit(category=""), "row 3: 2-1002-A-0.wav has no category"),
    "two names": (edit(category="cat"), "row 3: .*pairs 0 with 'class0'"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named(tmp_path, case):
    change, message = BAD_ROWS[case]
    rows = make_esc50(tmp_path)
    change(rows, tmp_path)
    write_rows(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        ESC50(tmp_path)


def test_several_bad_rows_are_counted(tmp_path):
    rows = make_esc50(tmp_path)
    for row in rows[1:]:
        row["fold"] = ""
    write_rows(tmp_path, rows)
    with pytest.raises(DataError, match=r"row 3: fold ''.*\(2 more: `acssm data check .*` lists them\)"):
        ESC50(tmp_path)


def test_a_link_that_stays_inside_is_fine(tmp_path):
    rows = make_esc50(tmp_path)
    (tmp_path / "audio" / "link.wav").symlink_to(tmp_path / "audio" / rows[1]["filename"])
    rows[1]["filename"] = "link.wav"
    write_rows(tmp_path, rows)
    assert ESC50(tmp_path).names[1] == "link.wav"


def test_a_table_that_cannot_be_used_is_refused(tmp_path):
    rows = make_esc50(tmp_path)
    write_rows(tmp_path, rows, columns=["filename", "target", "category"])
    with pytest.raises(DataError, match="esc50.csv: no column fold, src_file; it has filename, target, category"):
        ESC50(tmp_path)
    write_rows(tmp_path, [])
    with pytest.raises(DataError, match="esc50.csv: no rows"):
        ESC50(tmp_path)
    (tmp_path / "meta" / "esc50.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="esc50.csv: not a CSV table in UTF-8"):
        ESC50(tmp_path)


def test_a_folder_one_level_up_is_told_where_the_data_is(tmp_path):
    make_esc50(tmp_path / "ESC-50-master")
    with pytest.raises(DataError, match="expected the layout of ESC-50.*ESC-50-master has them"):
        ESC50(tmp_path)


def test_a_folder_of_any_formats_and_rates(tmp_path):
    dataset = AudioFolder(make_folder(tmp_path / "frogs"), cache_dir=tmp_path / "cache")
    assert dataset.classes == ["caerulea", "rubella"] and dataset.groups == {"all": ["caerulea", "rubella"]}
    assert dict(zip(dataset.names, dataset.labels.tolist())) == {
        "caerulea/1.ogg": 0,
        "caerulea/2.mp3": 0,
        "rubella/1.wav": 1,
        "rubella/night2/1.flac": 1,
        "unlabelled/a.wav": -1,
    }
    assert [dataset.names[i] for i in dataset.unlabelled()] == ["unlabelled/a.wav"]
    assert dataset.clips_of("all").tolist() == [0, 1, 2, 3] and dataset.default_groups == ["all"]
    assert dataset.sources == [None] * 5
    lengths = [len(dataset.waveform(i)) for i in range(5)]
    np.testing.assert_allclose(lengths, [6_000, 6_000, 3_000, 3_000, 3_000], atol=3)


def test_sources_come_from_a_table(tmp_path):
    root = make_folder(tmp_path)
    (root / "sources.csv").write_text("file,source\nrubella/1.wav,creek 3 May\nrubella\\night2\\1.flac, creek 3 May\n")
    dataset = AudioFolder(root)
    assert dict(zip(dataset.names, dataset.sources)) == {
        "caerulea/1.ogg": None,
        "caerulea/2.mp3": None,
        "rubella/1.wav": "creek 3 May",
        "rubella/night2/1.flac": "creek 3 May",
        "unlabelled/a.wav": None,
    }


@pytest.mark.parametrize(
    "table, message",
    [
        ("file;recording\na;b\n", "sources.csv: no column source; it has file, recording, separated by commas"),
        ("file,source\nrubella/9.wav,x\n", "sources.csv row 2: 'rubella/9.wav' is no clip of this folder"),
        ("file,source\nrubella/1.wav\n", "sources.csv row 2: 'rubella/1.wav' has no source"),
        ("file,source\nrubella/1.wav,x\nrubella/1.wav,y\n", "sources.csv row 3: .*'y' here and 'x' in a row above"),
    ],
)
def test_a_bad_table_of_sources_is_refused(tmp_path, table, message):
    root = make_folder(tmp_path)
    (root / "sources.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        AudioFolder(root)


def test_fewer_than_two_classes_show_the_right_layout(tmp_path):
    tone(tmp_path / "frogs" / "rubella" / "1.wav")
    tone(tmp_path / "frogs" / "Unlabeled" / "1.wav")
    with pytest.raises(DataError, match=r"class folders in it: 1; expected two or more(.|\n)*  frogs/\n    species_a/"):
        AudioFolder(tmp_path / "frogs")
    with pytest.raises(DataError, match="nowhere: does not exist"):
        AudioFolder(tmp_path / "nowhere")


def test_a_class_folder_without_audio_is_refused(tmp_path):
    root = make_folder(tmp_path)
    (root / "rothii").mkdir()
    (root / "rothii" / "1.wac").touch()
    with pytest.raises(DataError, match="rothii/: holds no audio file"):
        AudioFolder(root)


def test_a_bad_unlabelled_clip_is_left_out_and_said_a_labelled_one_is_an_error(tmp_path):
    root = make_folder(tmp_path / "frogs")
    (root / "unlabelled" / "cut\nhalf.wav").write_bytes((root / "unlabelled" / "a.wav").read_bytes()[:900])
    dataset = AudioFolder(root, cache_dir=tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"1 unlabelled clips .* left out: unlabelled/cut\\nhalf.wav: truncated"):
        usable = dataset.usable(range(len(dataset)))
    assert [dataset.names[i] for i in np.setdiff1d(range(len(dataset)), usable)] == ["unlabelled/cut\\nhalf.wav"]
    with pytest.warns(UserWarning, match="left out"):
        data = load_group(dataset, "all", preset("quick"), 0, progress=False)
    assert len(data.clips) == len(data.names) == len(dataset) - 1
    (root / "rubella" / "1.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match="rubella/1.wav: not an audio file"):
        dataset.usable(range(len(dataset)))
    with pytest.raises(DataError, match="1.wav: not an audio file .* nothing was started; `acssm data check` lists"):
        require_readable(dataset, ["all"])
    tone(root / "rubella" / "1.wav", 500)
    (told,) = require_readable(AudioFolder(root, cache_dir=tmp_path / "cache"), ["all"])
    assert "unlabelled/cut\\nhalf.wav: truncated" in told


def test_classes_with_too_few_clips_are_all_named(tmp_path):
    make_esc50(tmp_path, targets=(0, 1, 2), n_clips=3)
    (tmp_path / "audio" / "extra.wav").write_bytes((tmp_path / "audio" / "1-1001-A-0.wav").read_bytes())
    rows = list(csv.DictReader(open(tmp_path / "meta" / "esc50.csv")))
    write_rows(tmp_path, [*rows, rows[0] | {"filename": "extra.wav"}])
    dataset = ESC50(tmp_path)
    require_shots(dataset, "all", 2)
    with pytest.raises(DataError) as raised:
        require_shots(dataset, "all", 3)
    assert "class class1: has 3 clips; 3 shots need at least 4" in str(raised.value)
    assert "class class2" in str(raised.value) and "class class0" not in str(raised.value)


def test_load_follows_the_preset(tmp_path):
    make_esc50(tmp_path / "esc")
    make_folder(tmp_path / "frogs")
    settings = SimpleNamespace(sample_rate=16_000, trim_level=4, channel="left")
    for name, path in (("esc50", tmp_path / "esc"), ("folder", tmp_path / "frogs")):
        dataset = load(name, path, preset=settings)
        assert (dataset.name, dataset.sample_rate, dataset.trim_level, dataset.channel) == (name, 16_000, 4, "left")
    with pytest.raises(ValueError, match="unknown data set 'esc'; there are synthetic-phrases, .*, folder"):
        load("esc", tmp_path, preset=settings)
    with pytest.raises(ValueError, match="folder needs a data folder"):
        load("folder", preset=settings)
    with pytest.raises(ValueError, match="leave the path out"):
        load("synthetic-frogs", tmp_path, preset=settings)


def digits_folder(root, speakers=("ann", "ben")):
    """Two takes of every digit by every speaker, with their table."""
    rows = ["file,source"]
    for number, digit in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")):
        for speaker in speakers:
            for take in range(2):
                rows.append(f"{digit}/{number}_{speaker}_{take}.wav,{speaker}")
                tone(root / rows[-1].partition(",")[0], 300 + 20 * number, 8_000, 0.2)
    (root / "sources.csv").write_text("\n".join(rows))
    return root


def test_spoken_digits_are_two_halves_whose_sources_are_speakers(tmp_path):
    dataset = load("spoken-digits", digits_folder(tmp_path / "digits"), preset=preset("quick"))
    assert dataset.name == "spoken-digits" and set(dataset.sources) == {"ann", "ben"}
    assert sorted(dataset.groups["D1"] + dataset.groups["D2"]) == dataset.classes and len(dataset.classes) == 10
    first, second = (
        load_group(dataset, name, preset("quick", pool="everything"), 0, progress=False) for name in ("D1", "D2")
    )
    assert first.names == second.names == dataset.names  # one pool and so one encoder for both
    assert (first.labels >= 0).sum() == 20 and not ((first.labels >= 0) & (second.labels >= 0)).any()
    assert first.classes[first.labels[first.names.index("four/4_ann_0.wav")]] == "four"


def test_what_spoken_digits_lack_is_named(tmp_path):
    root = digits_folder(tmp_path / "digits")
    table = (root / "sources.csv").read_text()
    (root / "sources.csv").write_text(table.replace("two/2_ben_1.wav,ben\n", ""))
    with pytest.raises(DataError, match="no speaker for two/2_ben_1.wav .1 such clips"):
        load("spoken-digits", root, preset=preset("quick"))
    make_folder(tmp_path / "frogs")
    with pytest.raises(DataError, match="no folder for zero, two,.*--dataset folder"):
        load("spoken-digits", tmp_path / "frogs", preset=preset("quick"))


def test_default_groups_are_all_unless_set():
    dataset = AudioDataset()
    dataset.groups = {"a": [], "b": []}
    assert dataset.default_groups == ["a", "b"]
    other = AudioDataset()
    other.groups, other.default_groups = {"a": [], "b": []}, ["b"]
    assert other.default_groups == ["b"]


def test_the_real_esc10(shared_data, tmp_path):
    dataset = ESC50(shared_data / "esc10", cache_dir=tmp_path)
    assert len(dataset) == 400 and np.bincount(dataset.labels).tolist() == [40] * 10
    assert np.bincount(dataset.folds).tolist() == [0] + [80] * 5
    recordings = {
        name: [
            len({dataset.sources[i] for i in np.flatnonzero(dataset.labels == dataset.classes.index(c))})
            for c in classes
        ]
        for name, classes in dataset.groups.items()
    }
    assert recordings == {"E1": [38, 33, 18, 40, 40], "E2": [40, 26, 32, 15, 22]}
    assert dataset.groups["E1"] == ["dog", "rooster", "crying_baby", "sneezing", "clock_tick"]
    durations = np.array([soundfile.info(path).duration for path in dataset.paths])
    assert np.sum(np.abs(durations - 5) > 0.1) == 5 and 3.6 < durations.min() and durations.max() < 7.3
    require_shots(dataset, "E1", 5)
    i = int(durations.argmin())
    assert len(dataset.waveform(i)) == pytest.approx(20_000 * durations[i], rel=0.001)


def test_of_the_whole_esc50_all_groups_are_the_paper_s_ten(tmp_path):
    make_esc50(tmp_path, targets=range(50), n_clips=1)
    dataset = ESC50(tmp_path, cache_dir=tmp_path / "cache")
    assert list(dataset.default_groups) == [f"G{number}" for number in range(1, 11)]
    assert {"E1", "E2"} < set(dataset.groups)
