#!/usr/bin/env bash
# Runs a program of the call generator on a booted arm64 machine. Usage: run-arm64.sh NAME=VALUE… PROGRAM
# Prints what it prints, and ends with 0 where it did.
set -uo pipefail
cd "$(dirname "$0")/../.."
variables=("${@:1:$#-1}")
program=${!#}
KEEP_DEBUG=yes Tests/arm64/boot.sh cloud 600 "env ${variables[*]} /tests/$(basename "$program")" "$program" | grep -v '^the command ended\|reboot: Power down'
exit "${PIPESTATUS[0]}"
