# Sourced by what builds for arm64 or runs it: where the SDK is, and how the package is built with it.
# shellcheck shell=bash
sdk=${HOTPATCH_ARM64_SDK:-$PWD/.sdk-arm64}
scratch=$PWD/.build-arm64
products=$scratch/release
toolchain=$(dirname "$(readlink -f "$(command -v swiftc)")")
clang="$toolchain/clang --target=aarch64-linux-gnu --sysroot=$sdk/root -fuse-ld=lld -rtlib=libgcc -Wno-unknown-attributes"

# SwiftPM's own search would find the libraries of the machine that builds.
export PKG_CONFIG_PATH="$sdk/root/usr/lib/aarch64-linux-gnu/pkgconfig"
export PKG_CONFIG_LIBDIR=$PKG_CONFIG_PATH
export PKG_CONFIG_SYSROOT_DIR="$sdk/root"

# Optimised, for an emulator takes twenty times as long for the rest: all of it at length, and else what does the work (Package.swift).
# Without DWARF, which would be left out there (boot.sh).
build_arm64() {
    local strictness=(HOTPATCH_STRICT=1)
    [ -z "${LONG:-}" ] || strictness=(-u HOTPATCH_STRICT)
    env "${strictness[@]}" swift build -c release -Xswiftc -enable-testing -Xswiftc -gnone -Xswiftc -no-emit-module-separately-wmo \
        --swift-sdks-path "$sdk/sdks" --swift-sdk arm64 --static-swift-stdlib --scratch-path "$scratch" "$@"
}

# Swift for programs that have its runtime linked in.
compile_swift() {
    "$toolchain/swiftc" -target aarch64-unknown-linux-gnu -static-stdlib -resource-dir "$sdk/swift/swift_static" -use-ld=lld \
        -tools-directory "$toolchain" -ld-path="$toolchain/ld.lld" -sdk "$sdk/root" -module-cache-path "$sdk/modules" \
        -Xcc --sysroot -Xcc "$sdk/root" "$@"
}
link_swift() {
    compile_swift "$@" "-L$sdk/root/usr/lib/aarch64-linux-gnu" -lstdc++ -Xclang-linker -resource-dir -Xclang-linker "$sdk/swift/swift/clang"
}

emulate() { "$sdk/emulator/qemu-aarch64" -L "$sdk/root" "$@"; }
