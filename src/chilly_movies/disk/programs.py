"""Which files of a film are programs: nothing a film needs, and how malware travels with films.

A name is judged as Windows, macOS and Linux desktops would open it, after everything that hides
its end (direction marks, look-alike letters, trailing dots and spaces) is gone.
"""

from __future__ import annotations

import unicodedata

from chilly_movies.names import safe_name

_WINDOWS = (
    "ade adp appinstaller application appref-ms appx appxbundle bat cmd com cpl diagcab dll drv exe"
    " fxp gadget grp hlp hta inf ins isp jnlp job js jse ksh library-ms lnk mad maf mam maq mar mas"
    " mat mau mav maw mcf mda mdb mde mdt mdw mdz msc msh msh1 msh1xml msh2 msh2xml mshxml msi msix"
    " msixbundle msp mst ocx ops pcd pif pl prf prg printerexport ps1 ps1xml ps2 ps2xml psc1 psc2"
    " psd1 psm1 pst reg rgs scf scr sct search-ms settingcontent-ms shb shs sys theme themepack"
    " u3p url vb vbe vbp vbs vbscript website wll ws wsb wsc wsf wsh xbap xll xnk chm"
)
_OTHERS = (
    "action air apk apks apkm app appimage applescript bash class command csh deb desktop dmg elf"
    " fish flatpak flatpakref flatpakrepo ipa ipk jar ko mpkg osx out pkg prefpane py pyc pyo pyw"
    " pyz rb rpm run scpt scptd sh snap so dylib terminal tool webloc workflow xapk xpi zsh"
)
_MACROS = "docm dotm xlsm xltm xlam pptm potm ppam ppsm sldm iqy slk"
PROGRAMS = frozenset(" ".join((_WINDOWS, _OTHERS, _MACROS)).split())
"""Suffixes, without the dot, that are left out of a download."""
_FOLDERS = frozenset(("app", "mpkg", "pkg", "prefpane", "scptd"))
"""Folders that macOS opens as programs. Others may end like "The.Terminal" or "Chicken.Run"."""


def is_program(path: str) -> bool:
    """Whether opening this file, or a folder it is in, would run something.

    Args:
        path: as the torrent has it; `/` separates components.
    """
    *folders, name = path.split("/")
    return _suffix(name) in PROGRAMS or any(_suffix(folder) in _FOLDERS for folder in folders)


def _suffix(component: str) -> str:
    if component.isascii() and component.isprintable():
        plain = component.lower()
    else:
        plain = unicodedata.normalize("NFKC", safe_name(component)).casefold()
    stem, dot, suffix = plain.rstrip(". _").rpartition(".")
    return "".join(suffix.split()) if dot and stem else ""


def left_out(names: list[str]) -> str | None:
    """One sentence on the programs that are left out, None if there are none."""
    if not names:
        return None
    shown = ", ".join(safe_name(name.rsplit("/", 1)[-1])[:60] for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    verb = "is" if len(names) == 1 else "are"
    return f"{shown}{more} {verb} left out: programs have no place in a film."
