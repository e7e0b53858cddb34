# shellcheck shell=bash
# Finds the programs, and builds them when a source has changed.

programs=(trace-router trace-worker trace-aggregator trace-console tracectl)

# Sets bin_dir to the directory of the programs. TRACE_BIN_DIR is used as it is; otherwise it is the release build's
# directory, which is built first where a source is newer than the last build.
programs_build() {
    if [ -n "${TRACE_BIN_DIR:-}" ]; then
        bin_dir=$TRACE_BIN_DIR
        programs_check
        bin_dir=$(cd "$bin_dir" && pwd -P)
        return 0
    fi
    programs_locate_release
    programs_current && return 0
    command -v swift >/dev/null ||
        fail "no Swift toolchain on the PATH; Swift 6.2 or later: https://www.swift.org/install/linux"

    step "Building (release; the first time takes some minutes)"
    local began
    began=$(mktemp)
    # With the Swift runtime inside, so that the programs run where there is no Swift; without --product, as that takes one.
    if ! (cd "$root" && TRACE_COMMIT=$(build_commit) swift build -c release --static-swift-stdlib >&2); then
        rm -f "$began"
        fail "the build failed, see above"
    fi
    programs_locate_release
    # The time of the build's start, so that a file saved during the build counts as newer.
    touch -r "$began" "$bin_dir/cluster-build.stamp"
    rm -f "$began"
}

# Sets bin_dir without building: to the programs of the cluster that runs in the data directory, if there is one.
programs_locate() {
    # shellcheck disable=SC2154 # of settings.sh
    local argv=$data_dir/run/services/router/argv
    if [ -n "${TRACE_BIN_DIR:-}" ]; then
        bin_dir=$(realpath -- "$TRACE_BIN_DIR")
    elif [ -r "$argv" ]; then
        bin_dir=$(dirname "$(head -n 1 "$argv")")
    else
        programs_locate_release
    fi
}

programs_check() {
    local program
    for program in "${programs[@]}"; do
        [ -x "$bin_dir/$program" ] || fail "$bin_dir has no program $program"
    done
}

programs_locate_release() {
    if [ -e "$root/.build/release" ]; then
        bin_dir=$(cd "$root/.build/release" && pwd -P)
    elif command -v swift >/dev/null; then
        bin_dir=$(cd "$root" && swift build -c release --static-swift-stdlib --show-bin-path) || return 1
    else
        bin_dir=$root/.build/release
    fi
}

programs_current() {
    local program stamp=$bin_dir/cluster-build.stamp
    for program in "${programs[@]}"; do
        [ -x "$bin_dir/$program" ] || return 1
    done
    [ -e "$stamp" ] || return 1
    [ -z "$(find "$root/Sources" "$root/Package.swift" -newer "$stamp" -print -quit)" ]
}
