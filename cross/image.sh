#!/bin/sh
# image.sh [ARCH]: the Debian 13 machine that `make check-vm` boots: a root file system, a kernel and an initramfs (root.img, vmlinuz,
# initrd.gz) in a folder of the cache, whose path is printed. Made if it is not there, whole or not at all. pageferry itself is not in it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=common.sh
. "$here/common.sh"
arch=${1:-arm64}
MIB=768

# The system, what pageferry is linked with, what the tests use; cross/guest is laid over it.
PACKAGES="base-files base-passwd bash coreutils util-linux mount passwd grep sed findutils hostname tar gzip procps kmod
	systemd systemd-sysv udev libnss-systemd busybox-static linux-image-$arch
	libcurl4t64 libmbedcrypto16 libmbedx509-7 libcjson1 libjpeg62-turbo libpng16-16t64 libsystemd0 libsqlite3-0 libinih1 libtesseract5 libv4lconvert0t64
	tesseract-ocr-eng v4l-utils"
# Modules of the kernel that are kept, with those that they need; the first ones find the root file system.
BOOT_MODULES="virtio_blk ext4 crc32c_generic"
MODULES="virtio_console virtio_rng autofs4 vivid softdog"

packages=$(echo "$PACKAGES" | tr -s '\n\t' '  ')
key=$({ echo "$arch $MIB $packages $BOOT_MODULES $MODULES" && cat "$here/debs.sh" "$0" && cd "$here/guest" && find . -type f -print -exec cat {} +; } |
	cache_key)
target=$CACHE/image-$arch-$key
if [ -d "$target" ]; then
	echo "$target"
	exit
fi
# All files belong to root: where we are not, in a user namespace whose root we are.
if [ "$(id -u)" != 0 ]; then
	exec unshare --map-root-user "$0" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin
for tool in mke2fs depmod modprobe cpio xz; do
	command -v $tool >/dev/null || {
		echo "cross: $tool is not here; ./bootstrap.sh setup vm installs it" >&2
		exit 1
	}
done

echo "cross: making the $arch machine of $SUITE, $target" >&2
mkdir -p "$CACHE"
new=$(mktemp -d "$CACHE/new-XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM
root=$new/root
# shellcheck disable=SC2086 # a list of names
SUITE=$SUITE "$here/debs.sh" "$arch" "$root" $packages
mkdir "$new/image"

# ---- what the packages' scripts would have done ----
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
sed 's/:.*/:*:20000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
sed 's/:.*/:*::/' "$root/etc/group" >"$root/etc/gshadow"
chmod 640 "$root/etc/shadow" "$root/etc/gshadow"
cp "$root/usr/share/libc-bin/nsswitch.conf" "$root/etc/nsswitch.conf" 2>/dev/null || printf 'passwd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
ln -sf /usr/share/zoneinfo/UTC "$root/etc/localtime"
echo pageferry-test >"$root/etc/hostname"
echo 127.0.0.1 localhost pageferry-test >"$root/etc/hosts"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
echo /dev/vda / ext4 rw,noatime 0 0 >"$root/etc/fstab"
ln -sfn /run "$root/var/run"
ln -sfn /run/lock "$root/var/lock"
touch "$root/etc/.updated" "$root/var/.updated"
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/i18n "$root"/usr/share/info "$root"/usr/lib/udev/hwdb.d

# ---- kernel, modules, initramfs ----
version=$(basename "$root"/usr/lib/modules/*)
cp "$root/boot/vmlinuz-$version" "$new/image/vmlinuz"
depmod -b "$root" "$version"
kept() {
	for module in "$@"; do
		modprobe -d "$root" -S "$version" --show-depends --ignore-install "$module" | sed -n 's/^insmod \([^ ]*\) *$/\1/p'
	done | awk '!seen[$0]++'
}
modules=$root/usr/lib/modules/$version
initramfs=$new/initramfs
mkdir -p "$initramfs/bin" "$initramfs/dev" "$initramfs/proc" "$initramfs/sys" "$initramfs/new" "$initramfs/modules" "$new/kept"
# shellcheck disable=SC2086 # lists of names
{
	kept $BOOT_MODULES >"$new/boot"
	kept $BOOT_MODULES $MODULES >"$new/all"
}
while read -r file; do
	path=kernel/${file##*/kernel/}
	mkdir -p "$new/kept/$(dirname "$path")"
	cp "$file" "$new/kept/$path"
done <"$new/all"
find "$new/kept" -name '*.xz' -exec xz -d {} +
while read -r file; do
	file=$(basename "$file" .xz)
	find "$new/kept" -name "$file" -exec cp {} "$initramfs/modules/" \;
	echo "$file"
done <"$new/boot" >"$initramfs/modules/order"
rm -rf "$modules/kernel" "${root:?}/boot"
mv "$new/kept/kernel" "$modules/kernel"
depmod -b "$root" "$version"
cp "$root/usr/bin/busybox" "$initramfs/bin/busybox"
ln -s busybox "$initramfs/bin/sh"
install -m 755 "$here/guest/init" "$initramfs/init"
(cd "$initramfs" && find . | cpio -o -H newc --quiet -R 0:0) | gzip -1 >"$new/image/initrd.gz"

# ---- the tests' way in, and what is of no use here ----
units=$root/etc/systemd/system
mkdir -p "$units/multi-user.target.wants"
install -D -m 755 "$here/guest/agent" "$root/usr/lib/pageferry-test/agent"
install -m 644 "$here/guest/agent.service" "$units/agent.service"
ln -s ../agent.service "$units/multi-user.target.wants/agent.service"
ln -s /usr/lib/systemd/system/multi-user.target "$units/default.target"
while read -r unit; do
	ln -s /dev/null "$units/$unit"
done <"$here/guest/masked"

mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$root" "$new/image/root.img" ${MIB}M >/dev/null
mv -T "$new/image" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"
