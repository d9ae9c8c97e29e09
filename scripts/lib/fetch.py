"""Downloads a file, goes on with one that broke off, and checks what came."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request

from project import Failure, Progress

CHUNK = 1 << 16
# How long nothing may come, in seconds.
PATIENCE = 30


def file(uri, path, size, sha256, proxy=None):
    """Makes `path` the file of that size and checksum, from `uri` as far as it isn't here."""
    if _is(path, size, sha256):
        return
    # Kept until it is whole, so that the next run goes on with it.
    part = path.with_name(path.name + ".part")
    if part.is_file() and part.stat().st_size >= size:
        part.unlink()
    try:
        _append(uri, part, size, proxy)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise Failure(f"{uri} can't be fetched ({why}); run scripts/setup again, and it goes on where it was") from error
    if not _is(part, size, sha256):
        part.unlink()
        raise Failure(f"what came from {uri} is not what the archive's signed index says; run scripts/setup again")
    os.replace(part, path)


def _append(uri, part, size, proxy):
    handlers = [urllib.request.ProxyHandler({"http": proxy, "https": proxy})] if proxy else []
    here = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(uri, headers={"Range": f"bytes={here}-"} if here else {})
    progress = Progress(f"setup: {part.stem.split('_')[0]}")
    with urllib.request.build_opener(*handlers).open(request, timeout=PATIENCE) as answer:
        # Only 206 is the part that was asked for; anything else is all of it.
        here = here if answer.status == 206 else 0
        with open(part, "ab" if here else "wb") as whole:
            while chunk := answer.read(CHUNK):
                whole.write(chunk)
                here += len(chunk)
                progress.show(f"{here / 1e6:.1f} of {size / 1e6:.1f} MB")
    progress.end()
    if here < size:
        raise ConnectionError(f"it broke off after {here} of {size} bytes")


def _is(path, size, sha256):
    if not path.is_file() or path.stat().st_size != size:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
