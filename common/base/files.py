"""Files that are never half there: whole writes, digests, what a foreign file really is, archives not to be trusted."""
import contextlib
import hashlib
import lzma
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from common.base.errors import UserError, refuse_length, shorten

MAX_FILES = 2_000_000        # in one archive; GOT-10k, the largest set here, has 1.5 million
MAX_RATIO = 200              # unpacked bytes per packed byte over all of it; pictures have about 1, text about 10
FREE_OF_RATIO = 16 << 20     # bytes that any archive may grow to, however small it is


def part_of(path):
    """The hidden file or folder beside path that holds it while it is being made; this process has its own."""
    name = os.fsencode(path.name)[:200].decode(errors="ignore")                 # a name may have 255 bytes, no more
    return path.with_name(f".{name}.{os.getpid()}.part")


def write_whole(path, data):
    """Write bytes so that path holds either the old content or all of the new, whatever happens; folders are made.

    Raises UserError when the place cannot be written (rights, a full disk, a file where a folder should be).
    """
    path = Path(path)
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def append(path, text):
    """Add text (UTF-8, as it is) to a file that grows line by line, down to the disk. Raises UserError as write_whole
    does."""
    try:
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path, error):
    """The UserError for a place that the system refuses to write."""
    return refuse_length(path) or UserError(
        f"cannot write ({error.strerror}): {shorten(str(path))}: a place with the right to write and enough room was "
        "expected: mend that or choose another place")


def beside(final):
    """The hidden folder in which what shall become the folder `final` is built: .NAME.new."""
    return final.with_name(f".{final.name}.new")


def take_place(new, final):
    """Let the folder `new` take the place of `final`, which is removed; mend_place() repairs what a kill leaves."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def mend_place(final):
    """After a take_place() that was killed between its two renamings: the old folder comes back."""
    old = final.with_name(f".{final.name}.old")
    if old.exists() and not final.exists():
        old.rename(final)


def remove_parts(folder):
    """Remove what interrupted writes left in folder and below: at the start of a run, when nobody else writes there."""
    for part in list(Path(folder).rglob(".*.part")):
        if re.fullmatch(r"\..+\.\d+\.part", part.name):
            shutil.rmtree(part) if part.is_dir() and not part.is_symlink() else part.unlink(missing_ok=True)


def sha256(path):
    """Hexadecimal SHA-256 digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def impostor(head):
    """What a file is that ought to be binary (picture, weights, archive), by its first bytes (some hundred).

    Returns (what it is, what to do), or None when nothing obvious is wrong with it.
    """
    again = "copy or download it again"
    if not head:
        return "an empty file", again
    if not head.strip(b"\0"):
        return "nothing but zero bytes", again
    if head.startswith(b"version https://git-lfs"):
        return ("a Git LFS pointer, not the file itself",
                "run `git lfs pull` in its repository, or download the file itself")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|script|\?xml)", head, re.IGNORECASE):
        return ("a web page, not the file itself",
                "download it again in a browser: the site may ask for a login or a confirmation")
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) >= len(head) - 3 and all(letter.isprintable() or letter.isspace() for letter in text):
        return "a text file", "give the right file, or " + again
    return None


def reason(error):
    """What an exception of a library says, cut to one line; its name when it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(":")


def leads_out(name):
    """Whether a foreign relative name, with / or \\, may lead out of its folder: absolute, `..`, a drive."""
    inside = PurePosixPath(name.replace("\\", "/"))        # as Windows would read it
    return inside.is_absolute() or any(step == ".." or step[1:2] == ":" for step in inside.parts)


def unpack(archive, folder, max_bytes=None):
    """Unpack a zip or tar (also .gz, .bz2, .xz) file into folder, which must be new or empty: all of it or nothing.

    Archives are not trusted: absolute names, `..`, links, devices and names given twice are refused, as is what would
    grow beyond max_bytes (default: the free disk), MAX_RATIO times the archive, or MAX_FILES files. Raises UserError.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise UserError(f"no such file: {archive}: a zip or tar file was expected: check the path")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"will not unpack over what is there: {folder}: a new or empty folder was expected: move it "
                        "away first")
    part = part_of(folder)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _fill(part, archive, max_bytes)
        if folder.exists():
            folder.rmdir()                                   # empty; Windows renames onto nothing only
        os.replace(part, folder)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"cannot unpack ({reason(error)}): {archive}: a complete zip or tar file without a password "
                        "was expected: download it again") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(folder, archive, max_bytes):
    """Write every member of the archive below folder, or raise at the first that must not be."""
    def refuse(what):
        raise UserError(f"will not unpack ({what}): {archive}: plain files and folders below one place were expected: "
                        "get the archive from its authors, or unpack it by hand")

    room = min(shutil.disk_usage(folder).free if max_bytes is None else max_bytes,
               FREE_OF_RATIO + MAX_RATIO * archive.stat().st_size)
    members = tqdm(_members(archive), desc=f"unpacking {archive.name}", unit=" files", delay=2, disable=None)
    for count, (name, is_folder, is_file, size, open_member) in enumerate(members, 1):
        inside = PurePosixPath(name.replace("\\", "/"))
        if leads_out(name):
            refuse(f"the name {name!r} leads out of the folder")
        if not is_folder and not is_file:
            refuse(f"{name!r} is a link or a device")
        if is_folder:
            (folder / inside).mkdir(parents=True, exist_ok=True)
            continue
        room -= size
        if room < 0 or count > MAX_FILES:
            refuse("it would grow beyond the free disk or any sensible size")
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        if (folder / inside).exists():
            refuse(f"the name {name!r} is there twice")
        with open_member() as source, open(folder / inside, "xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)      # never more than size: both readers stop there


def _members(archive):
    """(name, is it a folder, is it a plain file, size, function that opens it) of each member, one after the other."""
    with open(archive, "rb") as file:
        head = file.read(512)
    if wrong := impostor(head):
        raise UserError(f"{wrong[0]}: {archive}: a zip or tar file was expected: {wrong[1]}")
    if head.startswith(b"PK"):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                is_file = info.external_attr >> 28 in (0, 8)     # of a Unix mode: 8 file, 4 folder, 10 link, 0 not said
                yield info.filename, info.is_dir(), is_file, info.file_size, lambda info=info: packed.open(info)
    else:
        with tarfile.open(archive) as packed:
            for info in packed:
                yield info.name, info.isdir(), info.isfile(), info.size, lambda info=info: packed.extractfile(info)
