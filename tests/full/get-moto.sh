#!/bin/sh
# get-moto.sh FOLDER: Debian 13's moto, with that release's Python, extracted into FOLDER/root without installing anything (extract-packages.sh).
# Prints the folder of the root, then the command line's beginning, on success; exit 1 with a reason when it cannot be had.
set -eu
arch=$(dpkg --print-architecture)
case $arch in
amd64) triplet=x86_64-linux-gnu loader=usr/lib64/ld-linux-x86-64.so.2 ;;
arm64) triplet=aarch64-linux-gnu loader=usr/lib/ld-linux-aarch64.so.1 ;;
*) echo "no moto for $arch" && exit 1 ;;
esac
"$(dirname "$0")/extract-packages.sh" "$1" trixie usr/bin/moto_server python3-moto python3-flask python3-flask-cors
w=$(cd "$1" && pwd)
echo "$w/root $w/root/$loader --library-path $w/root/usr/lib/$triplet $(readlink -f "$w/root/usr/bin/python3")"
