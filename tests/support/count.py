"""Counts tests for `./dev`: `count.py EXIT_STATUS FILE` reads the JUnit file that a run of GoogleTest or pytest has written.

The first line is `PASSED FAILED`. Each further line names a test that did not pass. A test that is not known to have passed has failed: a
skipped or disabled test, or one that is expected to fail. One more failure is counted for a run without tests, without a file (both programs
write it at their end, so the program died), or with a failure that the file does not show.
"""

import re
import sys
import xml.etree.ElementTree as xml

NAMED_MAX = 40
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # GoogleTest copies a message's bytes unchanged


def verdict(test):
    """The result of a <testcase>; None: it passed."""
    if test.find("failure") is not None:
        return "FAILED"
    if test.find("error") is not None:
        return "ERROR"
    skipped = test.find("skipped")
    if skipped is not None:
        return "XFAIL" if skipped.get("type") == "pytest.xfail" else "SKIPPED"
    return "DISABLED" if test.get("status") == "notrun" else None


def name(test):
    """`classname.name`, followed by ` - ` and the reason in one line, if there is one."""
    reasons = [child.get("message") or "" for child in test if child.tag in ("failure", "error", "skipped")]
    reason = " ".join(reasons[0].split()) if reasons else ""
    text = ".".join(part for part in (test.get("classname"), test.get("name")) if part)
    return (text + (" - " + reason if reason else ""))[:190]


def count(status, path):
    """The number of tests that passed, the number of those that failed, and the names of the failed ones."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            tests = list(xml.fromstring(NOT_IN_XML.sub("?", file.read()).encode()).iter("testcase"))
    except (OSError, xml.ParseError) as error:
        return 0, 1, [f"no result of any test: {error}"]
    ends = [(verdict(test), test) for test in tests]
    names = sorted({f"{end} {name(test)}" for end, test in ends if end})
    failed = sum(1 for end, _ in ends if end)
    passed = len(tests) - failed
    if failed == 0 and (status != 0 or passed == 0):
        return passed, 1, [f"the run ended with exit status {status}, and no test of it failed"]
    return passed, failed, names[:NAMED_MAX]


def main():
    passed, failed, names = count(int(sys.argv[1]), sys.argv[2])
    print(passed, failed)
    for each in names:
        print("  " + each)


if __name__ == "__main__":
    main()
