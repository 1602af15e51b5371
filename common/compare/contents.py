"""What lies in a folder or an archive from somebody else: names, sizes and a way to read each, nothing unpacked.

No link is followed, no path leads out, and every size and count is bounded before anything is read.
"""
import contextlib
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from common.base.errors import join_some
from common.base.files import FREE_OF_RATIO, MAX_RATIO, impostor, leads_out, reason

MAX_FILES = 8000                 # a test of 1,000 pairs with five pictures each has 5,000
MAX_DEPTH = 12                   # folders inside folders
MAX_BYTES = 4 << 30              # of all files together
UTF8 = 0x800                     # the flag of a zip member whose name is UTF-8
RUBBISH = ("__macosx", "thumbs.db", "desktop.ini")
DAMAGE = (OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zipfile.BadZipFile, zlib.error)
BEGUN = re.compile(r"\.(.+)\.new")        # where a script makes a part of a run anew, beside the finished one
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
OTHER_ARCHIVES = {b"Rar!": "a RAR archive", b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"\x1f\x8b": "a gzip archive",
                  b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive"}


class Unreadable(Exception):
    """A submission, or a file of it, that cannot be read: the reason."""


def read_contents(path):
    """({name: size} of all plain files below path, function name -> open binary file) of a folder or zip."""
    try:
        is_link, is_folder, is_there = path.is_symlink(), path.is_dir(), path.exists()
    except OSError as error:
        raise Unreadable(f"it cannot be looked at ({reason(error)})") from None
    if is_link:
        raise Unreadable("it is a link; the folder or zip itself was expected")
    if is_folder:
        files, places = _bound(_walk(path, ""), MAX_BYTES)
        if any(name.endswith(("manifest.json", "metrics.json")) for name in files):
            return files, lambda name: _open_plain(places[name])
        # as learning platforms hand them out: a folder per student, the zip in it
        zips = [name for name in files if name.lower().endswith(".zip")]
        if len(zips) > 1:
            raise Unreadable(f"it holds {len(zips)} zips ({join_some(zips, 5)}); one was expected: give that one")
        if zips:
            return _zip_contents(Path(places[zips[0]]))
        for name, place in places.items():
            if kind := _other_archive(place):
                raise Unreadable(f"it holds {name}, {kind}; the unpacked folder or a zip of it was expected")
        raise Unreadable("no result: neither manifest.json nor test/<set>/metrics.json is in it")
    if not is_there:
        raise Unreadable("there is no such folder or file")
    return _zip_contents(path)


def _walk(folder, above, depth=0):
    """(path, name, size) of every plain file below folder; Unreadable for links, devices and folders too deep."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Unreadable(f"{above or 'the folder'} cannot be listed ({reason(error)})") from None
    for entry in entries:
        name = above + unicodedata.normalize("NFC", entry.name)
        if _rubbish(name):
            continue
        if entry.is_symlink():
            raise Unreadable(f"{name} is a link; plain files and folders were expected")
        if entry.is_dir(follow_symlinks=False):
            if depth == MAX_DEPTH:
                raise Unreadable(f"{name} lies more than {MAX_DEPTH} folders deep")
            yield from _walk(entry.path, name + "/", depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path, name, _size(entry, name)
        else:
            raise Unreadable(f"{name} is a device or a pipe; plain files and folders were expected")


def _size(entry, name):
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError as error:
        raise Unreadable(f"{name} cannot be looked at ({reason(error)})") from None


def _open_plain(path):
    """A plain file for reading; a link that took its place meanwhile is refused."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
                         | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no plain file")
    return os.fdopen(descriptor, "rb")


def _zip_contents(path):
    """read_contents of a zip. Every name and size is checked before any member is read."""
    try:
        with _open_plain(path) as file:
            head = file.read(512)
    except OSError as error:
        raise Unreadable(f"it cannot be read ({reason(error)})") from None
    if not head.startswith(b"PK"):
        if kind := _other_archive(path):
            raise Unreadable(f"{kind}; the unpacked folder or a zip of it was expected")
        if wrong := impostor(head):
            raise Unreadable(f"{wrong[0]}; a result folder or a zip of it was expected")
        raise Unreadable("neither a folder nor a zip")
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise Unreadable(f"a damaged or incomplete zip ({reason(error)})") from None
    files, members = _bound(_members(archive), min(MAX_BYTES, FREE_OF_RATIO + MAX_RATIO * path.stat().st_size))
    return files, lambda name: archive.open(members[name])


def _other_archive(path):
    """What archive a file is by its first bytes, other than a zip; None when it is none, or cannot be read."""
    try:
        with _open_plain(path) as file:
            head = file.read(512)
    except OSError:
        return None
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((kind for mark, kind in OTHER_ARCHIVES.items() if head.startswith(mark)), None)


def _members(archive):
    """(member, name, size) of every file in a zip that may be read."""
    infos = archive.infolist()
    encoding = _encoding_of([info.filename for info in infos if not info.flag_bits & UTF8])
    for info in infos:
        name = info.filename
        if encoding and not info.flag_bits & UTF8:
            name = name.encode("cp437").decode(encoding)
        name = unicodedata.normalize("NFC", name.replace("\\", "/"))
        if not name.endswith("/") and not _rubbish(name):
            _check_member(info, name)
            yield info, name, info.file_size


def _encoding_of(names):
    """The encoding of names not marked as UTF-8, which zipfile takes for cp437: old packers use their system's."""
    for encoding in ("utf-8", "gbk"):
        with contextlib.suppress(UnicodeError):
            "\n".join(names).encode("cp437").decode(encoding)
            return encoding
    return None


def _bound(entries, room):
    """({name: size}, {name: place}) of (place, name, size); Unreadable beyond the bounds and for a name given twice."""
    files, places, total = {}, {}, 0
    for place, name, size in entries:
        if name in files:
            raise Unreadable(f"it holds {name!r} twice")
        files[name], places[name], total = size, place, total + size
        if len(files) > MAX_FILES:
            raise Unreadable(f"more than {MAX_FILES} files")
        if total > room:
            raise Unreadable(f"its files would take over {room / 1e6:.0f} MB, more than a result of its size can")
    return files, places


def _check_member(info, name):
    kind = info.external_attr >> 28                       # upper bits of a Unix mode: 8 a file, 0 not said, 10 a link
    if leads_out(name):
        raise Unreadable(f"the zip holds the name {name!r}, which leads out of its folder")
    if kind not in (0, 8):
        raise Unreadable(f"the zip holds {name!r}, a link or a device")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):       # the others unpack without a bound
        raise Unreadable(f"the zip holds {name!r}, packed by another method than usual: pack it as an ordinary zip")
    if info.flag_bits & 1:
        raise Unreadable("the zip has a password")
    if name.count("/") >= MAX_DEPTH:
        raise Unreadable(f"{name!r} lies more than {MAX_DEPTH} folders deep")


