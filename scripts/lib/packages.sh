# shellcheck shell=bash
# Installs Debian packages and the tests' Python packages. What is installed already needs no network.

# Packages to build the programs.
# shellcheck disable=SC2034 # read by the scripts that source this
build_packages=(libgrpc-dev libzmq3-dev libprotobuf-c-dev zlib1g-dev libzstd-dev libcurl4-openssl-dev libnats-dev)
# What supervises the processes, and what the console's pages draw with.
# shellcheck disable=SC2034
run_packages=(s6 libjs-dygraphs libjs-d3)
# What only the checks need: the generators of the committed C, the linter, what reads units and processes,
# what lets system calls fail, what reads files that are compressed, a program whose recordings are imported, what makes
# other languages' locales, what makes a clean Debian and what finds faults in a package, a browser that tests can drive,
# and what stands in front of a cluster on an open network.
# shellcheck disable=SC2034 # read by scripts/test
test_packages=(protobuf-c-compiler protobuf-compiler shellcheck systemd procps strace zstd nodejs locales
    mmdebstrap lintian chromium chromium-driver haproxy)

packages_missing() {
    local package installed
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null) || true # some are not known
    for package; do
        [[ $'\n'$installed$'\n' == *$'\n'"$package installed"$'\n'* ]] || printf '%s\n' "$package"
    done
}

# Installs the named packages that are missing.
packages_install() {
    command -v dpkg-query >/dev/null ||
        fail "this is no Debian system; install what corresponds to: $*"
    local missing
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0

    local become=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "packages are missing; as root: apt-get install ${missing[*]}"
        become=(sudo)
    fi
    step "Installing Debian packages: ${missing[*]}"
    packages_quietly "${become[@]}" apt-get update
    packages_quietly "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}

# Runs an apt command and shows its output only when it fails.
packages_quietly() {
    local said
    said=$("$@" 2>&1) && return 0
    printf '%s\n' "$said" >&2
    fail "$* failed"
}

# Unpacks a Prometheus server and promtool under .build/tools: installing the package would also start a server, now and
# at every boot. Sets prometheus_dir.
prometheus_unpack() {
    prometheus_dir=$root/.build/tools/usr/bin
    [ -x "$prometheus_dir/prometheus" ] && [ -x "$prometheus_dir/promtool" ] && return 0
    step "Unpacking Debian's prometheus into .build/tools"
    local here
    here=$(mktemp -d)
    chmod 755 "$here" # apt downloads as a user of its own
    if ! (cd "$here" && apt-get download -qq prometheus >/dev/null 2>&1); then
        local become=()
        [ "$(id -u)" -eq 0 ] || become=(sudo)
        packages_quietly "${become[@]}" apt-get update
        (cd "$here" && packages_quietly apt-get download -qq prometheus)
    fi
    mkdir -p "$root/.build/tools"
    dpkg -x "$here"/prometheus_*.deb "$root/.build/tools" || fail "prometheus cannot be unpacked"
    rm -rf "$here"
}

# Creates a private Python environment in .venv with the packages of the end-to-end tests; it is recreated when the list
# changes.
python_environment() {
    local requirements=$root/Tests/EndToEnd/requirements.txt venv=$root/.venv
    if cmp -s "$requirements" "$venv/requirements.txt" && "$venv/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    command -v python3 >/dev/null || packages_install python3 python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages_install python3-venv
    step "Installing the tests' Python packages into .venv"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 -m venv failed"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
        fail "pip could not install $requirements"
    cp "$requirements" "$venv/requirements.txt"
}
