"""``acssm data check``: what is wrong with a data folder, file by file."""

import hashlib
from collections import Counter
from pathlib import Path

from acssm_lib.data.audio import preparation_key, prepare
from acssm_lib.data.bank import DiskBank
from acssm_lib.data.folders import scan_folder
from acssm_lib.data.layouts import Problem, is_esc50, scan_esc50, too_few_clips
from acssm_lib.files import DataError


def check(path, n_shot=5, sample_rate=20_000, trim_level=0, cache_dir=None):
    """All problems of a data folder, in ESC-50's layout or with one folder per class.

    Every clip is decoded, even where a prepared one is kept, and kept for the next run (``bank.DiskBank``). Clips with
    an error do not count for the shots of their class.

    Args:
        path: the folder.
        n_shot: labelled clips per class that a run will ask for.
        sample_rate, trim_level: see ``audio.prepare``.
        cache_dir: see ``bank.DiskBank``.
    Returns:
        list of Problem, empty if all is well; a run needs one without errors, warnings are worth a look.
    Raises:
        DataError: the cache cannot be written.
    """
    root = Path(path)
    try:
        scan = scan_esc50(root) if is_esc50(root) else scan_folder(root)
    except DataError as error:
        return [Problem(str(path), str(error).removeprefix(f"{path}: "))]
    problems = list(scan.problems)
    counts = Counter({clip.category: 0 for clip in scan.clips if clip.category is not None})
    first_with = {}  # content -> first labelled clip that has it

    def decoded(place):
        clip = scan.clips[place]
        name = clip.path.relative_to(root).as_posix()
        try:
            samples = prepare(clip.path, sample_rate, trim_level)
        except DataError as error:
            problems.append(Problem(name, str(error).removeprefix(f"{clip.path}: ")))
            return None
        if clip.category is not None:
            counts[clip.category] += 1
            first = first_with.setdefault(hashlib.sha256(samples).digest(), clip)
            if first is not clip:
                problems.append(_duplicate(name, clip, first, root))
        return samples

    keys = [preparation_key(clip.path, sample_rate, trim_level) for clip in scan.clips]
    DiskBank(root.resolve(), cache_dir).refresh(keys, decoded)
    return problems + too_few_clips(counts, n_shot)


def format_report(problems):
    """The problems as text, errors first, one a line, and a last line that counts them."""
    if not problems:
        return "no problems found"
    lines = [f"{problem.severity:<8} {problem}"
             for problem in sorted(problems, key=lambda problem: problem.severity != "error")]
    counts = Counter(problem.severity for problem in problems)
    totals = [f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}" for severity in ("error", "warning")]
    return "\n".join([*lines, ", ".join(totals)])


def _duplicate(name, clip, first, root):
    other = first.path.relative_to(root).as_posix()
    if clip.category == first.category:
        message = f"sounds the same, sample by sample, as {other}; keep one of them"
    else:
        message = (f"sounds the same, sample by sample, as {other}, but one is {clip.category!r} and the other "
                   f"{first.category!r}; one label must be wrong")
    return Problem(name, message, "warning")
