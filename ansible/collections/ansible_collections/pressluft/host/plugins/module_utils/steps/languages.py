"""The language of an environment: translations of WordPress, and of the plugins and themes that are there.

Where the fleet lists language packs, they come from there alone; else from the release, where it brings the language;
else from WordPress.org. What was placed is known, so nothing is fetched twice. Files of a language that is not wanted
any more stay, because users choose languages of their own. Nothing that a site wrote is carried out here: archives are
read by the rules of `language_pack`, and what they hold belongs to root.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import re
import time

from ansible_collections.pressluft.host.plugins.module_utils import (
    installed,
    language_files,
    language_pack,
    served,
)
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

PURGE = "/usr/local/lib/pressluft/purge-pages"
ENGLISH = "en_US"
UNAVAILABLE = "LANGUAGE_UNAVAILABLE"
OFFICIAL = "wordpress.org"
# For all downloads of one run together.
SECONDS = 600
FOLDER = "shared/languages"


class Pack:
    """One source of files. Of two that bring the same file, the later one in the order counts."""

    def __init__(self, key, what, origin, component=None, entry=None):
        self.key, self.what, self.origin = key, what, origin
        self.component, self.entry = component, entry


def wanted(options, name):
    """The packs of an environment in their order, or why its language cannot be had."""
    locale, folder = options["locale"], os.path.join(options["root"], "releases", name)
    brought = os.path.join(folder, "wp-content/languages")
    packs = []
    if language_pack.in_folder(brought):
        packs.append(Pack("release", "what the release brings", "release:" + name, entry={"folder": brought}))
    if locale == ENGLISH:
        return packs, None
    has_core = any(os.path.exists(os.path.join(brought, name)) for name in language_pack.names_of_core(locale))
    asks = options["official"] and not has_core
    for component in installed.components(options["root"], name):
        entry = fitting(options["packs"], component)
        what = "%s of %s" % (locale, name_of(component))
        key = " ".join([locale, component.kind, component.slug]).rstrip()
        if entry is not None:
            packs.append(Pack(key, what, entry["checksum"], component, entry))
        elif asks and component.is_public:
            packs.append(Pack(key, what, "%s %s" % (OFFICIAL, component.version), component))
        elif component.kind == "core" and not has_core:
            return packs, "`sources.languages` has no language pack for %s" % what
    return packs, None


def fitting(entries, component):
    """The pack of exactly this version, else one that is for all of them."""
    of = [entry for entry in entries if (entry["kind"], entry["slug"] or "") == (component.kind, component.slug)]
    for version in (component.version, None):
        for entry in of:
            if entry["version"] == version:
                return entry
    return None


def name_of(component):
    if component.kind == "core":
        return "WordPress %s" % component.version
    return "the %s `%s`" % (component.kind, component.slug)


class Languages:
    """The files of an environment, as the record says that they were placed."""

    def __init__(self, options, packs):
        self.folder = os.path.join(options["root"], FOLDER)
        self.group = grp.getgrnam(options["system"]).gr_gid
        self.packs = packs
        self.record = language_files.Record(options["state_dir"])

    def owners(self):
        """By file, the key of the pack that it comes from."""
        return {name: pack.key for pack in self.packs for name in self.record.files(pack.key)}

    def look(self):
        """What differs: packs that are to be placed, and files of which only the owner or mode is another."""
        owners, other, open_ones = self.owners(), [], []
        for pack in self.packs:
            if self.record.origin(pack.key) != pack.origin:
                other.append(pack)
                continue
            found = set()
            for name, (digest, seen) in self.record.files(pack.key).items():
                if owners[name] == pack.key:
                    path = os.path.join(self.folder, name)
                    found.add(what := language_files.difference(path, self.group, digest, seen))
                    if what == "owner or mode":
                        open_ones.append((pack, name, digest))
            if "content" in found:
                other.append(pack)
        return other, open_ones

    def mend(self, open_ones):
        for pack, name, digest in open_ones:
            path = os.path.join(self.folder, name)
            self.record.files(pack.key)[name] = language_files.mend(path, digest, self.group)

    def place(self, pack, files, taken):
        """Places those files of a pack that no later one brings, and removes what its last version had besides."""
        known, kept = self.record.files(pack.key), {}
        for name, content in sorted(files.items()):
            if name in taken:
                kept[name] = [hashlib.sha256(content).hexdigest(), None]
            else:
                kept[name] = language_files.place(os.path.join(self.folder, name), content, self.group)
        self.record.packs[pack.key] = {"origin": pack.origin, "files": kept}
        others = {name for entry in self.record.packs.values() for name in entry["files"]}
        for name in set(known) - others:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.folder, name))


class Source:
    """Gives the files of packs."""

    def __init__(self, options, warn):
        self.options, self.warn = options, warn
        self.end = time.monotonic() + SECONDS
        self.temporary = os.path.join(options["state_dir"], "languages.new")

    def files(self, pack):
        entry, component = pack.entry or {}, pack.component
        try:
            if "folder" in entry:
                return language_pack.from_folder(entry["folder"], self.warn)
            if entry.get("problem"):
                raise Failed(entry["problem"])
            if entry.get("uploaded"):
                path = self.options["uploads"].get(digest_of(entry))
                if path is None:
                    raise Failed("it was not given to the node; run the job again")
                return self.read(path, entry, component.kind)
            url = entry.get("url") or self.address(component)
            if url is None and component.kind != "core":
                return {}
            if url is None:
                raise Failed("WordPress.org has no translation")
            return self.fetched(url, entry, component.kind)
        except Failed as error:
            raise Failed("%s cannot be had: %s" % (pack.what, error), code=UNAVAILABLE)

    def address(self, component):
        # What talks to others takes a while to load, and few runs do.
        from ansible_collections.pressluft.host.plugins.module_utils import translations

        allowed = self.options["allow_private"]
        return translations.address(*component[:3], self.options["locale"], allowed, self.left())

    def fetched(self, url, entry, kind):
        from ansible_collections.pressluft.host.plugins.module_utils import download

        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(self.temporary, flags, 0o600), "wb") as stream:
                download.download(url, stream, self.options["allow_private"], language_pack.LARGEST_ARCHIVE, self.left())
            return self.read(self.temporary, entry, kind)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.temporary)

    def read(self, archive, entry, kind):
        if entry:
            algorithm = entry["checksum"].partition(":")[0]
            with open(archive, "rb") as stream:
                if hashlib.file_digest(stream, algorithm).hexdigest() != digest_of(entry):
                    raise Failed("it is not what was asked for: its %s is another" % algorithm.upper())
        files = language_pack.from_archive(archive, kind, self.options["locale"], self.warn)
        if kind == "core" and not any(name in files for name in language_pack.names_of_core(self.options["locale"])):
            raise Failed("the language pack has no `%s.mo`" % self.options["locale"])
        return files

    def left(self):
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise Failed("all downloads together took longer than %d s" % SECONDS)
        return max(1, seconds)


def digest_of(entry):
    return entry["checksum"].partition(":")[2].lower()


def apply(languages, other, source):
    """Places packs, from the last one on: what it brings is not taken from those before it."""
    taken = {}
    for pack in reversed(languages.packs):
        files = source.files(pack) if pack in other else languages.record.files(pack.key)
        is_own = pack.component is not None and pack.component.kind != "core"
        for name in files:
            if is_own and taken.get(name, pack) is not pack:
                raise Failed("%s and %s both bring `%s`" % (pack.what, taken[name].what, name))
        if pack in other:
            languages.place(pack, files, taken)
        for name in files:
            taken.setdefault(name, pack)


def carry_out(options, node):
    if re.fullmatch(language_pack.LOCALE, options["locale"], re.ASCII) is None:
        raise Failed("`%s` is no language" % options["locale"])
    if node.check_mode and not os.path.isdir(options["state_dir"]):
        return {"changed": True, "changes": ["everything"]}
    name = served.current(options["root"])
    if name is None:
        if options["locale"] == ENGLISH:
            return {"changed": False, "changes": []}
        if node.check_mode:
            return {"changed": True, "changes": [options["locale"]]}
        raise Failed("`%s` serves no release that could be translated" % options["root"])
    packs, missing = wanted(options, name)
    if missing and not node.check_mode:
        raise Failed(missing, code=UNAVAILABLE)
    if not packs:
        return {"changed": bool(missing), "changes": [missing] if missing else []}
    languages = Languages(options, packs)
    other, open_ones = languages.look()
    changes = [pack.what for pack in other] + ["owner or mode of %s" % name for _, name, _ in open_ones]
    changes += [missing] if missing else []
    result = {"changed": bool(changes), "changes": changes}
    if node.want_diff and changes:
        result["diff"] = {"before": "", "after": "".join("%s\n" % change for change in changes)}
    if node.check_mode:
        result["needs"] = [digest_of(pack.entry) for pack in other if (pack.entry or {}).get("uploaded")]
        return result
    if changes:
        try:
            languages.mend(open_ones)
            apply(languages, other, Source(options, node.warn))
        finally:
            # What was placed until then is not fetched again.
            languages.record.keep()
        if options["pages"]:
            # They are in the words of before.
            try:
                run([PURGE, options["system"]], timeout=180)
            except Failed:
                # The next run has something to place, and purges again.
                for pack in other:
                    languages.record.packs[pack.key]["origin"] = None
                languages.record.keep()
                raise
    return result
