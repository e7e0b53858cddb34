# shellcheck shell=bash
# The processes as s6 services: DIR/run/services/NAME is a service, DIR/run/services the scan directory.

# Number of consecutive failures after which a start counts as failed.
services_failures_max=3

services_dir() { echo "$data_dir/run/services"; }

# Creates the directory of the service NAME that runs COMMAND…; s6 finds it at the next scan.
services_lay_out() {
    local name=$1 target new
    shift
    target=$(services_dir)/$name
    new=$(services_dir)/.new.$name # hidden from the scan until it is complete
    rm -rf "$new"
    mkdir -p "$new/log"
    cp "$root/scripts/service/run" "$root/scripts/service/finish" "$new/"
    cp "$root/scripts/service/log-run" "$new/log/run"
    printf '%s\n' "$@" >"$new/argv"
    echo 9 >"$new/notification-fd" # lower descriptors are listening sockets
    echo 30000 >"$new/timeout-kill" # ms from the request to end to SIGKILL
    mv "$new" "$target"
}

services_lay_out_aggregator() {
    local -a options
    read -r -a options <<<"${settings[aggregator]}"
    services_lay_out aggregator "$bin_dir/trace-aggregator" --data "$data_dir" "${options[@]}"
}

services_lay_out_console() {
    local -a options
    read -r -a options <<<"${settings[console]}"
    services_lay_out console "$bin_dir/trace-console" --data "$data_dir" --pages "$root/deploy/console" "${options[@]}"
}

# HAProxy, as the child of a process of ours that reloads its files.
services_lay_out_edge() {
    local -a options
    read -r -a options <<<"${settings[edge]}"
    services_lay_out edge "$bin_dir/tracectl" edge run --data "$data_dir" "${options[@]}"
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

# Creates a further worker's service with the options of the resource's first worker, which runs.
services_lay_out_further_worker() {
    local name=$1 index
    local -a command
    mapfile -t command <"$(services_dir)/${name%.*}.0/argv"
    for ((index = 0; index + 1 < ${#command[@]}; index++)); do
        [ "${command[index]}" = --index ] && command[index + 1]=${name##*.}
    done
    services_lay_out "$name" "${command[@]}"
}

# Replaces the command of an existing service for its next start.
services_replace_command() {
    local name=$1 target
    shift
    target=$(services_dir)/$name/argv
    printf '%s\n' "$@" >"$target.new"
    mv "$target.new" "$target"
}

# Makes a service use the program in bin_dir at its next start.
services_use_programs() {
    local name=$1
    local -a command
    mapfile -t command <"$(services_dir)/$name/argv"
    command[0]=$bin_dir/$(basename "${command[0]}")
    services_replace_command "$name" "${command[@]}"
}

# Prints the names of the services that have a supervisor, one per line.
services_supervised() {
    local directory
    for directory in "$(services_dir)"/*/; do
        [ -d "$directory" ] && s6-svok "$directory" && basename "$directory"
    done
    return 0
}

services_workers() { services_supervised | grep -E '^[a-z]+\.[0-9]+$' || true; }

# Prints the names of those that not every cluster has, and that send and get no messages: the console and the edge.
services_others() { services_supervised | grep -xE 'console|edge' || true; }

services_exist() { [ -e "$(services_dir)/$1/argv" ]; }

# Prints one field of s6-svstat (up, ready, pid…), or `unknown` where the service is not supervised.
services_field() { s6-svstat -o "$2" "$(services_dir)/$1" 2>/dev/null || echo unknown; }

services_ready() { [ "$(services_field "$1" ready)" = true ]; }

# Returns whether the process NAME is down for good: a restart does not help until somebody has done what
# services_lost_reason says.
services_lost() { [ -e "$data_dir/run/$1.lost" ] && [ "$(services_field "$1" up)" = false ]; }

services_lost_reason() { cat "$data_dir/run/$1.lost"; }

services_failures() { cat "$(services_dir)/$1/failures" 2>/dev/null || echo 0; }

services_last_end() { cat "$(services_dir)/$1/last-end" 2>/dev/null || echo "an unknown cause"; }

# Returns when all NAMEs are ready, except lost workers, without which the others go on. Fails with a message when one
# keeps ending or SECONDS are over.
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
        # This fails at once while the supervisor is still starting.
        s6-svwait -U -t 500 "$(services_dir)/${waiting[0]}" >/dev/null 2>&1 || sleep 0.1
    done
}

# Prints the first lines of a process's log after its last start, which contain the cause, before any backtrace.
services_show_start() {
    local log=$data_dir/logs/$1/current line
    note "From $log:"
    line=$(grep -n ' starting: ' "$log" 2>/dev/null | tail -n 1 | cut -d: -f1) || line=''
    tail -n +"${line:-1}" "$log" 2>/dev/null | head -n 12 | sed 's/^/    /' >&2 || true
}

# Restarts a process, or starts one that is down. Returns when it is ready; fails where it is not ready within SECONDS.
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

# Stops all NAMEs and returns when they are down; fails where one does not end.
services_down() {
    [ $# -gt 0 ] || return 0
    local name
    local -a directories=()
    for name; do
        # A service whose directory is gone cannot be controlled; supervision_stop ends it.
        s6-svc -d "$(services_dir)/$name" 2>/dev/null && directories+=("$(services_dir)/$name")
    done
    [ ${#directories[@]} -gt 0 ] || return 0
    # A little more than timeout-kill, after which s6 kills. Processes that have ended are not waited for again.
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

# Removes stopped services from supervision, with their directories.
services_remove() {
    [ $# -gt 0 ] || return 0
    local name directory pid
    local -a pids=()
    for name; do
        directory=$(services_dir)/$name
        for pid in $(services_supervisor_pids "$directory"); do pids+=("$pid"); done
        # Out of the scan directory first, so that s6-svscan does not start it again.
        mv "$directory" "$(services_dir)/.old.$name"
    done
    s6-svscanctl -an "$(services_dir)" || return 1
    processes_wait_ended 20 "${pids[@]}" || return 1
    for name; do rm -rf "$(services_dir)/.old.$name"; done
}

# Prints the process ids of s6, including loggers, whose working directory is DIRECTORY or below, even if it was
# removed.
services_supervisor_pids() {
    local directory=$1 link target
    find /proc/[0-9]*/cwd -maxdepth 0 -printf '%p %l\n' 2>/dev/null | while read -r link target; do
        case ${target% (deleted)}/ in
            "$directory"/*) link=${link#/proc/} && echo "${link%/cwd}" ;;
        esac
    done
}

# Returns whether s6 supervises a removed directory, so that its services cannot be controlled any more.
services_orphaned() {
    local pid
    for pid in $(services_supervisor_pids "$(services_dir)"); do
        [[ $(readlink "/proc/$pid/cwd") != *' (deleted)' ]] || return 0
    done
    return 1
}
