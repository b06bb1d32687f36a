#!/bin/sh
# debs.sh ARCH FOLDER PACKAGE...: unpacks Debian packages of an architecture, and all that they depend on, into a new folder.
# No maintainer script is run, so neither root nor an emulator is needed. The mirror is this machine's own, from its apt sources; the
# suite is $SUITE (default: that of cross/common.sh).
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
arch=$1 folder=$2
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# Where apt gets Debian's main archive from (not the security one, and no other vendor's). Without lists apt does not know the origin.
mirror() {
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets 'Created-By: Packages' --format '$(REPO_URI)|$(COMPONENT)|$(ORIGIN)|$(LABEL)' 2>/dev/null |
		awk -F'|' '$2 != "main" || $4 == "Debian-Security" || $1 ~ /security/ { next }
			$3 == "Debian" { print $1; found = 1; exit }
			$3 == "" && $1 ~ /\/debian\/?$/ && !second { second = $1 }
			END { if (!found && second) print second }'
}

uri=$(mirror)
if [ -z "$uri" ]; then
	echo "cross: apt's sources name no Debian archive" >&2
	exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keyring ] && option="[signed-by=$keyring] " || option=
echo "deb $option$uri $SUITE main" >"$work/sources.list"
mkdir -p "$work/lists/partial" "$work/debs/partial"
: >"$work/status"
# Read after the machine's own configuration (its proxies and certificates hold), whose hooks are for its own packages.
cat >"$work/apt.conf" <<END
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
APT::Architecture "$arch";
#clear APT::Architectures;
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "$work";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Cache::archives "$work/debs";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Debug::NoLocking "true";
END
for step in update "install $*"; do
	# shellcheck disable=SC2086 # a verb and names
	if ! apt-get -qq -y -c "$work/apt.conf" --download-only $step >"$work/log" 2>&1 </dev/null; then
		tail -n 20 "$work/log" >&2
		echo "cross: apt-get failed" >&2
		exit 1
	fi
done

mkdir "$folder"
unpack() {
	dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$folder"
}
# base-files first, if it is there: /bin, /lib and /sbin are its links.
for deb in "$work"/debs/base-files_*.deb; do
	[ ! -e "$deb" ] || unpack "$deb"
done
for deb in "$work"/debs/*.deb; do
	unpack "$deb"
done
