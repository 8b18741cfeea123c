# Packages of Debian trixie for any architecture, from the mirror and under the keyring of this machine's own apt sources: only the suite
# differs, and nothing is installed. Sourced. Whoever sources this has `fail WORDS`, which ends with 77.

suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Finds what packages are fetched and unpacked with, before anything is made.
find_mirror() {
    local tool
    for tool in apt-get dpkg-deb; do command -v $tool >/dev/null || fail "$tool is missing (make setup)."; done
    [ -r $keyring ] || fail "$keyring is missing: this needs Debian's keyring."
    mirror=$( {
        sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
        awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) print $i }' /etc/apt/sources.list 2>/dev/null || true
    } | grep -E '/debian/?$' | head -n 1)
    [ -n "$mirror" ] || fail "No Debian mirror in this machine's apt sources."
}

# Makes an apt of its own: lists, cache, and a machine on which nothing is installed. Goes to its `debs`, where packages are downloaded to.
# Usage: open_apt ARCHITECTURE DIRECTORY
open_apt() {
    local apt=$2
    mkdir -p "$apt"/{etc/apt/apt.conf.d,etc/apt/preferences.d,var/lib/apt/lists/partial,var/cache/apt/archives/partial} "$apt/debs"
    : >"$apt/status"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/etc/apt/sources.list"
    cat >"$apt/apt.conf" <<END
Dir "$apt/";
Dir::State::status "$apt/status";
APT::Architecture "$1";
APT::Architectures { "$1"; };
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
END
    export APT_CONFIG="$apt/apt.conf"
    cd "$apt/debs"
    apt-get -qq update || fail "$suite could not be read from this machine's mirror."
}
