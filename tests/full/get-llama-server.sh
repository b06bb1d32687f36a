#!/bin/sh
# get-llama-server.sh FOLDER: Debian's newest llama-server, extracted into FOLDER/root without installing anything (extract-packages.sh). Prints the
# command line's beginning on success; exit 1 with a reason when it cannot be had.
set -eu
arch=$(dpkg --print-architecture)
case $arch in
amd64) triplet=x86_64-linux-gnu loader=usr/lib64/ld-linux-x86-64.so.2 ;;
arm64) triplet=aarch64-linux-gnu loader=usr/lib/ld-linux-aarch64.so.1 ;;
*) echo "no llama-server for $arch" && exit 1 ;;
esac
"$(dirname "$0")/extract-packages.sh" "$1" sid usr/bin/llama-server llama.cpp-tools
w=$(cd "$1" && pwd)
kind=x64
[ "$arch" = amd64 ] && grep -qw avx2 /proc/cpuinfo && kind=haswell
lib="$w/root/usr/lib/$triplet"
[ "$arch" = arm64 ] && kind=armv8.0_1
echo "GGML_BACKEND_PATH=$lib/ggml/backends0/libggml-cpu-$kind.so $w/root/$loader --library-path $lib:$lib/llama $w/root/usr/bin/llama-server"
