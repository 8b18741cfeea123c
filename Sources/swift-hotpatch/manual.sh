#!/usr/bin/env bash
# Writes the manual page of the command, from what the command says of itself.
# Usage: manual.sh COMMAND >swift-hotpatch.1
set -euo pipefail
command=$1
export COLUMNS=80

# A help text in the words of roff, without its usage where there are subcommands.
section() {
    "$command" "$@" --help | awk -v nested="$#" '
        function roff(text) {
            gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text)
            return text ~ /^[.\x27]/ ? "\\&" text : text
        }
        /^OVERVIEW: / { sub(/^OVERVIEW: /, ""); part = "overview" }
        /^USAGE: / { sub(/^USAGE: /, ""); part = "usage"; if (nested) print ".PP\n.B " roff($0); next }
        /^(ARGUMENTS|OPTIONS):$/ { part = "options"; next }
        /^[A-Z]+:$/ { part = "rest" }
        part == "overview" && NF { print roff($0) }
        part == "overview" && !NF { print ".PP" }
        part == "options" && /^  [^ ]/ {
            at = match(substr($0, 3), /  +/)
            name = at ? substr($0, 3, at - 1) : substr($0, 3)
            print ".TP\n.B " roff(name)
            if (at) { text = substr($0, 3 + at); sub(/^ +/, "", text); print roff(text) }
        }
        part == "options" && /^   +/ { sub(/^ +/, ""); print roff($0) }'
}

cat <<END
.TH SWIFT\-HOTPATCH 1 "" "swift\-hotpatch $("$command" --version)" "User Commands"
.SH NAME
swift\-hotpatch \- change the functions of a running process, without restarting it
.SH SYNOPSIS
.B swift\-hotpatch
.I command
.RI [ options ]
.SH DESCRIPTION
END
section
echo ".SH COMMANDS"
for name in $("$command" --help | awk '/^SUBCOMMANDS:/ { listed = 1; next } listed && /^  [a-z]/ { print $1 }'); do
    echo ".SS $name"
    section "$name"
done
cat <<'END'
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 2
Refused; the target is untouched.
.TP
.B 3
Failed; the target was rolled back.
.TP
.B 4
The target may be inconsistent. Restart it when you can.
.TP
.B 64
Usage.
.SH EXAMPLES
What a library would replace in process 4711, then to do it, and to undo it:
.PP
.nf
swift\-hotpatch apply fix.so \-\-pid 4711 \-\-dry\-run
swift\-hotpatch apply fix.so \-\-pid 4711
swift\-hotpatch list \-\-pid 4711
swift\-hotpatch revert \-\-pid 4711 \-\-all
.fi
.SH SEE ALSO
.BR ptrace (2),
.BR dlopen (3),
.BR proc (5)
END
