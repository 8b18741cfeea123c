#!/usr/bin/env bash
# Compiles the programs and libraries that the arm64 tests patch. Usage: victims.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=environment.sh
. Tests/arm64/environment.sh
out=$1
mkdir -p "$out"

program() { $clang -g -O1 -rdynamic -pthread -ICPatch "$@"; }
library() { $clang -g -O1 -shared -fPIC -ICPatch "$@"; }

commands=Tests/Victims/commands
program -o "$out/shop" $commands/shop.c
# Guarded pages, signed return addresses. What the C library adds to the program has no such mark, hence "force".
program -mbranch-protection=standard -Wl,-z,force-bti,-z,bti-report=none -o "$out/shop-guarded" $commands/shop.c
program -o "$out/load" $commands/load.c
program -o "$out/allocator" $commands/allocator.c
program -D_GNU_SOURCE -o "$out/mapper" $commands/mapper.c
library -DOTHER=1 -o "$out/other.so" $commands/price.c
library -DPRICE=1000 -DTAX=2000 -o "$out/price-1000.so" $commands/price.c
library -DPRICE=3000 -o "$out/price-3000.so" $commands/price.c
library -DMISSING -o "$out/missing.so" $commands/price.c
library -DANSWER=3 -DBACKGROUND -o "$out/refusing.so" $commands/explicit.c
# The same without a thread: what is written over such a library harms nobody.
library -DANSWER=3 -o "$out/refusing-at-once.so" $commands/explicit.c
program -o "$out/entered" $commands/entered.c
library -o "$out/entered_patch.so" $commands/entered_patch.c
library -o "$out/load_patch.so" $commands/load_patch.c
library '-DEND=__builtin_trap()' -o "$out/ending.so" $commands/ending.c
program -o "$out/filtered" $commands/filtered.c
program -o "$out/victim" Tests/Victims/remote/victim.c
library -o "$out/counted.so" Tests/Victims/remote/counted.c
library -o "$out/broken.so" Tests/Victims/remote/broken.c
# Names: aliases, copies, versions.
printf 'V1 { global: versioned; local: *; };\nV2 { global: versioned; } V1;\n' >"$out/versions.map"
printf 'V1 { global: versioned; local: *; };\n' >"$out/patch.map"
library -Wl,--version-script="$out/versions.map" -Wl,-soname,libversions.so -o "$out/libversions.so" $commands/versions.c
program -DPROGRAM -Wl,-rpath,'$ORIGIN' -o "$out/names" $commands/names.c "$out/libversions.so"
library -DFOLDED=1000 -DRATE=1000 -o "$out/names-folded.so" $commands/names.c
library -DFOLDED=1000 -DBOTH=2000 -o "$out/names-both.so" $commands/names.c
library -DVERSIONED=1000 -Wl,--version-script="$out/patch.map" -o "$out/names-versioned.so" $commands/names.c
# A program that exports nothing.
$clang -g -O1 -o "$out/hidden" $commands/hidden.c
library -DPATCH=1000 -o "$out/hidden-patch.so" $commands/hidden.c
library -DTHREAD_LOCAL -o "$out/hidden-thread-local.so" $commands/hidden.c
# Swift with its runtime linked in, and a library that is bound to that.
later=(-parse-as-library -module-name later)
link_swift -O "${later[@]}" -o "$out/later" $commands/later.swift
compile_swift -Onone "${later[@]}" -DPATCH -emit-object -o "$out/later-patch.o" $commands/later.swift
library -o "$out/later-patch.so" "$out/later-patch.o"
rm "$out/later-patch.o"
Tests/arm64/objects.sh "$out"
