"""Many processes, one ledger: no look is given twice, none is lost."""

import subprocess
import sys
from pathlib import Path

from primum.ledger import Ledger

WORKER = """
import sys
from datetime import UTC, datetime
from primum.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
for i in range(10):
    look = ledger.reserve(task="t", site="all", holdout="h", candidate="c", planned_looks=50, alpha=0.05,
                          now=datetime.now(UTC), run=f"{sys.argv[2]}.{i}")
    print(look.number)
"""


def test_six_processes_share_sixty_looks(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"  # the processes also race to create it
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(file), str(w)], stdout=subprocess.PIPE, text=True)
        for w in range(6)
    ]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 6
    numbers = sorted(int(line) for output in outputs for line in output.split())
    assert numbers == list(range(1, 51)) + [51] * 10
    ledger = Ledger.open(file)
    assert ledger.looks_used("h") == 50
    assert len(ledger.entries()) == 60
    assert ledger.verify() == ()


def test_a_crash_after_the_reservation_leaves_the_look_spent(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    crash = WORKER.replace("print(look.number)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    dead = subprocess.run([sys.executable, "-c", crash, str(file), "0"], check=False, timeout=120)
    assert dead.returncode != 0
    assert Ledger.open(file).looks_used("h") == 1
