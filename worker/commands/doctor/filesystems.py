"""The filesystem of a path."""

from __future__ import annotations

from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")

#: Filesystems of other machines, whose locks may not work.
NETWORK = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
}


def filesystem(path: Path) -> str | None:
    """Return the filesystem's type, such as ext4, or None if the system does not provide it."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    mounts = [line.split(" ") for line in lines]
    types = {_unescaped(fields[1]): fields[2] for fields in mounts if len(fields) > 2}
    full = path.resolve()
    return next((types[str(one)] for one in (full, *full.parents) if str(one) in types), None)


def nearest(path: Path) -> Path:
    """Return the path, or the nearest existing folder above it."""
    return next(one for one in (path, *path.parents) if one.exists())


def _unescaped(place: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, letter)
    return place