def _rubbish(name):
    """What operating systems leave in folders: hidden files and a few by name, but no part that is BEGUN."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") and part != ".." and not BEGUN.fullmatch(part) or part.lower() in RUBBISH
               for part in parts)


def find_root(files):
    """The run's folder, as a prefix of names: where manifest.json lies, or below which test/<set>/metrics.json does."""
    folders = set()
    for inside in map(PurePosixPath, files):
        if inside.name == "manifest.json":
            folders.add(inside.parent)
        elif inside.name == "metrics.json" and len(inside.parts) >= 3 and inside.parts[-3] == "test":
            folders.add(inside.parents[2])
    if not folders:
        packed = [name for name in files if name.lower().endswith(ARCHIVES)]
        inside = f"; it holds {join_some(packed, 5)}: unpack this zip and hand in the one inside" if packed else ""
        raise Unreadable(f"no result: neither manifest.json nor test/<set>/metrics.json is in it{inside}")
    depth = min(len(folder.parts) for folder in folders)
    highest = sorted(folder.as_posix() for folder in folders if len(folder.parts) == depth)
    if len(highest) > 1:
        raise Unreadable(f"it holds {len(highest)} runs ({join_some(highest, 5)}); one was expected: give that folder")
    return "" if highest[0] == "." else highest[0] + "/"


# ---- a folder of submissions ----

def list_submissions(folder, own=()):
    """([path of every folder and archive directly in a folder], [(name, why) of what is passed over]), by name.

    own: files that the grader writes there. What operating systems leave is no submission. Raises OSError.
    """
    taken, passed_over = [], []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.lower() in (".ds_store", *RUBBISH) or entry.name.startswith("._") or path.resolve() in own:
            continue
        if why := _passed_over(entry):
            passed_over.append((entry.name, why))
        else:
            taken.append(path)
    return taken, passed_over


def _passed_over(entry):
    """Why --each passes over what lies in a folder of submissions; None for a folder and a file named as an archive."""
    if entry.name.startswith("."):
        return "hidden"
    if _is_folder(entry) or entry.name.lower().endswith(ARCHIVES):
        return None
    try:
        with _open_plain(entry.path) as file:
            packed = file.read(4) == b"PK\x03\x04"
    except OSError as error:
        return f"neither a folder nor a zip ({reason(error)})"
    if packed:
        return "a packed file without the ending .zip: rename it if it is a submission"
    return _other_archive(entry.path) or "neither a folder nor a zip"


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:                                       # a link to where nobody may look
        return False
