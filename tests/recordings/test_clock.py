"""Times from names and headers: the patterns of known recorders, and never a guess."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import soundfile

from acssm_lib.recordings.clock import from_header, from_name, moment_of, site_in_name, time_zone_of

FOUR = datetime(2024, 5, 14, 4, 0, 0)
TEN = timezone(timedelta(hours=10))


@pytest.mark.parametrize(
    "name, at",
    [
        ("20240514_040000.WAV", FOUR),
        ("A/20240514_040000T.WAV", FOUR),
        ("20240514_040000_001.wav", FOUR),
        ("SM4-7_20240514_040000.wav", FOUR),
        ("SITE_0+1_20240514_040000.wav", FOUR),
        ("20240514T040000+1000_creek.flac", FOUR.replace(tzinfo=TEN)),
        ("20240514T040000+10:00.wav", FOUR.replace(tzinfo=TEN)),
        ("REC-0012.wav", None),
        ("20241399_040000.wav", None),
        ("20240514_256199.wav", None),
        ("20240514.wav", None),
        ("20240514T040000.wav", None),
        ("recording 2024-05-14 04.00.00.wav", None),
        ("1234567890123.wav", None),
        ("120240514_040000.wav", None),
        ("20240514_0400001.wav", None),
        ("", None),
    ],
)
def test_a_name_says_when_or_nothing(name, at):
    assert from_name(name) == at


def test_what_stands_before_the_date_is_the_site():
    assert site_in_name("x/SM4-7_20240514_040000.wav") == "SM4-7"
    assert site_in_name("SITE_20241399_040000.wav") == "" and site_in_name("20240514_040000.wav") == ""


def moth(path, comment):
    with soundfile.SoundFile(path, "w", 8_000, 1, format="WAV") as file:
        file.comment = comment
        file.write(np.zeros(800))
    return path


@pytest.mark.parametrize(
    "zone, offset",
    [("UTC", timedelta()), ("UTC+10", timedelta(hours=10)), ("UTC-3:30", -timedelta(hours=3, minutes=30))],
)
def test_the_comment_of_audiomoth(tmp_path, zone, offset):
    path = moth(tmp_path / "a.wav", f"Recorded at 04:00:00 14/05/2024 ({zone}) by AudioMoth 24F at medium gain")
    assert from_header(path) == FOUR.replace(tzinfo=timezone(offset))


def test_guano(tmp_path):
    path = moth(tmp_path / "a.wav", "nothing")
    text = b"GUANO|Version: 1.0\nTimestamp: 2024-05-14T04:00:00+10:00\n"
    path.write_bytes(path.read_bytes() + b"guan" + len(text).to_bytes(4, "little") + text)
    assert from_header(path) == FOUR.replace(tzinfo=TEN)


def test_name_and_header_together(tmp_path):
    comment = "Recorded at 04:00:00 14/05/2024 (UTC) by AudioMoth 24F"
    both = moment_of(moth(tmp_path / "20240514_040000.WAV", comment))
    assert both.text == "2024-05-14T04:00:00+00:00" and both.origin == "name" and both.night == "2024-05-13"
    assert moment_of(tmp_path / "20240514_040000.WAV", "+10:00").night == "2024-05-14"  # two in the afternoon there
    header = moment_of(moth(tmp_path / "REC-0012.wav", comment))
    assert header.origin == "header" and header.at == both.at
    other = moment_of(moth(tmp_path / "20240514_050000.WAV", comment))
    assert other.at.hour == 5 and "the name is used" in other.note


def test_a_clock_that_was_never_set_is_no_time(tmp_path):
    reset = moment_of(moth(tmp_path / "19700101_000012.WAV", "none"))
    assert (reset.text, reset.night, reset.origin) == ("", "", "none") and "1970" in reset.note


def test_an_unknown_zone_is_refused_in_words():
    assert time_zone_of("+10:00") == TEN and time_zone_of(None) is None
    with pytest.raises(ValueError, match="Mars"):
        time_zone_of("Mars/Olympus")
