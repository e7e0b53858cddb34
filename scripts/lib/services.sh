# shellcheck shell=bash
# The processes as s6 services: DIR/run/services/NAME is one, DIR/run/services the scan directory.

# Failures in a row after which a start counts as failed.
services_failures_max=3

services_dir() { echo "$data_dir/run/services"; }

# Lays out the service NAME that runs COMMAND…; s6 sees it at the next scan.
services_lay_out() {
    local name=$1 target new
    shift
    target=$(services_dir)/$name
    new=$(services_dir)/.new.$name # hidden from the scan until it is whole
    rm -rf "$new"
    mkdir -p "$new/log"
    cp "$root/scripts/service/run" "$root/scripts/service/finish" "$new/"
    cp "$root/scripts/service/log-run" "$new/log/run"
    printf '%s\n' "$@" >"$new/argv"
    echo 9 >"$new/notification-fd" # below are the listening sockets
    echo 30000 >"$new/timeout-kill" # ms from the order to end to SIGKILL
    mv "$new" "$target"
}

services_lay_out_aggregator() {
    local -a options
    read -r -a options <<<"${settings[aggregator]}"
    services_lay_out aggregator "$bin_dir/trace-aggregator" --data "$data_dir" "${options[@]}"
}

services_lay_out_router() {
    local -a options
    read -r -a options <<<"${settings[router]}"
    rm -f "$data_dir/run/router.lost" # it finds out itself
    services_lay_out router "$bin_dir/trace-router" --data "$data_dir" --workers "${settings[workers]}" \
        "${options[@]}"
}

services_lay_out_worker() {
    local name=$1
    local -a options
    read -r -a options <<<"${settings[worker]}"
    rm -f "$data_dir/run/$name.lost" # it finds out itself
    services_lay_out "$name" "$bin_dir/trace-worker" --data "$data_dir" \
        --resource "${name%.*}" --index "${name##*.}" "${options[@]}"
}

