#!/usr/bin/env bash
# Tests what draw_path.py refuses: a step whose file or function is not there, a wrong number, an outdated picture.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p cmake docs
cp "$root/cmake/draw_path.py" cmake/
cp -r "$root/router" .
page=docs/life_of_a_request.md
wrong=0

refused() {  # WHAT SED_SCRIPT MESSAGE
  cp "$root/$page" "$page"
  sed -i "$2" "$page"
  if message=$(python3 cmake/draw_path.py 2>&1); then echo "$1: is not refused"; wrong=1; fi
  grep -qF -- "$3" <<<"$message" || { echo "$1: the message is '$message'"; wrong=1; }
}
refused "a file that is not there" 's#`proxy/gather`#`proxy/gathered`#' "there is no file proxy/gathered"
refused "a function that is not there" 's#`Exchange::forward`#`Exchange::onward`#' "there is no function Exchange::onward"
refused "a number that is left out" 's#^8\. \*\*#9. **#' "step 9, Send on: 8 is expected"

cp "$root/$page" "$page"
if message=$(python3 cmake/draw_path.py --check 2>&1); then echo "a picture that is not there: is not refused"; wrong=1; fi
grep -qF "docs/path.svg is outdated" <<<"$message" || { echo "a picture that is not there: the message is '$message'"; wrong=1; }
python3 cmake/draw_path.py && python3 cmake/draw_path.py --check || { echo "what was just drawn is refused"; wrong=1; }
exit $wrong
