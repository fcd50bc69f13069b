"""The whole table, fast against plain, on this machine: ``make bench``, or ``python benchmarks/bench.py --only s4d``.

Every topic is a script of its own and runs in a process of its own, one after the other. The result is also written
as JSON with the machine's name, topic by topic, for docs/speed.md and for comparing machines; topics that are not
measured anew keep what stands there.
"""

import argparse
import dataclasses
import datetime
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Row, machine, show

from acssm_lib.files import write_text

TOPICS = ("front_end", "s4d", "pretraining", "bank", "check", "few_shot", "demo")
HERE = Path(__file__).parent


def rows_of(topic, more=()):
    """The rows that a topic's script measures; what it prints on the way goes to the screen.

    Args:
        more: further arguments of the script.
    Raises:
        subprocess.CalledProcessError: the script failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        subprocess.run([sys.executable, HERE / f"{topic}_speed.py", "--json", path, *more], check=True, cwd=HERE.parent)
        return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=TOPICS,
        default=TOPICS,
        metavar="TOPIC",
        help=f"of {', '.join(TOPICS)} (default: all)",
    )
    parser.add_argument("--json", type=Path, help="where to write the table as JSON")
    parser.add_argument("--runs", type=Path, help="an empty folder that the demo's results shall stay in")
    args = parser.parse_args()
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items() if value), flush=True)
    started, measured = time.monotonic(), {}
    for topic in args.only:
        print(f"\n{topic}", flush=True)
        rows = rows_of(topic, ["--runs", args.runs] if topic == "demo" and args.runs else [])
        measured[topic] = {
            "date": datetime.date.today().isoformat(),
            "machine": about,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        if args.json:
            keep(args.json, measured)
    print(f"\nAll of it, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    show([Row(**row) for one in measured.values() for row in one["rows"]])


def keep(path, measured):
    """Put topics into a table on disk; those that were not measured now keep their rows, their date and machine."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    together = before | measured
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = {topic: together[topic] for topic in TOPICS if topic in together}
    write_text(path, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
