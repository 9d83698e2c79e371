"""Reads with readelf whether a program is hardened: built to end, not to continue, when an attacker exploits an error in its memory."""

import re
import subprocess


def _readelf(program, *options):
    done = subprocess.run(["readelf", "--wide", *options, str(program)], capture_output=True, text=True, check=False,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(program):
    """Returns the functions that it imports from its libraries, without versions."""
    return set(re.findall(r"\bUND (\w+)", _readelf(program, "--dyn-syms")))


def missing(program, checked_calls=True):
    """Returns a list of what the program lacks; an empty list if it lacks nothing. `checked_calls`: it is optimised, so libc's checks are
    compiled in."""
    header, segments, dynamic = (_readelf(program, option) for option in ("--file-header", "--segments", "--dynamic"))
    functions = imported(program)
    lacks = []
    if not re.search(r"Type:\s+DYN", header) or "INTERP" not in segments or "PIE" not in dynamic:
        lacks.append("a random address (PIE)")
    if "GNU_RELRO" not in segments:
        lacks.append("relocations that are read-only (RELRO)")
    if not re.search(r"\bBIND_NOW\b|\bNOW\b", dynamic):
        lacks.append("binding at the start (BIND_NOW): full RELRO")
    stack = re.search(r"GNU_STACK(?:\s+0x[0-9a-f]+){5}\s+(\S+)", segments)
    if not stack or "E" in stack[1]:
        lacks.append("a stack that is not executable")
    if "__stack_chk_fail" not in functions:
        lacks.append("stack protector")
    if checked_calls and not any(re.fullmatch(r"__\w+_chk", name) for name in functions):
        lacks.append("checked calls of libc (_FORTIFY_SOURCE)")
    if re.search(r"\bRWE\b", segments):
        lacks.append("segments that are writable or executable, not both")
    return lacks


def property_notes(program):
    """Returns the properties for x86, `IBT` and `SHSTK`, which let the kernel and libc switch these protections on for the program."""
    return set(re.findall(r"\b(IBT|SHSTK)\b", _readelf(program, "--notes")))
