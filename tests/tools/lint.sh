#!/bin/sh
# lint.sh CFLAGS...: cppcheck, clang-tidy and shellcheck over the project's own code; 0 when clean. `make lint` calls it.
set -eu
cd "$(dirname "$0")/../.."
status=0
echo "cppcheck"
cppcheck --quiet --std=c11 --language=c --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
	--suppress=missingIncludeSystem --suppress=unknownMacro -j 2 -I. -D__x86_64__ -D__linux__ \
	base hal extract cloud capture ocr daemon ctl tests/guard tests/exchange || status=1
echo "clang-tidy"
clang-tidy --quiet base/*.c hal/*.c extract/*.c cloud/*.c tests/guard/*.c tests/exchange/*.c -- "$@" 2>/dev/null &
half=$!
clang-tidy --quiet capture/*.c ocr/*.c ctl/*.c daemon/*.c -- "$@" 2>/dev/null || status=1
wait "$half" || status=1
echo "shellcheck"
shellcheck -x -P SCRIPTDIR bootstrap.sh .ci/run tests/tools/*.sh tests/full/*.sh tests/torture/init cross/*.sh cross/guest/init cross/guest/agent || status=1
exit $status
