"""One record file from wherever it comes: read with limits, checked once, its names made visible.

What is behind this border may trust a record. Where its names leave again they get the escapes of their destination
(``acssm_lib.text``).
"""

import json
import stat

from acssm_lib.experiment.schema import SCHEMA, check_metrics
from acssm_lib.text import visible

_LARGEST = 32_000_000  # bytes; a run of 1,000 draws writes about a fifth of that
NAMES = ("dataset", "group", "method", "preset")  # keys that stand in tables and file names


def read_record(path):
    """The record in a ``metrics.json``, with names that hold no control characters.

    Raises:
        ValueError: it is no file, too large, no strict JSON, or no run record; the sentence names neither file nor
            folder.
        OSError: it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise ValueError("not a file")
    if status.st_size > _LARGEST:
        raise ValueError(f"{status.st_size / 1e6:,.0f} MB, a run record has at most {_LARGEST / 1e6:,.0f}")
    try:
        record = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text, at byte {error.start}") from None
    except RecursionError:
        raise ValueError("lists and objects nested too deeply for a run record") from None
    check_metrics(record)
    record = {key: record[key] for key in SCHEMA["properties"] if key in record}  # nothing unchecked goes further
    return record | {key: visible(record[key]) for key in NAMES} | {"classes": [*map(visible, record["classes"])]}


def _unique(pairs):
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return record


def _no_number(word):
    raise ValueError(f"holds {word}, which is not JSON")
