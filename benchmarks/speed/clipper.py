"""A diode clipper in ngspice, as a program: from AMP, R, C and N to vmax and vrms.

    python clipper.py FOLDER 1.5 1000 1e-7 1.5

A sine of 1 kHz and AMP volts drives a resistor of R ohm; behind it a capacitor of C farad and a
diode of emission coefficient N go to ground. Answers, the largest value and the root mean square of
the voltage there, are kept in FOLDER, and what was asked before is not simulated again.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BOUNDS: Final = {"AMP": (0.5, 3.0), "R": (200.0, 5000.0), "C": (1e-8, 5e-7), "N": (1.0, 2.0)}
OUTPUTS: Final = ("vmax", "vrms")

_NETLIST: Final = """\
* diode clipper
V1 in 0 SIN(0 {AMP} 1k)
R1 in out {R}
C1 out 0 {C}
D1 out 0 DMOD
.model DMOD D(IS=1e-14 N={N})
.tran 1u 3m
.control
run
meas tran vmax MAX v(out) from=1m to=3m
meas tran vrms RMS v(out) from=1m to=3m
quit
.endc
.end
"""


def simulate(folder: Path, parameters: dict[str, float]) -> str:
    """Return the two values, separated by a blank.

    Raises:
        RuntimeError: ngspice does not say them.
    """
    netlist = _NETLIST.format(**parameters)
    kept = folder / f"{hashlib.sha256(netlist.encode()).hexdigest()[:32]}.txt"
    if kept.exists():
        return kept.read_text()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(scratch, "clipper.cir")
        file.write_text(netlist)
        done = subprocess.run(  # noqa: S603  # our own file
            ["ngspice", "-b", file.name],  # noqa: S607  # the one on the PATH
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        said = dict(re.findall(r"^(\w+) += +(\S+)", done.stdout, re.MULTILINE))
        if not said.keys() >= set(OUTPUTS):
            raise RuntimeError(f"ngspice did not say {OUTPUTS}: {done.stderr[-300:]}")
        answer = " ".join(said[name] for name in OUTPUTS)
        draft = Path(scratch, "answer")
        draft.write_text(answer)
        draft.replace(kept)  # whole or not at all, whoever else asks
    return answer


if __name__ == "__main__":
    where, *numbers = sys.argv[1:]
    print(simulate(Path(where), dict(zip(BOUNDS, map(float, numbers), strict=True))))
