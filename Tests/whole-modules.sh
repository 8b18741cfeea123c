# Sourced by what builds the package for tests: options for `swift build`. The compiler reads the sources of a module once, instead of once
# for each processor and once more for its interface. That takes a quarter less; but after an edit, all of its module is compiled.
# shellcheck shell=bash disable=SC2034
whole_modules=(
    -Xswiftc -whole-module-optimization -Xswiftc -num-threads -Xswiftc 2 -Xswiftc -disable-batch-mode
    -Xswiftc -no-emit-module-separately-wmo
)
