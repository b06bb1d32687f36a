#!/bin/sh
# extract-packages.sh FOLDER SUITE PROGRAM PACKAGE...: the packages of that Debian release and all they need, extracted into FOLDER/root without
# installing anything, unless FOLDER/root/PROGRAM is there. Uses a private apt state and the archive this machine's own apt configuration names.
# Exit 1 with a reason on standard output when they cannot be had.
set -eu
mkdir -p "$1"
w=$(cd "$1" && pwd)
suite=$2 program=$3
shift 3
exec 9>"$w/lock" && flock 9
[ ! -x "$w/root/$program" ] || exit 0
uri=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[ -n "$uri" ] || uri=$(awk '$1 == "deb" { print ($2 ~ /^\[/) ? $3 : $2; exit }' /etc/apt/sources.list 2>/dev/null || true)
[ -n "$uri" ] || { echo "apt's configuration names no archive"; exit 1; }
rm -rf "$w/root.part"
mkdir -p "$w/apt/lists/partial" "$w/apt/cache/archives/partial" "$w/apt/none" "$w/root.part"
: >"$w/apt/status"
cat >"$w/apt/apt.conf" <<-EOF2
	Dir::State "$w/apt"; Dir::State::lists "$w/apt/lists"; Dir::State::status "$w/apt/status"; Dir::Cache "$w/apt/cache";
	Dir::Etc::sourcelist "$w/apt/sources.list"; Dir::Etc::sourceparts "$w/apt/none"; Dir::Etc::preferencesparts "$w/apt/none";
	APT::Install-Recommends "false"; APT::Sandbox::User ""; Debug::NoLocking "true";
EOF2
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$w/apt/sources.list"
export APT_CONFIG="$w/apt/apt.conf"
if ! { apt-get update -qq && apt-get install -y -qq --download-only "$@"; } >"$w/log" 2>&1; then
	echo "$* of $suite cannot be fetched: $(tail -n 1 "$w/log")"
	exit 1
fi
for d in "$w"/apt/cache/archives/*.deb; do dpkg-deb -x "$d" "$w/root.part"; done
mv "$w/root.part" "$w/root"
rm -rf "$w/apt"
