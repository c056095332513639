"""Where numba keeps the machine code of our kernels: a folder for each state of all their sources.

For each function that it caches, numba looks at that function's own file and at no other. Were everything in one
folder, a kernel would keep the old machine code of what it calls in another file, and the constants it took from there.
So the folder's name is a hash over all that machine code is made from, and an edit anywhere means another folder.

``services/__init__.py`` calls ``use_kernel_cache``, since no module of ours can be imported before it: workers, the
command, tests and notebooks have it alike. Nothing here imports numba, which reads ``NUMBA_CACHE_DIR`` when it is
imported. The processor is none of the hash's business: numba keeps the code of different ones apart.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from services.runtime.folders import cache_folder

ROOT = Path(__file__).parents[2]
SOURCES = ("services/contract", "services/scorer/path", "services/wire")
"""Where cached kernels may stand, and all of ours that those files import. A test holds it to that."""
COMPILERS = ("llvmlite", "numba", "numpy")
FOLDERS_MAX = 16
"""How many folders one base keeps, of some 10 MB each, apart from those in use."""

_PREFIX = "NUMBA_"
_CHOSEN = "NUMBA_CACHE_DIR"
_NAME = re.compile(r"kernels-[0-9a-f]{16}")
_HELD = ".held"
"""A file of each folder: locked by the processes that use it, modified when one last began to."""
_TRIES = 3


def use_kernel_cache() -> None:
    """Let numba keep machine code in the first base that can be written, in the folder of the present sources.

    The bases are ``NUMBA_CACHE_DIR``, else Tocsin's cache folder, else the package's ``__pycache__``, else a temporary
    folder that ends with the process. ``NUMBA_CACHE_DIR`` names the folder afterwards, also for processes started here.
    """
    name = folder_name(os.environ)
    refusal = ""
    for base in _bases(os.environ):
        folder = base / name
        is_new = not folder.exists()
        try:
            hold(folder)
        except OSError as error:
            refusal = refusal or f"{base} cannot be written ({error.strerror or error})"
            continue
        if refusal and os.environ.get(_CHOSEN):
            warnings.warn(f"{_CHOSEN}: {refusal}; kernels are kept in {folder}", RuntimeWarning, stacklevel=2)
        _tell_numba(folder)
        if is_new:
            discard_oldest(base)
        return


def folder_name(environ: Mapping[str, str], root: Path = ROOT) -> str:
    """``kernels-`` and a hash: of the sources under ``root``, of what compiles them, and of numba's variables.

    ``NUMBA_CACHE_DIR`` says where code is kept and not what it is, so it is left out.
    """
    digest = hashlib.sha256()
    for source in SOURCES:
        path = root / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            data = file.read_bytes()
            digest.update(f"{file.relative_to(root).as_posix()} {len(data)}\n".encode())
            digest.update(data)
    options = {name: value for name, value in environ.items() if name.startswith(_PREFIX) and name != _CHOSEN}
    digest.update(repr([*map(version, COMPILERS), *sorted(options.items())]).encode())
    return f"kernels-{digest.hexdigest()[:16]}"


def hold(folder: Path) -> int:
    """Make ``folder`` and hold it against ``discard_oldest`` until the process ends.

    Returns
    -------
    int
        A descriptor; who closes it lets the folder go.

    Raises
    ------
    OSError
        When the folder cannot be made, written or locked.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
        held = _locked(folder, fcntl.LOCK_SH)
        if held is not None:
            os.utime(held)
            return held
    raise FileNotFoundError(f"{folder} is deleted each time it is made")


def discard_oldest(base: Path) -> None:
    """Delete the folders of ``base`` that were not used for longest, until ``FOLDERS_MAX`` are left.

    One that a process holds stays, and so does whatever is not ours. Processes may do it at the same time.
    """
    ours = [each for each in base.iterdir() if _NAME.fullmatch(each.name)]
    for folder in sorted(ours, key=_used_s)[:-FOLDERS_MAX]:
        with contextlib.suppress(OSError):
            _discard(folder)
    for left in base.glob(".kernels-*"):  # by a process that was killed while it deleted
        shutil.rmtree(left, ignore_errors=True)


def _bases(environ: Mapping[str, str]) -> Iterator[Path]:
    if chosen := environ.get(_CHOSEN):
        path = Path(chosen).absolute()
        yield path.parent if _NAME.fullmatch(path.name) else path  # a folder of ours: the process before chose it
    with contextlib.suppress(RuntimeError):
        yield cache_folder(environ)
    yield ROOT / "services" / "__pycache__"
    with contextlib.suppress(OSError):
        folder = tempfile.mkdtemp(prefix="tocsin-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        yield Path(folder)


def _tell_numba(folder: Path) -> None:
    os.environ[_CHOSEN] = str(folder)
    if config := sys.modules.get("numba.core.config"):  # imported before us, it has read its variables
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


def _locked(folder: Path, operation: int) -> int | None:
    """A descriptor that holds the folder; ``None`` if it was deleted while we waited for it."""
    with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as undo:
        held = os.open(folder / _HELD, os.O_RDWR | os.O_CREAT, 0o666)
        undo.callback(os.close, held)
        fcntl.flock(held, operation)
        if os.path.samestat(os.fstat(held), (folder / _HELD).stat()):
            undo.pop_all()
            return held
    return None


def _used_s(folder: Path) -> float:
    try:
        return (folder / _HELD).stat().st_mtime
    except OSError:
        return 0.0


def _discard(folder: Path) -> None:
    """Out of sight at once, then deleted: nobody finds half a folder. Raises ``OSError`` when somebody holds it."""
    held = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if held is None:
        return
    try:
        gone = folder.rename(folder.with_name(f".{folder.name}-{os.getpid()}"))
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        os.close(held)
