"""What the library needs of a system: nothing that POSIX systems alone have, to be imported."""

import subprocess
import sys

CODE = """
import builtins, importlib, os, pkgutil, signal, sys

POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
real = builtins.__import__

def imported(name, globals=None, locals=None, fromlist=(), level=0):
    caller = (globals or {}).get("__name__") or ""
    if caller.split(".")[0] == "adaptsample" and name.split(".")[0] in POSIX_ONLY:
        raise ImportError(f"{caller} imports {name}")
    return real(name, globals, locals, fromlist, level)

import portalocker, psutil, torch  # they know this system

builtins.__import__ = imported
for name in ("fork", "getpgid", "getpgrp", "getsid", "killpg", "pread", "pwrite", "setpgid",
             "setsid", "uname", "wait3", "waitid"):
    delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPROF", "SIGUSR1", "setitimer"):
    delattr(signal, name)

import adaptsample
names = [info.name for info in pkgutil.walk_packages(adaptsample.__path__, "adaptsample.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
from adaptsample import oracles
for name in oracles.__all__:
    getattr(oracles, name)
print(len(names))
"""


def test_every_module_is_imported_without_what_windows_lacks() -> None:
    ended = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    assert int(ended.stdout) > 80
