#!/bin/sh
# clang-tidy, cppcheck and shellcheck over the project's own code; silent and 0 when clean.
set -eu
cd "$(dirname "$0")/../.."
flags=$(make -s print-cflags)
status=0
echo "cppcheck"
cppcheck --quiet --std=c11 --language=c --enable=warning,portability,performance --inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem \
	--suppress=unknownMacro --suppress=normalCheckLevelMaxBranches -j 2 -I. -D__x86_64__ -D__linux__ base hal extract cloud capture ocr daemon ctl || status=1
echo "clang-tidy"
# shellcheck disable=SC2086
ls base/*.c hal/*.c extract/*.c cloud/*.c capture/*.c ocr/*.c daemon/*.c ctl/*.c |
	xargs -P 2 -n 8 sh -c 'clang-tidy --quiet "$@" -- '"$(printf '%s' "$flags" | sed "s/'/'\\\\''/g")"' 2>/dev/null' lint || status=1
echo "shellcheck"
shellcheck bootstrap.sh .ci/run tests/tools/*.sh || status=1
exit $status
