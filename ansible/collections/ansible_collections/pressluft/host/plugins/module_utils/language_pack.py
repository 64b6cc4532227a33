"""What a language pack brings: the files of one archive, by the paths that they get below the languages of a site.

Whoever made the archive is not trusted. It may hold files of translations by the names that WordPress looks for, plain
and in bounds, and nothing else. WordPress runs a `.l10n.php`; one is taken only where it is a list of texts, so that no
pack brings code.
"""

from __future__ import annotations

import json
import os
import re
import stat
from functools import cache

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

LARGEST_ARCHIVE = 32 << 20
LARGEST_FILE = 16 << 20
LARGEST_PACK = 96 << 20
MOST_FILES = 4000
# The list of an archive's entries is read as a whole.
LONGEST_LIST = 1 << 20
END_OF_ARCHIVE = b"PK\x05\x06"

LOCALE = r"[a-z]{2,3}(?:_[A-Za-z0-9]{1,20}){0,3}"
DOMAIN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
ENDING = r"(?:\.(?:mo|po|l10n\.php)|-[A-Za-z0-9_-]{1,128}\.json)"
FOLDERS = {"plugin": "plugins", "theme": "themes"}

TEXT = rb"(?:'(?:[^'\\]|\\.)*+'|\"\\0\")"
VALUE = rb"(?:%s(?:\s*+\.\s*+%s)*+|-?[0-9]{1,18}+|NULL|null|true|false)" % (TEXT, TEXT)


def _list_of(value):
    return rb"\[\s*+(?:(?:%s\s*+=>\s*+)?%s\s*+(?:,\s*+|(?=\])))*+\]" % (VALUE, value)


FORMS = rb"(?:%s|%s)" % (_list_of(VALUE), VALUE)
MESSAGES = rb"(?:%s|%s)" % (_list_of(FORMS), VALUE)


@cache
def _texts():
    # Each part keeps what it has read for good, so that a hostile file takes no more time than another one.
    return re.compile(rb"<\?php\s++return\s*+%s\s*+;\s*+" % _list_of(MESSAGES), re.DOTALL)


def is_list_of_texts(content):
    """Whether PHP code is a list of texts and nothing else."""
    return _texts().fullmatch(content) is not None


def from_archive(path, kind, locale, warn):
    """The files of an archive: contents by the paths that they get.

    One of WordPress itself may hold those of plugins and themes too, as the directory of a site's languages does.
    """
    found, total = {}, 0
    for name, content in _entries(path):
        place = _place(name, kind, locale)
        if place is None:
            raise Failed("the language pack has `%.200s`, which is no translation into `%s`" % (name, locale))
        if place in found:
            raise Failed("the language pack has `%.200s` twice" % name)
        total += len(content)
        if total > LARGEST_PACK:
            raise Failed("the language pack is larger than %d MiB" % (LARGEST_PACK >> 20))
        found[place] = content
    return _checked(found, warn)


def from_folder(folder, warn):
    """The same of what a release of WordPress brings along, in any language; what is none is left alone."""
    found, total = {}, 0
    for place, path in in_folder(folder):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                continue
            content = stream.read(LARGEST_FILE + 1)
        total += len(content)
        if len(content) > LARGEST_FILE or total > LARGEST_PACK:
            raise Failed("the languages of the release are larger than %d MiB" % (LARGEST_PACK >> 20))
        found[place] = content
    return _checked(found, warn)


def in_folder(folder):
    """The translations in a directory: the paths that they get, with where they are."""
    found = []
    for below in ("", *FOLDERS.values()):
        try:
            names = os.listdir(os.path.join(folder, below))
        except OSError:
            continue
        places = [os.path.join(below, name) for name in sorted(names)]
        plain = [place for place in places if not os.path.islink(os.path.join(folder, place))]
        found += [(place, os.path.join(folder, place)) for place in plain if _place(place, "core", LOCALE)]
    return found[:MOST_FILES]


def names_of_core(locale):
    """Any one of these makes a language one that WordPress has."""
    return ("%s.mo" % locale, "%s.l10n.php" % locale)


def _place(name, kind, locale):
    """Where an entry belongs, or None for one that is no translation; `locale` is a pattern."""
    own = r"%s-%s%s" % (DOMAIN, locale, ENDING)
    if kind in FOLDERS:
        return os.path.join(FOLDERS[kind], name) if re.fullmatch(own, name, re.ASCII) else None
    core = r"(?:(?:admin|admin-network|continents-cities|ms)-)?%s\.(?:mo|po|l10n\.php)|%s-[A-Za-z0-9_-]{1,128}\.json"
    whole = r"(?:%s)|(?:plugins|themes)/%s" % (core % (locale, locale), own)
    return name if re.fullmatch(whole, name, re.ASCII) else None


def _entries(path):
    """The names and contents of an archive's files."""
    # Few runs read one, and these take a while to load.
    import struct
    import zipfile
    import zlib

    try:
        _look_at_list(path)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_FILES:
                raise Failed("the language pack has more than %d files" % MOST_FILES)
            for entry in entries:
                if entry.is_dir() and entry.filename.rstrip("/") in FOLDERS.values():
                    continue
                yield entry.filename, _content(archive, entry)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Failed("the language pack is no zip file that can be read: %.200s" % error)


def _look_at_list(path):
    import struct

    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > LARGEST_ARCHIVE:
            raise Failed("the language pack is larger than %d MiB" % (LARGEST_ARCHIVE >> 20))
        stream.seek(max(0, size - (1 << 16) - 22))
        end = stream.read()
    at = end.rfind(END_OF_ARCHIVE)
    if at < 0 or len(end) - at < 22 or struct.unpack_from("<I", end, at + 12)[0] > LONGEST_LIST:
        raise Failed("the language pack is no zip file of at most %d files" % MOST_FILES)
    # One of these says something else about the list, and would be believed.
    if b"PK\x06\x07" in end[:at][-20:]:
        raise Failed("the language pack is a zip64 file")


def _content(archive, entry):
    import zipfile

    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or kind not in (0, stat.S_IFREG):
        raise Failed("the language pack has `%.200s`, which is no plain file" % entry.filename)
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Failed("the language pack has `%.200s`, which is encrypted or packed in another way" % entry.filename)
    with archive.open(entry) as stream:
        # What its list says about its length may be wrong.
        content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise Failed("the language pack has `%.200s`, which is larger than %d MiB" % (entry.filename, LARGEST_FILE >> 20))
    return content


def _checked(found, warn):
    """The files that are what their names say."""
    for place in sorted(found):
        content = found[place]
        if place.endswith(".l10n.php") and not is_list_of_texts(content):
            # WordPress takes the `.mo` then.
            warn("`%s` is more than a list of texts, and left out" % place)
            del found[place]
        elif place.endswith(".mo") and content[:4] not in (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde"):
            raise Failed("`%s` of the language pack is none that WordPress reads" % place)
        elif place.endswith(".json") and not _is_object(content):
            raise Failed("`%s` of the language pack is no object of JSON" % place)
    return found


def _is_object(content):
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False
