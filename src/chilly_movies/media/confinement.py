"""Takes away from a process all it does not need, for good: seccomp filters of Linux (seccomp(2)).

A filter looks at the number of each call to the system and refuses all that are not in `_CALLS`,
with EPERM, which programs take as they take any refusal. So code that a hostile film put in the
place of MediaInfo's can compute and talk to its parent, but neither start, trace nor signal
processes, nor call anybody, nor make, rename or delete anything.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of `_CALLS`, and AUDIT_ARCH_* of linux/audit.h. Others are left as they are."""

_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "readv": (19, 65), "pread64": (17, 67), "write": (1, 64), "writev": (20, 66),
    "lseek": (8, 62), "close": (3, 57), "fstat": (5, 80), "poll": (7, None), "ppoll": (271, 73),
    "brk": (12, 214), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "futex": (202, 98), "sched_yield": (24, 124), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "exit": (60, 93), "exit_group": (231, 94), "getpid": (39, 172),
    "gettid": (186, 178), "getrandom": (318, 278), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "sched_getaffinity": (204, 123), "sysinfo": (99, 179),
    "uname": (63, 160),
}  # fmt: skip
"""What any computing needs: numbers on x86_64 and on aarch64 (asm/unistd.h), None = has no such."""
_READING: dict[str, tuple[int | None, int | None]] = {
    "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "getdents64": (217, 61), "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17),
}  # fmt: skip
"""What importing a module needs besides."""
_MMAP, _MPROTECT, _OPENAT = (9, 222), (10, 226), (257, 56)
_PROT_EXEC = 4
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000
"""O_WRONLY, O_RDWR, O_CREAT, O_TRUNC."""

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM."""
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data; an argument has eight bytes, its low half comes first."""
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2

_Step = tuple[int, int, int, int]
"""Code, steps to skip if true and if false, operand (linux/filter.h)."""


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("if_true", ctypes.c_uint8),
                ("if_false", ctypes.c_uint8), ("operand", ctypes.c_uint32))  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Filter)))


def confine(*, importing: bool = False) -> bool:
    """Refuse this process everything but computing and its open descriptors, for good.

    Args:
        importing: whether it may still read files, as modules that are imported later are.

    Returns:
        Whether it was done: not on systems other than Linux on x86_64 or aarch64, nor where the
        kernel has no seccomp.
    """
    column, architecture = _ARCHITECTURES.get(platform.machine(), (0, 0))
    if sys.platform != "linux" or not architecture or sys.maxsize < 2**32:
        return False  # to a 32-bit Python the system says what the machine could
    steps = list(_steps(column, architecture, importing=importing))
    array = (_Filter * len(steps))(*(_Filter(*step) for step in steps))
    program = _Program(len(steps), array)
    call = ctypes.CDLL(None).prctl
    call.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if call(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(call(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program), 0, 0) == 0)


def _steps(column: int, architecture: int, *, importing: bool) -> Iterator[_Step]:
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, _REFUSE
    yield _LOAD, 0, 0, _NUMBER
    calls = {**_CALLS, **(_READING if importing else {})}
    for numbers in calls.values():
        if (number := numbers[column]) is not None:
            yield _EQUAL, 0, 1, number
            yield _RETURN, 0, 0, _ALLOW
    executable = 0 if importing else _PROT_EXEC  # modules may be machine code
    yield from _unless(_MMAP[column], 2, executable)
    yield from _unless(_MPROTECT[column], 2, executable)
    if importing:
        yield from _unless(_OPENAT[column], 2, _WRITING)
    yield _RETURN, 0, 0, _REFUSE


def _unless(number: int, argument: int, bits: int) -> Iterator[_Step]:
    """Allow a call if its argument has none of these bits."""
    yield _EQUAL, 0, 4, number
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument
    yield _ANY_BIT, 0, 1, bits
    yield _RETURN, 0, 0, _REFUSE
    yield _RETURN, 0, 0, _ALLOW
