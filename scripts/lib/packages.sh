# shellcheck shell=bash
# Debian packages and what the tests take from PyPI. Everything that is there already costs no network.

# What the processes are built from and supervised by.
run_packages=(libgrpc-dev libzmq3-dev libprotobuf-c-dev zlib1g-dev s6)
# What only the checks need: the generators of the committed C, the linter, a real scraper.
# shellcheck disable=SC2034 # read by scripts/test
test_packages=(protobuf-c-compiler protobuf-compiler shellcheck prometheus procps)

packages_missing() {
    local package
    for package; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
            installed) ;;
            *) printf '%s\n' "$package" ;;
        esac
    done
}

# Installs those of the named packages that are missing.
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
    "${become[@]}" apt-get update -qq >&2 || fail "apt-get update failed"
    packages_without_services "${missing[@]}" || fail "apt-get install ${missing[*]} failed"
}

# Some packages start a service when they are installed (prometheus): policy-rc.d forbids it meanwhile.
packages_without_services() {
    local policy=/usr/sbin/policy-rc.d written=no status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${become[@]}" tee "$policy" >/dev/null
        "${become[@]}" chmod 755 "$policy"
        written=yes
    fi
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >&2 || status=1
    [ "$written" = no ] || "${become[@]}" rm -f "$policy"
    return "$status"
}

# A private Python with what the end-to-end tests import, in .venv; made anew when the list changes.
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
