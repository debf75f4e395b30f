"""Every hostile folder given to a whole run: `python -m tests.meta.examination [ID...]`.

Prints of each how the run ended, its seconds and its memory beyond a run of sound folders, and what
went wrong; exit status 1 if anything did.
"""

import sys
import tempfile
from pathlib import Path

from tests.harness.sources.bundle import bundle
from tests.harness.sources.folders import select_models

from .recipes import hostile
from .runs import Judged, judge, sound_memory

KINDS = ("tokenizers",)


def main(names: list[str]) -> int:
    """Run them all, or those named; how many were not as expected."""
    folders = bundle(select_models((), "bundle"), print)
    wrong: list[Judged] = []
    with tempfile.TemporaryDirectory() as scratch:
        usual = sound_memory(folders, Path(scratch))
        rows = [one for kind in KINDS for one in hostile(kind).values()]
        chosen = [one for one in rows if not names or one.id in names]
        print(f"{'folder':<40} exit     s    MiB  what is said")
        for one in chosen:
            judged = judge(one, folders, Path(scratch) / one.id, usual)
            print(judged, flush=True)
            wrong += [judged] if judged.problems else []
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} as expected")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
