#!/usr/bin/env python3
"""Refuses files, functions and parameter lists that are too long to read at once. `./dev check` runs it.

    check_sizes.py [--list]     --list: writes the mistakes as lines for exceptions.txt, without a reason

It checks every C++, Python, shell, Go and CMake source that git knows or would add, tests included. It does not check generated
files, data and documents. Functions are checked in C++, Python and shell. For C++ it uses universal-ctags, which takes 2 s for
all files; clang-tidy's readability-function-size would compile each file, and does not see TEST.

The length of a function is counted from the line of its name to its last line. `self`, `cls` and the fixtures of a pytest test
do not count as parameters. A lambda counts as part of the function around it.

exceptions.txt, beside this file, lists the exceptions and their reasons. An exception that is no longer needed is a mistake, too.
"""
import ast
import json
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 6

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXCEPTIONS = "cmake/exceptions.txt"
LANGUAGES = {".cpp": "c++", ".h": "c++", ".py": "python", ".sh": "shell", ".go": "go", ".cmake": "cmake"}


class Function(NamedTuple):
    path: str
    name: str  # includes the class, or for a test the suite: `Relay::run`, `RequestQueue.RefusesAtOnce`
    line: int
    lines: int
    parameters: int


def language_of(path):
    file = pathlib.PurePath(path)
    if file.name == "CMakeLists.txt":
        return "cmake"
    if file.suffix:
        return LANGUAGES.get(file.suffix)
    with open(ROOT / path, "rb") as opened:
        begin = opened.readline(80)
    found = re.match(rb"#!.*\b(python|bash|sh)", begin)
    return {b"python": "python", b"bash": "shell", b"sh": "shell"}[found[1]] if found else None


def sources():
    """Every source by language: {"c++": [path...]...}."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    found = {}
    for path in sorted(set(listed.stdout.split("\0")) - {""}):
        if (ROOT / path).is_file() and (language := language_of(path)):
            found.setdefault(language, []).append(path)
    return found


def parameters_of(signature):
    """The number of parameters in a C++ list: `(const std::map<K, V>& by_key, int (*call)(int, int))` has two."""
    inner = signature[signature.find("(") + 1 : signature.rfind(")")].replace("->", "")
    depth, commas = 0, 0
    for character in inner:
        depth += (character in "<([{") - (character in ">)]}")
        commas += character == "," and depth == 0
    return commas + 1 if inner.strip() not in ("", "void") else 0


def cpp_functions(paths):
    """Definitions, and declarations without a definition: pure virtual functions."""
    found = list(cpp_tags(paths))
    defined = {function.name for kind, function in found if kind == "function"}
    return [function for kind, function in found if kind == "function" or function.name not in defined]


def cpp_tags(paths):
    told = subprocess.run(
        ["ctags", "--options=NONE", "--languages=C++", "--langmap=C++:.cpp.h", "--kinds-C++=fp", "--fields=+neSsK",
         "--output-format=json", "--sort=no", "-f", "-", "-L", "-"],
        cwd=ROOT, check=True, capture_output=True, text=True, input="\n".join(paths),
    )
    for tag in map(json.loads, told.stdout.splitlines()):
        name, signature = tag["name"], tag.get("signature", "()")
        parameters = parameters_of(signature)
        if re.fullmatch(r"(TYPED_)?TEST(_[FP])?|BENCHMARK\w*", name):
            name, parameters = signature.strip("()").replace(",", ".").replace(" ", ""), 0
        elif tag.get("scopeKind") in ("class", "struct"):
            name = tag["scope"].rpartition("::")[2] + "::" + name
        yield tag["kind"], Function(tag["path"], name, tag["line"], tag.get("end", tag["line"]) - tag["line"] + 1, parameters)


def python_parameters(path, function):
    if function.name.startswith("test_") and pathlib.PurePath(path).name.startswith("test_"):
        return 0
    of = function.args
    named = [each.arg for each in of.posonlyargs + of.args + of.kwonlyargs]
    own = named[:1] in (["self"], ["cls"])
    return len(named) - own + (of.vararg is not None) + (of.kwarg is not None)


def python_functions_in(path, node, around=""):
    for child in ast.iter_child_nodes(node):
        inner = around
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = f"{around}{child.name}."
            yield Function(path, around + child.name, child.lineno, child.end_lineno - child.lineno + 1, python_parameters(path, child))
        elif isinstance(child, ast.ClassDef):
            inner = f"{around}{child.name}."
        yield from python_functions_in(path, child, inner)


def python_functions(paths):
    for path in paths:
        yield from python_functions_in(path, ast.parse((ROOT / path).read_text()))


def shell_functions(paths):
    for path in paths:
        begun = None
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            if begin := re.match(r"([\w-]+)\(\) *[{(]", line):
                begun = number, begin[1]
            if begun and line.startswith(("}", ")")):
                yield Function(path, begun[1], begun[0], number - begun[0] + 1, 0)
                begun = None


def functions_in(found):
    readers = {"c++": cpp_functions, "python": python_functions, "shell": shell_functions}
    return [each for language, read in readers.items() if language in found for each in read(found[language])]


def mistakes_in(found, functions):
    """{path or path:function: (path:line, what is wrong)}"""
    mistakes = {}
    for path in sum(found.values(), []):
        lines = (ROOT / path).read_bytes().count(b"\n")
        if lines > FILE_LINES_MAX:
            mistakes[path] = (path, f"{lines} lines; at most {FILE_LINES_MAX}")
    for function in functions:
        wrong = []
        if function.lines > FUNCTION_LINES_MAX:
            wrong.append(f"{function.lines} lines; at most {FUNCTION_LINES_MAX}")
        if function.parameters > PARAMETERS_MAX:
            wrong.append(f"{function.parameters} parameters; at most {PARAMETERS_MAX}")
        if wrong:
            mistakes[f"{function.path}:{function.name}"] = (f"{function.path}:{function.line}", f"{function.name} has " + ", and ".join(wrong))
    return mistakes


def read_exceptions():
    """({what: its line}, mistakes); draw_layers.py reads those of layers, `one -> another`."""
    exceptions, mistakes = {}, []
    file = ROOT / EXCEPTIONS
    for number, line in enumerate(file.read_text().splitlines() if file.is_file() else [], 1):
        what, _, reason = (part.strip() for part in line.partition(" | "))
        if not what or what.startswith("#") or "->" in what:
            continue
        if not reason:
            mistakes.append(f"{EXCEPTIONS}:{number}: {what} has no reason")
        if what in exceptions:
            mistakes.append(f"{EXCEPTIONS}:{number}: {what} is listed twice")
        exceptions[what] = number
    return exceptions, mistakes


def main():
    found = sources()
    functions = functions_in(found)
    mistakes = mistakes_in(found, functions)
    exceptions, wrong = read_exceptions()
    if "--list" in sys.argv:
        print("\n".join(f"{what} | " for what in mistakes if what not in exceptions))
        return 0
    wrong += [f"{where}: {text}" for what, (where, text) in mistakes.items() if what not in exceptions]
    wrong += [f"{EXCEPTIONS}:{number}: {what} is no longer an exception: remove the line" for what, number in exceptions.items() if what not in mistakes]
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        return 1
    print(f"ok: {sum(map(len, found.values()))} files, {len(functions)} functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
