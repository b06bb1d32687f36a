#!/bin/sh
# get-llama-server.sh FOLDER: Debian's newest llama-server, extracted into FOLDER/root without installing anything. Uses a private apt state and
# the archive this machine's own apt configuration names. Prints the command line's beginning on success; exit 1 with a reason when it cannot be had.
set -eu
mkdir -p "$1"
w=$(cd "$1" && pwd)
arch=$(dpkg --print-architecture)
case $arch in
amd64) triplet=x86_64-linux-gnu loader=usr/lib64/ld-linux-x86-64.so.2 ;;
arm64) triplet=aarch64-linux-gnu loader=usr/lib/ld-linux-aarch64.so.1 ;;
*) echo "no llama-server for $arch" && exit 1 ;;
esac
if [ ! -x "$w/root/usr/bin/llama-server" ]; then
	uri=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
	[ -n "$uri" ] || uri=$(awk '$1 == "deb" { print ($2 ~ /^\[/) ? $3 : $2; exit }' /etc/apt/sources.list 2>/dev/null || true)
	[ -n "$uri" ] || { echo "apt's configuration names no archive"; exit 1; }
	mkdir -p "$w/apt/lists/partial" "$w/apt/cache/archives/partial" "$w/apt/none" "$w/root.part"
	: >"$w/apt/status"
	cat >"$w/apt/apt.conf" <<-EOF
		Dir::State "$w/apt"; Dir::State::lists "$w/apt/lists"; Dir::State::status "$w/apt/status"; Dir::Cache "$w/apt/cache";
		Dir::Etc::sourcelist "$w/apt/sources.list"; Dir::Etc::sourceparts "$w/apt/none"; Dir::Etc::preferencesparts "$w/apt/none";
		APT::Install-Recommends "false"; APT::Sandbox::User ""; Debug::NoLocking "true";
	EOF
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri sid main" >"$w/apt/sources.list"
	export APT_CONFIG="$w/apt/apt.conf"
	if ! { apt-get update -qq && apt-get install -y -qq --download-only llama.cpp-tools; } >"$w/log" 2>&1; then
		echo "the llama.cpp-tools packages cannot be fetched: $(tail -n 1 "$w/log")"
		exit 1
	fi
	for d in "$w"/apt/cache/archives/*.deb; do dpkg-deb -x "$d" "$w/root.part"; done
	mv "$w/root.part" "$w/root"
	rm -rf "$w/apt"
fi
kind=x64
[ "$arch" = amd64 ] && grep -qw avx2 /proc/cpuinfo && kind=haswell
lib="$w/root/usr/lib/$triplet"
[ "$arch" = arm64 ] && kind=armv8.0_1
echo "GGML_BACKEND_PATH=$lib/ggml/backends0/libggml-cpu-$kind.so $w/root/$loader --library-path $lib:$lib/llama $w/root/usr/bin/llama-server"
