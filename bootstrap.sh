#!/bin/sh
# From a bare Debian 12 or 13 to a built and tried pageferry:
#   ./bootstrap.sh demo    installs what is missing, builds, ferries the sample pages through the service, offline
#   ./bootstrap.sh check   the same set-up, then the tests; ends in "N passed, N failed, N skipped"
#   ./bootstrap.sh setup   installs what is missing and stops
# Says what it is about to install first. Needs root or sudo for that, and nothing if all is there.
set -eu
cd "$(dirname "$0")"

usage() {
	sed -n '2,6s/^# \{0,1\}//p' "$0"
	exit "$1"
}

# The names of packages.list for the given roles that are not installed.
missing() {
	sed 's/#.*//' packages.list | while read -r role name; do
		case " $* " in *" $role "*) ;; *) continue ;; esac
		# A virtual name (libjpeg-dev on Debian 12 is real, on others provided) counts as there if anything provides it.
		dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed' || echo "$name"
	done
}

setup() {
	want=$(missing "$@" | tr '\n' ' ')
	if [ -z "${want# }" ]; then
		return 0
	fi
	if ! command -v apt-get >/dev/null; then
		echo "bootstrap: this is not Debian; please install: $want" >&2
		exit 1
	fi
	sudo=
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null; then
			echo "bootstrap: packages are missing and neither root nor sudo is here. As root: apt-get install $want" >&2
			exit 1
		fi
		sudo=sudo
	fi
	echo "bootstrap: installing with apt-get: $want"
	log=$(mktemp)
	# shellcheck disable=SC2086 # a list of names
	if ! { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $want; } \
		>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "bootstrap: apt-get failed; the whole log is $log" >&2
		exit 1
	fi
	rm -f "$log"
}

build() {
	echo "bootstrap: building"
	make -s -j"$(nproc)" "$@"
}

case "${1:-}" in
demo)
	setup build run demo
	build all
	exec tests/tools/demo.py --build "build/$(dpkg --print-architecture)"
	;;
check)
	setup build run demo test
	build all tests
	exec make -s -j"$(nproc)" check
	;;
setup)
	shift
	setup "${@:-build}"
	;;
-h | --help) usage 0 ;;
*) usage 2 >&2 ;;
esac
