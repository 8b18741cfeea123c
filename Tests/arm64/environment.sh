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

# Optimised: an emulator takes twenty times as long for the rest.
build_arm64() {
    swift build -c release -Xswiftc -enable-testing --swift-sdks-path "$sdk/sdks" --swift-sdk arm64 --static-swift-stdlib --scratch-path "$scratch" "$@"
}

emulate() { "$sdk/emulator/qemu-aarch64" -L "$sdk/root" "$@"; }
