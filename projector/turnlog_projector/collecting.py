"""The garbage collector, set for folding."""

import gc


def collect_less() -> None:
    """For a process that does nothing but fold: it makes many objects and hardly a cycle, and the
    default settings have the collector walk over all of them again and again, a fifth of the time.
    """
    gc.freeze()
    gc.set_threshold(200_000, 10, 10)
