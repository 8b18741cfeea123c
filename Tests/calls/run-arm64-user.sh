#!/usr/bin/env bash
# Runs a program of the call generator under user-mode qemu for arm64. Usage: run-arm64-user.sh NAME=VALUE… PROGRAM
set -uo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../arm64/environment.sh
. Tests/arm64/environment.sh
exec env ONE_THREAD=yes "${@:1:$#-1}" "$sdk/emulator/qemu-aarch64" -L "$sdk/root" "${!#}"
