"""``acssm data check``: what will be used of a data folder, what not, and what is doubtful, worst first."""

import hashlib
from collections import Counter
from pathlib import Path

from acssm_lib.data.audio import preparation_key, prepare_and_tell
from acssm_lib.data.bank import DiskBank
from acssm_lib.data.faults import Facts, Listener, long_clips, recorder_tells_class, too_high
from acssm_lib.data.folders import scan_folder
from acssm_lib.data.layouts import Problem, is_esc50, of_note, problem_lines, scan_esc50, too_few_clips
from acssm_lib.data.likeness import alike, landmarks
from acssm_lib.files import DataError
from acssm_lib.text import many, visible


class Findings(list):
    """The problems of a data folder, and what a run will use of it.

    Attributes:
        counts: class -> clips that can be used.
        n_unlabelled: clips without a class that can be used.
        left_out: clips that cannot be used.
        passed_over: hidden files and leftovers of other systems.
    """

    def __init__(self, problems=(), counts=None, n_unlabelled=0, left_out=0, passed_over=0):
        super().__init__(problems)
        self.counts, self.n_unlabelled = dict(counts or {}), n_unlabelled
        self.left_out, self.passed_over = left_out, passed_over


def check(path, n_shot=5, sample_rate=20_000, trim_level=0, cache_dir=None, channel="auto", n_samples=30_225):
    """All problems of a data folder, in ESC-50's layout or with one folder per class.

    Every clip is decoded, even where a prepared one is kept, and kept for the next run (``bank.DiskBank``). Clips with
    an error do not count for the shots of their class; unlabelled ones are left out of a run, which is a warning.

    Args:
        path: the folder.
        n_shot: labelled clips per class that a run will ask for.
        sample_rate, trim_level, channel: see ``audio.prepare``.
        cache_dir: see ``bank.DiskBank``.
        n_samples: of a crop.
    Returns:
        Findings: a list of Problem, empty if all is well. A run needs one without errors; a warning is worth a look, a
        note says what was mended.
    Raises:
        DataError: the cache cannot be written.
    """
    root = Path(path)
    try:
        scan = scan_esc50(root) if is_esc50(root) else scan_folder(root)
    except DataError as error:
        return Findings([Problem(str(path), str(error).removeprefix(f"{path}: "))])
    settings = sample_rate, trim_level, channel
    look = _Look(scan, settings)
    keys = [preparation_key(clip.path, *settings) for clip in scan.clips]
    bank = DiskBank(root.resolve(), cache_dir)
    bank.refresh(keys, look)
    good = sorted(look.marks)
    clips = bank.clips([keys[place] for place in good], None) if good else None
    groups = alike([look.marks[place] for place in good], clips, sample_rate)
    of_all = [
        *recorder_tells_class(look.facts),
        *_shared([[scan.clips[good[i]] for i in group] for group in groups]),
        *long_clips(look.facts, n_samples / sample_rate),
    ]
    counts = Counter({clip.category: 0 for clip in scan.clips if clip.category is not None})
    counts.update(fact.category for fact in look.facts)
    n_unlabelled = len(good) - len(look.facts)
    return Findings(
        [*of_all, *look.problems, *scan.problems, *too_few_clips(counts, n_shot)],
        counts,
        n_unlabelled,
        len(scan.clips) - len(good),
        scan.passed_over,
    )


class _Look:
    """Prepares clips one by one, and keeps what is found on the way."""

    def __init__(self, scan, settings):
        self._clips, self._settings, self._first = scan.clips, settings, {}  # content -> first labelled clip with it
        self.problems, self.facts, self.marks = [], [], {}

    def __call__(self, place):
        clip, listener = self._clips[place], Listener()
        try:
            prepared = prepare_and_tell(clip.path, *self._settings, listener=listener)
        except DataError as error:
            message = str(error).removeprefix(f"{clip.path}: ")
            self.problems.append(
                Problem(_below(clip), message)
                if clip.category is not None
                else Problem(_below(clip), f"{message}; it has no label, and is left out", "warning")
            )
            return None
        sample_rate = self._settings[0]
        self.problems += [of_note(_below(clip), note) for note in prepared.notes]
        high = too_high(_below(clip), listener.above(sample_rate / 2), sample_rate)
        self.problems += [high] if high else []
        self.marks[place] = landmarks(prepared.samples, sample_rate)
        if clip.category is not None:
            self.facts.append(Facts.of(clip, prepared, listener, sample_rate))
            first = self._first.setdefault(hashlib.sha256(prepared.samples).digest(), clip)
            if first is not clip:
                self.problems.append(_duplicate(clip, first))
                del self.marks[place]
                self.marks[place] = landmarks(prepared.samples[:0], sample_rate)
        return prepared.samples


def _below(clip):
    """A clip as the check names it: below the folder."""
    return f"audio/{clip.name}" if clip.fold >= 0 else clip.name


def _duplicate(clip, first):
    if clip.category == first.category:
        message = f"sounds the same, sample by sample, as {_below(first)}; keep one of them"
    else:
        message = (
            f"sounds the same, sample by sample, as {_below(first)}, but one is {clip.category!r} and the other "
            f"{first.category!r}; one label must be wrong"
        )
    return Problem(_below(clip), message, "warning")


def _shared(groups):
    """Problems of clips that share sound while no table says that they are of one recording."""
    problems = []
    for group in groups:
        labelled = [clip for clip in group if clip.category is not None]
        if not labelled or len({clip.source for clip in group}) == 1 and group[0].source is not None:
            continue
        names = ", ".join(_below(clip) for clip in group[:3]) + (", ..." if len(group) > 3 else "")
        wrong = sorted({clip.category for clip in labelled})
        end = (
            f"and they have the classes {', '.join(wrong)}: one label must be wrong"
            if len(wrong) > 1
            else "name their recording in sources.csv, or keep one of them; else a query may share its recording with "
            "a labelled clip"
        )
        problems.append(
            Problem(
                f"{len(group)} clips",
                f"hold the same sound, as copies or as pieces of one recording ({names}); {end}",
                "warning",
            )
        )
    return problems


def format_report(found):
    """The problems as text, worst first, one a line, and a verdict that says what a run will use."""
    counts = Counter(problem.severity for problem in found)
    return "\n".join([*problem_lines(found), "", *_verdict(found, counts)])


def _verdict(found, counts):
    classes = ", ".join(f"{visible(name)} {count}" for name, count in found.counts.items())
    lines = (
        [
            f"Will be used: {many(sum(found.counts.values()), 'clip')} of {len(found.counts)} classes ({classes})"
            + (f", and {found.n_unlabelled} without a label." if found.n_unlabelled else ".")
        ]
        if found.counts
        else []
    )
    if found.left_out or found.passed_over:
        lines.append(
            f"Will not be used: {many(found.left_out, 'clip')} with a fault"
            + (
                f"; {many(found.passed_over, 'hidden file')} and leftovers of other systems passed over."
                if found.passed_over
                else "."
            )
        )
    if counts["warning"]:
        lines.append(
            f"Doubtful: {many(counts['warning'], 'warning')} above; a run goes on, and its numbers may mislead."
        )
    return [
        *lines,
        f"Verdict: no run can start before {many(counts['error'], 'error')} above have been mended."
        if counts["error"]
        else "Verdict: a run can start.",
    ]
