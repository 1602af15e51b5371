"""Downloads that survive a broken line: bounded, resumed where they stopped, checked, unpacked only when whole."""
import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from common.base.errors import UserError
from common.base.files import unpack
from common.base.progress import Progress

MAX_BYTES = 100 << 30           # of one file whose size is not known beforehand
ATTEMPTS = 5                    # after a broken connection; one that brought something forward does not count
TIMEOUT = 60.0                  # seconds without a byte
PIECE = 1 << 20


class Archive(NamedTuple):
    """A packed file that anybody may download, and what is taken out of it."""
    url: str
    inside: str                 # the folder in the archive that is wanted
    folder: str                 # what it becomes, below the data set's folder; "" is that folder itself
    size: int | None = None     # bytes, where the authors state them
    md5: str | None = None


def install(archive, root):
    """Download an archive and put its folder in place: root/archive.folder appears whole.

    Raises UserError; the same call goes on from there.
    """
    target = Path(root) / archive.folder
    packed = target.with_name(f".{archive.url.rsplit('/', 1)[1]}")
    unpacked = target.with_name(f".{target.name}.unpacked")
    download(archive.url, packed, archive.size, archive.md5)
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        unpack(packed, unpacked)
        if not (unpacked / archive.inside).is_dir():
            raise UserError(f"not what was expected: {archive.url}: a folder {archive.inside}/ in it was expected: "
                            "look at the data set's page")
        if target.is_dir():
            target.rmdir()                                  # empty, or this was not called for
        os.replace(unpacked / archive.inside, target)
    except UserError:
        if not archive.md5:                                 # not known to be whole: to be loaded again the next time
            packed.unlink()
        raise
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    packed.unlink()


def download(url, path, size=None, md5=None):
    """Download url to path, or continue what an earlier call began. size: its bytes; md5: its digest. UserError."""
    path = Path(path)
    if path.exists() and (size is None or path.stat().st_size == size):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.download")
    failures, reason = 0, ""
    while failures < ATTEMPTS:
        before = part.stat().st_size if part.exists() else 0
        try:
            if receive(url, part, size):
                break
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise UserError(f"the server answered {error.code} {error.reason}: {url}: a file was expected: "
                                "look at the data set's page") from error
            reason = f"the server answered {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        if not part.exists() or part.stat().st_size <= before:
            failures += 1
            time.sleep(min(failures, 4) if failures < ATTEMPTS else 0)
    else:
        raise UserError(f"cannot download ({reason}): {url}: what has arrived is kept, and the same command goes on "
                        "from there: check the connection, or a proxy in HTTPS_PROXY, and try again")
    if md5 and digest(part) != md5:
        part.unlink()
        raise UserError(f"damaged on the way: {url}: a file with the MD5 sum {md5} was expected: download it again")
    os.replace(part, path)


def receive(url, part, size):
    """Append to part what is missing of url; whether it is whole now.

    Raises what urllib raises, and UserError for the wrong size.
    """
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return True
    headers = {"User-Agent": "Python", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:                               # nothing beyond what is there: of another file, then
            raise
        part.unlink()
        return False
    with answer:
        if answer.status != 206:                            # the server begins at the beginning
            have = 0
        length = answer.headers.get("Content-Length", "").strip()
        total = have + int(length) if re.fullmatch("[0-9]{1,15}", length) else size      # a server may say anything
        limit = total or MAX_BYTES
        if size is not None and limit != size or limit > MAX_BYTES:
            raise UserError(f"not the file that was expected: {url}: {limit} bytes instead of "
                            f"{size or f'at most {MAX_BYTES}'}: the authors may have changed it: "
                            "look at the data set's page")
        if total and total - have > shutil.disk_usage(part.parent).free:
            raise UserError(f"not enough room: {part.parent}: {(total - have) / 1e9:.1f} GB were expected to be free: "
                            "make room there")
        title = f"downloading {url.rsplit('/', 1)[1]} (MB)"
        with closing(Progress(title, have >> 20, limit >> 20)) as progress, open(part, "ab" if have else "wb") as file:
            while have <= limit and (piece := answer.read(PIECE)):
                file.write(piece)
                have += len(piece)
                progress.update(have >> 20)
    if have > limit:
        part.unlink()
        raise UserError(f"larger than announced: {url}: {limit} bytes were expected: look at the data set's page")
    return have == total if total else have > 0


def digest(path):
    """The MD5 sum of a file, in hexadecimal: authors publish it to find damage; it proves nothing against ill will."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
