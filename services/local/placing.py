"""Where a server's files lie, and whom it runs as, when the one who starts it is root.

PostgreSQL refuses to run as root. The user it is given instead must reach its files, while the data
directory is closed (mode 0700) and may lie below a closed one, such as root's home.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from services.local.errors import LocalError
from services.local.programs import User

OUTSIDE = Path("/var/lib/crossroads")
CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Place:
    """A directory for a server's files, and the user (None: the caller) that it belongs to."""

    directory: Path
    user: User | None

    @property
    def is_outside(self) -> bool:
        """Whether the files could not lie in the data directory itself."""
        return OUTSIDE in self.directory.parents


def place_for_server(data: Path, name: str) -> Place:
    """The place of the server `name` of the data directory, made if it is not there.

    An ordinary user has it in the data directory. Root has it there as well when every folder above
    is open to everyone: the data directory then belongs to the server's user, still closed to all
    others. Else it lies below /var/lib/crossroads, and a link in the data directory leads there.
    No folder's mode is widened.

    Raises:
        LocalError: root found no user to run the server as.
    """
    inside = data / name
    if os.geteuid() != 0:
        inside.mkdir(mode=0o700, exist_ok=True)
        return Place(inside, None)
    user = _server_user()
    if not inside.is_symlink() and _open_to_everyone(data.resolve().parent):
        os.chown(data, user.uid, user.gid)
        inside.mkdir(mode=0o700, exist_ok=True)
        os.chown(inside, user.uid, user.gid)
        return Place(inside, user)
    return Place(_outside(data.resolve(), inside, user), user)


def remove_place(data: Path, name: str) -> None:
    """Delete the server's files, wherever they lie."""
    inside = data / name
    if inside.is_symlink():
        place = inside.readlink()
        shutil.rmtree(place, ignore_errors=True)
        place.with_suffix(".data").unlink(missing_ok=True)
        inside.unlink()
    elif inside.exists():
        shutil.rmtree(inside)


def _outside(data: Path, inside: Path, user: User) -> Path:
    OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
    _remove_abandoned(inside.name)
    name = f"{inside.name}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
    place = OUTSIDE / name
    if not inside.is_symlink():
        place.mkdir(mode=0o700, exist_ok=True)
        os.chown(place, user.uid, user.gid)
        place.with_suffix(".data").write_text(str(data))
        inside.symlink_to(place)
    if not place.is_dir():
        raise LocalError(f"{inside} leads to {place}, which is gone: with it the database")
    return place


def _remove_abandoned(name: str) -> None:
    """Delete places whose data directory was deleted or leads elsewhere."""
    for note in OUTSIDE.glob(f"{name}-*.data"):
        place = note.with_suffix("")
        link = Path(note.read_text()) / name
        if not (link.is_symlink() and link.readlink() == place):
            shutil.rmtree(place, ignore_errors=True)
            note.unlink(missing_ok=True)


def _open_to_everyone(directory: Path) -> bool:
    return all(p.stat().st_mode & stat.S_IXOTH for p in (directory, *directory.parents))


def _server_user() -> User:
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(entry.pw_uid, entry.pw_gid)
    raise LocalError(f"PostgreSQL cannot run as root, and there is no user {CANDIDATES[0]!r}")
