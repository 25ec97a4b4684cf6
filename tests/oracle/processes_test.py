"""Random pipelines over real processes, with kill -9, stops and full disks: see README.md.

ORACLE_LIVES says how many (8), ORACLE_KILLS how many kills must have counted (as many),
ORACLE_FIRST the first seed (drawn, and printed). ORACLE_FIRST=n ORACLE_LIVES=1 has one again.
"""
import os
import random
import sys
import time

from life import Life, brigade_e2e

LIVES = int(os.environ.get("ORACLE_LIVES", "8"))
KILLS = int(os.environ.get("ORACLE_KILLS", str(LIVES)))
FIRST = int(os.environ.get("ORACLE_FIRST", random.SystemRandom().randrange(10**6)))
FAULTS = 4


class ProcessesTest(brigade_e2e.BrigadeTest):
    def test_whatever_is_done_to_it_each_item_has_its_outcome(self):
        kills, lives = 0, 0
        while lives < LIVES or kills < KILLS:
            life = Life(self, FIRST + lives)
            began = time.monotonic()
            try:
                life.live(FAULTS)
            except BaseException:
                print(life.story(), file=sys.stderr, flush=True)
                raise
            lives += 1
            kills += life.kills
            print(f"seed {life.model.seed}: {len(life.model.obligations())} items, {life.kills}"
                  f" kills counted, {life.other_kills} more, {life.stops} stops, {life.fills} full"
                  f" disks, {life.oracle.duplicates} duplicates; {time.monotonic() - began:.1f} s",
                  file=sys.stderr, flush=True)


if __name__ == "__main__":
    brigade_e2e.main()
