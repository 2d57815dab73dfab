"""Files of a person's that must never be left half written, nor become readable by others."""

import errno
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def replace(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Make `content` the content of `path`, all at once: a reader sees the old or the new, whatever happens.

    The file keeps its permissions, and a link to it stays a link; `mode` is for a new one.
    Raises OSError when it cannot be written; then nothing has changed.
    """
    target = path.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # the owner's alone until it is done
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            mode = target.stat().st_mode & 0o7777
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def made_once(path: Path, content: str) -> str:
    """The text in `path`, which is made of `content` where there is no such file. Only the owner can read it.

    Raises:
        OSError: it cannot be read or made, or other users could have read it.
        ValueError: it is not ASCII text.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as new:
            new.write(content + "\n")
            new.flush()
            os.fsync(new.fileno())
    text = path.read_text(encoding="ascii").strip()
    if not is_private(path):
        raise PermissionError(errno.EACCES, "other users can read it")
    return text


def is_private(path: Path) -> bool:
    """Whether nobody but the owner can read `path`, as far as its permissions tell (Windows: they do not)."""
    return os.name != "posix" or not path.stat().st_mode & 0o077


def may_open(wanted: int) -> int:
    """How many files this process may have open: `wanted`, where the system permits as many."""
    if sys.platform == "win32":
        return wanted
    import resource  # there is none on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
