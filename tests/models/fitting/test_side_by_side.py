"""LIBLINEAR's one generator: fits in threads are what they are alone."""

import threading
import time

from tasks.models.fitting.one_vs_rest import LiblinearGenerator


def test_whoever_draws_is_alone_and_others_are_side_by_side():
    generator, at_work, seen = LiblinearGenerator(), [], []
    both = threading.Barrier(2, timeout=60)

    def setting():
        with generator.set():
            both.wait()  # which two of them pass together
            at_work.append("set")
            time.sleep(0.05)
            seen.append("drawn" in at_work)
            at_work.remove("set")

    def drawing():
        with generator.drawn_from():
            at_work.append("drawn")
            time.sleep(0.05)
            seen.append(len(at_work) > 1)
            at_work.remove("drawn")

    threads = [threading.Thread(target=work) for work in (setting, setting, drawing, drawing)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [False] * 4