# As the first worker of the resource, which runs, is.
services_lay_out_further_worker() {
    local name=$1 index
    local -a command
    mapfile -t command <"$(services_dir)/${name%.*}.0/argv"
    for ((index = 0; index + 1 < ${#command[@]}; index++)); do
        [ "${command[index]}" = --index ] && command[index + 1]=${name##*.}
    done
    services_lay_out "$name" "${command[@]}"
}

# The command of a service that is there already, for its next start.
services_replace_command() {
    local name=$1 target
    shift
    target=$(services_dir)/$name/argv
    printf '%s\n' "$@" >"$target.new"
    mv "$target.new" "$target"
}

# Has a service take its program from bin_dir at its next start.
services_use_programs() {
    local name=$1
    local -a command
    mapfile -t command <"$(services_dir)/$name/argv"
    command[0]=$bin_dir/$(basename "${command[0]}")
    services_replace_command "$name" "${command[@]}"
}

# Names of the services that have a supervisor, one a line.
services_supervised() {
    local directory
    for directory in "$(services_dir)"/*/; do
        [ -d "$directory" ] && s6-svok "$directory" && basename "$directory"
    done
    return 0
}

services_workers() { services_supervised | grep -E '^[a-z]+\.[0-9]+$' || true; }

services_exist() { [ -e "$(services_dir)/$1/argv" ]; }

# Prints one field as s6-svstat names it (up, ready, pid…), `unknown` where nothing supervises it.
services_field() { s6-svstat -o "$2" "$(services_dir)/$1" 2>/dev/null || echo unknown; }

services_ready() { [ "$(services_field "$1" ready)" = true ]; }

# Whether the worker NAME has ended for good: starting it again changes nothing before somebody has done what
# services_lost_reason says.
services_lost() { [ -e "$data_dir/run/$1.lost" ] && [ "$(services_field "$1" up)" = false ]; }

services_lost_reason() { cat "$data_dir/run/$1.lost"; }

services_failures() { cat "$(services_dir)/$1/failures" 2>/dev/null || echo 0; }

services_last_end() { cat "$(services_dir)/$1/last-end" 2>/dev/null || echo "an unknown cause"; }

# Returns when all NAMEs are ready, but for workers that are lost: the others go on without them. Fails, with the
# reason said, when one keeps ending or SECONDS are over.
services_wait_ready() {
    local limit=$1 name deadline
    shift
    local said=$SECONDS
    deadline=$((SECONDS + limit))
    while :; do
        local -a waiting=()
        for name; do services_ready "$name" || services_lost "$name" || waiting+=("$name"); done
        [ ${#waiting[@]} -gt 0 ] || return 0
        for name in "${waiting[@]}"; do
            [ "$(services_failures "$name")" -lt "$services_failures_max" ] && continue
            complain "$name does not start: it ended $(services_failures "$name") times in a row," \
                "by $(services_last_end "$name")"
            services_show_start "$name"
            return 1
        done
        if ((SECONDS >= deadline)); then
            complain "not ready after $limit s: ${waiting[*]}"
            for name in "${waiting[@]:0:3}"; do services_show_start "$name"; done
            return 1
        fi
        if ((SECONDS >= said + 5)); then
            said=$SECONDS
            note "Waiting until these are ready: ${waiting[*]}"
        fi
        # Fails at once while the supervisor is only starting.
        s6-svwait -U -t 500 "$(services_dir)/${waiting[0]}" >/dev/null 2>&1 || sleep 0.1
    done
}

# What a process said first after its last start: there stands the cause, before any backtrace.
services_show_start() {
    local log=$data_dir/logs/$1/current line
    note "From $log:"
    line=$(grep -n ' starting: ' "$log" 2>/dev/null | tail -n 1 | cut -d: -f1) || line=''
    tail -n +"${line:-1}" "$log" 2>/dev/null | head -n 12 | sed 's/^/    /' >&2 || true
}

# Ends a process and starts it again, or starts one that is down; returns when it is ready, fails where it is not
# within SECONDS.
services_start_anew() {
    local limit=$1 directory
    directory=$(services_dir)/$2
    rm -f "$data_dir/run/$2.lost" # it finds out itself
    if [ "$(services_field "$2" up)" = true ]; then
        s6-svc -wR -T $((limit * 1000)) -ur "$directory" >/dev/null 2>&1
    else
        s6-svc -wU -T $((limit * 1000)) -u "$directory" >/dev/null 2>&1
    fi
}

# Orders all NAMEs down and returns when they are; fails where one still is not.
services_down() {
    [ $# -gt 0 ] || return 0
    local name
    local -a directories=()
    for name; do
        # One that nobody can speak with any more is left to supervision_stop.
        s6-svc -d "$(services_dir)/$name" 2>/dev/null && directories+=("$(services_dir)/$name")
    done
    [ ${#directories[@]} -gt 0 ] || return 0
    # A little over timeout-kill, after which s6 kills; who ends is not waited for again.
    local deadline=$((SECONDS + 40))
    until s6-svwait -D -t 5000 "${directories[@]}" >/dev/null 2>&1; do
        local -a left=()
        for name; do [ "$(services_field "$name" up)" = false ] || left+=("$name"); done
        [ ${#left[@]} -gt 0 ] || return 0
        if ((SECONDS >= deadline)); then
            complain "does not end: ${left[*]}"
            return 1
        fi
        note "Waiting for ${left[*]} to end; killed after 30 s."
    done
}

# Takes stopped services out of supervision and removes them.
services_remove() {
    [ $# -gt 0 ] || return 0
    local name directory pid
    local -a pids=()
    for name; do
        directory=$(services_dir)/$name
        for pid in $(services_supervisor_pids "$directory"); do pids+=("$pid"); done
        # Out of the scan first, so that s6-svscan does not start it again.
        mv "$directory" "$(services_dir)/.old.$name"
    done
    s6-svscanctl -an "$(services_dir)" || return 1
    processes_wait_ended 20 "${pids[@]}" || return 1
    for name; do rm -rf "$(services_dir)/.old.$name"; done
}

# The processes of s6, loggers' included, that work in DIRECTORY or below, also where it was removed.
services_supervisor_pids() {
    local directory=$1 link target
    find /proc/[0-9]*/cwd -maxdepth 0 -printf '%p %l\n' 2>/dev/null | while read -r link target; do
        case ${target% (deleted)}/ in
            "$directory"/*) link=${link#/proc/} && echo "${link%/cwd}" ;;
        esac
    done
}

# Whether s6 supervises something in a directory that was removed, so that nobody can speak with it any more.
services_orphaned() {
    local pid
    for pid in $(services_supervisor_pids "$(services_dir)"); do
        [[ $(readlink "/proc/$pid/cwd") != *' (deleted)' ]] || return 0
    done
    return 1
}
