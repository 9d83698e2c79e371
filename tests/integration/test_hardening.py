"""How the program is built: an error in memory ends it, and an attacker gains nothing. See cmake/hardening.cmake."""

import platform
import re
import subprocess

import pytest
from support import elf
from support.router import BINARY, SANITIZED

TINY = """
#include <cstdio>
#include <cstring>
#include <string>
int main(int count, char** words) {
  char room[64];
  std::strcpy(room, words[count - 1]);
  std::string text(room);
  std::printf("%s %zu", room, text.size());
}
"""
WITHOUT = ["-O2", "-no-pie", "-fno-stack-protector", "-fcf-protection=none", "-U_FORTIFY_SOURCE", "-Wl,-z,norelro", "-Wl,-z,lazy",
           "-Wl,-z,execstack"]
WITH = ["-O2", "-pie", "-fPIE", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro", "-Wl,-z,now"]
IS_X86 = platform.machine() == "x86_64"


@pytest.fixture(name="tiny")
def _tiny(tmp_path):
    def build(*flags):
        if not IS_X86:
            flags = [flag for flag in flags if "cf-protection" not in flag]
        source, program = tmp_path / "tiny.cpp", tmp_path / "tiny"
        source.write_text(TINY)
        subprocess.run(["g++", *flags, "-w", source, "-o", program], check=True, timeout=60)
        return program
    return build


def is_optimised():
    """Whether the build is optimised. The preset `quick` is not, and libc then offers no checks."""
    cache = BINARY.parent / "CMakeCache.txt"
    if not cache.exists():
        return True  # an installed program
    values = dict(re.findall(r"^(CMAKE_\w+):\w+=(.*)$", cache.read_text(), re.MULTILINE))
    return "-O0" not in values.get(f"CMAKE_CXX_FLAGS_{values.get('CMAKE_BUILD_TYPE', '').upper()}", "")


def test_a_mistake_in_memory_does_not_find_a_program_that_helps():
    assert SANITIZED or elf.missing(BINARY, checked_calls=is_optimised()) == []  # a sanitizer has checks of its own


def test_a_return_goes_where_its_call_came_from():
    assert SANITIZED or not IS_X86 or "SHSTK" in elf.property_notes(BINARY)


@pytest.mark.parametrize("without, lacks", [
    (WITHOUT[1], "PIE"), (WITHOUT[2], "stack protector"), (WITHOUT[4], "_FORTIFY_SOURCE"), (WITHOUT[5], "RELRO"), (WITHOUT[6], "BIND_NOW"),
    (WITHOUT[7], "not executable")])
def test_the_reading_finds_each_flag_that_is_missing(tiny, without, lacks):
    flags = [flag for flag in WITH if not (without == "-no-pie" and flag in ("-pie", "-fPIE"))]
    flags = [flag for flag in flags if not ("FORTIFY" in without and "FORTIFY" in flag)]
    found = elf.missing(tiny(*flags, without))
    assert len(found) >= 1 and any(lacks in one for one in found), found


def test_the_reading_refuses_a_program_without_any_and_lets_one_with_all_pass(tiny):
    assert len(elf.missing(tiny(*WITHOUT))) >= 6
    assert elf.missing(tiny(*WITH)) == []


def test_the_reading_finds_a_program_without_a_shadow_stack(tiny):
    assert "SHSTK" not in elf.property_notes(tiny("-O2", "-fcf-protection=none"))
    assert not IS_X86 or "SHSTK" in elf.property_notes(tiny("-O2", "-fcf-protection=return", "-Wl,-z,shstk"))
