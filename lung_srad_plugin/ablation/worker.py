"""One run of a grid in its own process: ``python -m lung_srad_plugin.ablation.worker EXPERIMENT [--device cuda:1]``.

It ends with the process that started it, even where that one was killed, so that no orphan goes on writing into a
folder in which the next attempt wants to resume.
"""

import os
import sys
import threading


def _end_with_parent():
    # The parent holds the other end and writes nothing: this returns when the parent is gone. Not through sys.stdin,
    # whose lock a thread must not hold while Python shuts down.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from lung_srad_plugin.training.recipe import main

    sys.exit(main(sys.argv[1:]))
