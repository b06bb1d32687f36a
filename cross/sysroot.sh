#!/bin/sh
# sysroot.sh ARCH: what pageferry is compiled against and runs on, of Debian 13 for arm64 or armhf: headers and libraries, in a folder of
# the cache, whose path is printed. Made if it is not there, whole or not at all.   sysroot.sh --path ARCH: its path alone.
set -eu
here=$(dirname "$0")
# shellcheck source=common.sh
. "$here/common.sh"
only_path=
if [ "${1:-}" = --path ]; then
	only_path=1
	shift
fi
arch=${1:?ARCH is missing: arm64 or armhf}

# The libraries of packages.list (without the development packages of this machine's compiler), and C itself.
packages=$(sed -n 's/^build \(.*-dev\)$/\1/p' "$here/../packages.list" | tr '\n' ' ')libc6-dev
key=$({ echo "$packages" && cat "$here/debs.sh" "$0"; } | cache_key)
target=$CACHE/sysroot-$arch-$key
if [ -n "$only_path" ] || [ -d "$target" ]; then
	echo "$target"
	exit
fi

echo "cross: making the $arch sysroot of $SUITE, $target" >&2
mkdir -p "$CACHE"
new=$(mktemp -d "$CACHE/new-XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM
# shellcheck disable=SC2086 # a list of names
SUITE=$SUITE "$here/debs.sh" "$arch" "$new/root" $packages
mkdir -p "$new/sysroot/usr"
mv "$new/root/usr/include" "$new/root/usr/lib" "$new/sysroot/usr"
ln -s usr/lib "$new/sysroot/lib"
# A link to an absolute path would lead out of the sysroot.
find "$new/sysroot/usr" -type l -lname '/*' | while read -r link; do
	ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$new/sysroot$(readlink "$link")")" "$link"
done
# Another run may have been faster.
mv -T "$new/sysroot" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"
