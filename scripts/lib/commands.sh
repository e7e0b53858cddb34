# shellcheck shell=bash
# The commands of scripts/cluster, a function each.

ready_seconds=60
catch_up_seconds=600
scale_seconds=600
drain_seconds=${DRAIN_TIMEOUT:-600}
# Time limit of a drain that cannot complete because a worker is lost.
lost_drain_seconds=30

# MARK: up

command_up() {
    local -a needed=("${run_packages[@]}")
    # Programs that are built already need the libraries alone, which their own package brings.
    [ -n "${TRACE_BIN_DIR:-}" ] || needed+=("${build_packages[@]}")
    packages_install "${needed[@]}"
    settings_make_data_dir
    supervision_lock
    if [ -n "$(services_supervised)" ]; then
        cluster_report_running "$@"
        return
    fi
    programs_build
    settings_load_remembered
    settings_resolve "$@"
    cluster_start_and_scale || return 1
    supervision_unlock
    if [ -n "${flags[foreground]:-}" ]; then
        cluster_stay_in_front
    else
        cluster_describe
    fi
}

# The slots of a data directory stay with their workers until they are moved. So the cluster starts with those workers
# and is then scaled to the wanted numbers.
cluster_start_and_scale() {
    local wanted=${settings[workers]}
    if [ -z "${settings[owners]}" ]; then
        # The router is about to store the workers permanently; other settings are remembered once the cluster has started.
        (remembered=() && settings_save "$wanted")
        settings[owners]=$wanted
    else
        settings[workers]=${settings[owners]}
    fi
    cluster_start || return 1
    if [ "${settings[workers]}" != "$wanted" ] || [ -n "${settings[scaling]}" ]; then
        if [ -n "$(workers_lost)" ]; then
            complain "not scaled to $wanted, as no slot of $(workers_lost) can move"
            return 0
        fi
        cluster_scale "$wanted"
    fi
    settings_save "${settings[workers]}"
}

cluster_start() {
    if cluster_has_edge; then packages_install haproxy; fi
    step "Starting the cluster in $data_dir"
    supervision_stop || return 1 # usually nothing; a crash may have left processes
    local -a ports=(--grpc "${settings[grpc]}" --metrics "${settings[metrics]}")
    cluster_has_console && ports+=(--console "${settings[console_address]}")
    [[ " ${settings[edge]} " =~ ' --plain '([^ ]+) ]] && ports+=(--plain "${BASH_REMATCH[1]}")
    "$bin_dir/tracectl" ports "${ports[@]}" || {
        complain "the cluster was not started"
        return 1
    }
    mkdir -p "$(services_dir)"
    local name started=no
    local -a others=()
    if cluster_has_console; then
        services_lay_out_console
        others+=(console)
    fi
    if cluster_has_edge; then
        services_lay_out_edge
        others+=(edge)
    fi
    trap 'supervision_stop; exit 130' INT TERM
    services_lay_out_aggregator
    services_lay_out_router
    for name in $(workers_names); do services_lay_out_worker "$name"; done
    rm -f "$data_dir/run/last-stop"
    # shellcheck disable=SC2046 # names hold no spaces
    supervision_start && services_wait_ready "$ready_seconds" aggregator router $(workers_names) "${others[@]}" &&
        ! router_lost_complaint &&
        { [ -n "${settings[scaling]}" ] || cluster_wait_connected; } && started=yes
    trap - INT TERM
    if [ "$started" = no ]; then
        supervision_stop || true
        complain "the cluster was not started; all logs are under $data_dir/logs"
        return 1
    fi
}

# Returns whether the settings name a console.
cluster_has_console() { [ "${settings[console_address]}" != off ]; }

# Returns whether HAProxy stands in front of the others.
cluster_has_edge() { [ -n "${settings[edge]}" ]; }

# Returns when the router takes batches and exactly the wanted workers are connected, except lost ones. Ready processes
# may not be connected yet.
cluster_wait_connected() {
    "$bin_dir/tracectl" wait --data "$data_dir" --workers "${settings[workers]}" --timeout "$ready_seconds" >&2
}

# Runs `up` with OPTIONS where a cluster runs already.
cluster_report_running() {
    local name status=0
    local -a ill=()
    programs_locate
    settings_load_remembered
    for name in aggregator router $(workers_names) $(services_others); do services_ready "$name" || ill+=("$name"); done
    if [ ${#ill[@]} -gt 0 ]; then
        complain "a cluster runs in $data_dir already, but is not healthy; not ready: ${ill[*]}"
        lost_complaints
        note "See scripts/cluster logs ${ill[0]}, or end it with scripts/cluster stop."
        return 1
    fi
    if [ -n "${flags[foreground]:-}" ]; then
        complain "a cluster runs in $data_dir already; it cannot be attached with --foreground"
        return 1
    fi
    echo "A cluster runs in $data_dir already, and is ready."
    "$bin_dir/tracectl" config compare --data "$data_dir" "$@" || status=$?
    [ "$status" -ne 1 ] || complain "the settings above were not applied, as the cluster runs"
    return "$status"
}

cluster_describe() {
    local here=''
    [ -z "${flags[data]:-}" ] || here=" --data $(printf %q "${flags[data]}")"
    local page=${settings[metrics]} what='page for people' scheme=http secure=''
    if [ "${settings[tls]}" = on ]; then scheme=https secure=' over TLS'; fi
    if cluster_has_console; then page=${settings[console_address]} what='the console'; fi
    cat <<END
${bold}The cluster is ready.${plain}
  look at   $scheme://$page/   ($what)
  send to   ${settings[grpc]}   (gRPC${secure}, NeuTracer.TracerService)
  scrape    $scheme://${settings[metrics]}/metrics   (also /status, /healthz, /readyz)
  output    $data_dir/output
  logs      $data_dir/logs
  status    scripts/cluster status$here
  stop      scripts/cluster stop$here
END
    warn_of_open_networks
    lost_complaints
}

# Returns whether an address is reachable only from this machine.
is_loopback() {
    case ${1%:*} in
        127.* | localhost | '[::1]') return 0 ;;
        *) return 1 ;;
    esac
}

warn_of_open_networks() {
    [ "${settings[tls]}" = off ] || return 0
    if cluster_has_edge; then
        local address
        for address in "${settings[grpc]}" "${settings[metrics]}" "${settings[console_address]}"; do
            [ "$address" != off ] && ! is_loopback "$address" || continue
            warn "other machines may reach $address, without TLS or password (--tls-cert, --tls-client-ca, --token-file)."
        done
        return 0
    fi
    if ! is_loopback "${settings[grpc]}"; then
        warn "other machines may reach ${settings[grpc]}, without TLS or password. Debian's gRPC 1.51 has vulnerabilities"
        note "  (CVE-2023-44487, CVE-2023-33953, CVE-2023-4785): any machine that reaches the port can exhaust the memory."
        note "  Let only your agents' machines reach it (firewall), or put HAProxy in front of it (package haproxy, --edge on)."
    fi
    local address
    for address in "${settings[metrics]}" "${settings[console_address]}"; do
        [ "$address" != off ] && ! is_loopback "$address" || continue
        warn "other machines may reach $address, without TLS or password, and read what is shown there."
        note "  Let only your monitoring reach it (firewall), or listen on 127.0.0.1 behind a proxy with mTLS."
    done
}

# For containers: waits for the end of the cluster. Ctrl-C or SIGTERM stops it in order, a second one ends it at once.
cluster_stay_in_front() {
    local signalled='' stop_pid status
    rm -f "$data_dir/run/last-stop"
    trap 'signalled=yes' INT TERM
    cluster_describe
    while [ -z "$signalled" ] && [ -e "/proc/$supervisor_pid" ]; do
        wait "$supervisor_pid" || true
    done
    if [ -z "$signalled" ]; then
        # Another `stop` leaves its result when it has finished; any other end was not requested.
        [ -d "$data_dir/run" ] || fail "$data_dir/run was removed, so all processes ended; the next start goes on from the log"
        supervision_lock
        [ "$(cat "$data_dir/run/last-stop" 2>/dev/null)" = complete ]
        return
    fi
    note "Stopping; another signal ends at once."
    # The stop has its own process group, so that Ctrl-C does not reach it and all of it can be ended.
    set -m
    command_stop &
    stop_pid=$!
    set +m
    trap '{ kill -KILL -- -"$stop_pid"; wait "$stop_pid"; } 2>/dev/null || true; cluster_kill; exit 1' INT TERM
    while :; do
        wait "$stop_pid" && status=0 || status=$?
        [ -e "/proc/$stop_pid" ] && ! processes_zombie "$stop_pid" || return "$status"
    done
}

# Ends every process at once, without a drain. What was acknowledged stands in the log.
cluster_kill() {
    note "Ended at once; the next start goes on from the log."
    local name pid
    local -a pids=()
    supervision_running && s6-svscanctl -t "$(services_dir)"
    for name in $(services_supervised); do
        pid=$(services_field "$name" pid)
        s6-svc -xdk "$(services_dir)/$name" 2>/dev/null || true
        [ "$pid" = -1 ] || pids+=("$pid")
    done
    processes_wait_ended 5 "${pids[@]}" || true
}

# MARK: stop

command_stop() {
    if services_orphaned; then
        supervision_stop || return 1
        fail "$data_dir/run was removed under the cluster, so its processes were ended without finalizing;" \
            "the log keeps everything for the next start (up, then stop again)"
    fi
    if [ ! -d "$(services_dir)" ]; then
        cluster_nothing_to_stop
        return
    fi
    supervision_lock_to_stop
    if [ -z "$(services_supervised)" ]; then
        supervision_stop || return 1
        cluster_nothing_to_stop
        return
    fi
    programs_locate
    local status=0
    cluster_drain || status=1
    cluster_end_processes || status=1
    if [ "$status" -eq 0 ]; then
        echo complete >"$data_dir/run/last-stop"
        echo "Stopped; everything received is under $data_dir/output."
    else
        echo incomplete >"$data_dir/run/last-stop"
        complain "stopped, but not everything is finalized; the log keeps it for the next start (up, then stop again)"
    fi
    return "$status"
}

# Fails where the last cluster did not end in order, for example because the machine went down: some of its events may
# be only in the log.
cluster_nothing_to_stop() {
    if [ -e "$data_dir/manifest" ] && [ "$(cat "$data_dir/run/last-stop" 2>/dev/null)" != complete ]; then
        complain "no cluster runs in $data_dir, and the last one did not end in order: what it received and did not" \
            "write out is in the log (up, then stop again)"
        return 1
    fi
    echo "No cluster runs in $data_dir."
}

cluster_drain() {
    if ! services_ready router; then
        complain "the router is not ready, so nothing can be finalized"
        return 1
    fi
    local limit=${flags[timeout]:-$drain_seconds}
    if [ -n "$(workers_lost)" ]; then
        lost_complaints
        limit=$((limit < lost_drain_seconds ? limit : lost_drain_seconds))
    fi
    step "Writing out everything received"
    # The router ends after the drain and must not be restarted.
    s6-svc -O "$(services_dir)/router"
    "$bin_dir/tracectl" drain --data "$data_dir" --timeout "$limit" >&2 && return 0
    complain "the cluster could not be drained"
    return 1
}

# Ends the router first, then the workers, then the aggregator: each outlives the processes that send to it. Console and
# edge end with the last; calls that come meanwhile wait in the edge.
cluster_end_processes() {
    local status=0 name
    local -a names
    mapfile -t names < <(services_workers)
    services_down router || status=1
    services_down "${names[@]}" || status=1
    # shellcheck disable=SC2046 # names without spaces
    services_down aggregator $(services_others) || status=1
    supervision_stop || status=1
    return "$status"
}

# MARK: scale

command_scale() {
    cluster_require_running
    supervision_lock
    supervision_running || fail "the supervisor of $data_dir was killed; run stop, then up"
    programs_locate
    settings_load_remembered --scale "$1"
    [ -z "$(workers_lost)" ] || fail "not scaled, as no slot of $(workers_lost) can move: see status"
    cluster_scale "${settings[workers]}"
    echo "Scaled: ${settings[workers]}"
    scale_warn
}

# Warns where a configuration file sets other numbers, which win at the next start.
scale_warn() {
    local next
    next=$("$bin_dir/tracectl" config export --data "$data_dir" 2>/dev/null | sed -n 's/^workers=//p') || return 0
    [ "$next" = "${settings[workers]}" ] ||
        note "The next up scales to $next, which the configuration file sets (tracectl config show)."
}

# Scales to WORKERS: starts the missing workers, moves the slots, ends the surplus workers. Interrupted at any point,
# this leaves the slots where they were or where they go, with all workers of both running; the same command then
# continues.
cluster_scale() {
    local name
    settings[workers]=$1
    settings_save "${settings[owners]}" "${settings[workers]}"

    local -a wanted new=() retired=()
    mapfile -t wanted < <(workers_names)
    for name in "${wanted[@]}"; do services_exist "$name" || new+=("$name"); done
    for name in $(services_workers); do
        [[ " ${wanted[*]} " == *" $name "* ]] || retired+=("$name")
    done

    for name in "${new[@]}"; do services_lay_out_further_worker "$name"; done
    if [ ${#new[@]} -gt 0 ]; then
        step "Starting ${new[*]}"
        s6-svscanctl -a "$(services_dir)"
        services_wait_ready "$ready_seconds" "${new[@]}" || cluster_scale_undo "${new[@]}"
        if [ -n "$(workers_lost)" ]; then
            lost_complaints
            cluster_scale_undo "${new[@]}"
        fi
    fi
    step "Moving slots"
    cluster_move_slots || {
        lost_complaints
        fail "the slots may have moved or not, and no worker was retired; repeat the same scale to continue"
    }
    # From here on, the router and the cluster start with the new numbers.
    settings_save "${settings[workers]}"
    cluster_rewrite_router_command
    services_down "${retired[@]}" && services_remove "${retired[@]}" ||
        fail "the slots moved, but a retired worker does not end: ${retired[*]}"
    cluster_wait_connected || exit 1
}

# Moves the slots for all resources, which also completes an interrupted scale. A router that is killed meanwhile either
# has the move in its log or not; asked again, it continues.
cluster_move_slots() {
    local _ status
    for _ in 1 2 3; do
        status=0
        cluster_ask_for_move || status=$?
        [ "$status" -ne 0 ] || return 0
        # 3: timed out, or given up for a stop; tracectl has said so.
        [ "$status" -ne 3 ] || return 1
        supervision_stop_wanted && return 1
        [ -z "$(workers_lost)" ] || return 1
        services_wait_ready "$ready_seconds" router || return 1
    done
    return 1
}

# Returns when the slots have moved, which waits for workers that do not start; fails where the cluster is to stop
# meanwhile.
cluster_ask_for_move() {
    cluster_unless_stopping scale scale "${settings[workers]}" --timeout "${flags[timeout]:-$scale_seconds}"
}

# Runs tracectl with ARGUMENTS for the command WHAT, which gives up where the cluster is to stop meanwhile. In the
# background, so that a signal to this script ends it at once. A scale is given up also where a worker turns out to be
# lost, whose slots cannot move: only the supervisor's script knows that.
cluster_unless_stopping() {
    local what=$1 pid status=0
    shift
    "$bin_dir/tracectl" "$@" --unless-stopping "$what" --data "$data_dir" >&2 {lock_fd}>&- &
    pid=$!
    trap 'kill "$pid"; exit 130' INT TERM
    while [ "$what" = scale ] && [ -e "/proc/$pid" ] && ! processes_zombie "$pid"; do
        if [ -n "$(workers_lost)" ]; then
            kill "$pid"
            break
        fi
        sleep 0.1
    done
    wait "$pid" || status=$?
    trap - INT TERM
    return "$status"
}

# Removes new workers that did not start; they own nothing yet.
cluster_scale_undo() {
    services_down "$@" || true
    services_remove "$@" || true
    settings_save "${settings[owners]}" "${settings[scaling]}"
    fail "not scaled; everything is as before"
}

cluster_rewrite_router_command() {
    local -a command
    local index
    mapfile -t command <"$(services_dir)/router/argv"
    for ((index = 0; index + 1 < ${#command[@]}; index++)); do
        [ "${command[index]}" = --workers ] && command[index + 1]=${settings[workers]}
    done
    services_replace_command router "${command[@]}"
}

# MARK: other commands

command_status() {
    programs_locate
    if [ -n "${flags[json]:-}" ]; then
        "$bin_dir/tracectl" status --json --data "$data_dir"
        return
    fi
    if services_orphaned; then
        fail "$data_dir/run was removed under the cluster, so its processes are ending; start it again with" \
            "scripts/cluster up, which goes on from the log"
    fi
    if [ ! -d "$(services_dir)" ] || [ -z "$(services_supervised)" ]; then
        echo "No cluster runs in $data_dir."
        return 1
    fi
    "$bin_dir/tracectl" status --data "$data_dir"
    status_complaints
}

# Prints what only the supervisor knows: which processes do not start, and why.
status_complaints() {
    local name failures
    lost_complaints 2>&1
    for name in aggregator router $(services_workers) $(services_others); do
        services_ready "$name" || services_lost "$name" && continue
        failures=$(services_failures "$name")
        if [ "$failures" -gt 0 ]; then
            echo "$name is not up: it ended $failures times in a row, by $(services_last_end "$name");" \
                "see scripts/cluster logs $name"
        else
            echo "$name is starting"
        fi
    done
}

# Prints which processes are down for good, why, and the remedy.
lost_complaints() {
    local name
    router_lost_complaint || true
    for name in $(workers_lost); do
        complain "$name is down for good, and the others go on: $(services_lost_reason "$name")"
    done
}

# Returns true, with a message, where the router waits for an operator's decision.
router_lost_complaint() {
    services_lost router || return 1
    complain "the router does not start: $(services_lost_reason router)"
}

workers_lost() {
    local name
    for name in $(services_workers); do
        if services_lost "$name"; then echo "$name"; fi
    done
}

command_finalize() {
    cluster_require_running
    programs_locate
    "$bin_dir/tracectl" finalize --data "$data_dir" ${flags[timeout]:+--timeout "${flags[timeout]}"} || exit 1
}

command_reload() {
    cluster_require_running
    programs_locate
    "$bin_dir/tracectl" reload --data "$data_dir"
    if services_exist edge; then "$bin_dir/tracectl" edge reload --data "$data_dir"; fi
}

# Restarts one process after the other with the current programs, so that a new build, or that of TRACE_BIN_DIR, can be
# brought into a running cluster.
command_restart() {
    cluster_require_running
    supervision_lock
    programs_locate
    programs_check
    local name
    local -a names
    if [ $# -gt 0 ]; then
        services_exist "$1" || misuse "no process \"$1\"; there are: $(services_supervised | xargs)"
        names=("$1")
    else
        # The aggregator first: it reads the messages of the previous version's workers, but not the other way round.
        mapfile -t names < <(echo aggregator && services_workers && echo router && services_others)
    fi
    for name in "${names[@]}"; do
        step "Restarting $name"
        services_use_programs "$name"
        echo 0 >"$(services_dir)/$name/failures"
        echo 0 >"$(services_dir)/$name/delay"
        services_start_anew "$ready_seconds" "$name" || services_wait_ready 1 "$name" ||
            fail "$name did not come back"
        cluster_wait_caught_up "$name" ||
            fail "$name came back, but the cluster is not healthy; no other was restarted"
        if [ $# -gt 0 ] && services_lost "$name"; then
            fail "$name is down for good: $(services_lost_reason "$name")"
        fi
    done
    echo "Restarted: ${names[*]}"
    lost_complaints
}

# Returns once all processes, with NAME's new one, are connected and no worker is far behind, so that the next one may
# be restarted. Also returns where NAME turns out to be lost.
cluster_wait_caught_up() {
    local name=$1 pid
    pid=$(services_field "$name" pid)
    services_lost "$name" && return 0
    cluster_unless_stopping restart wait --process "$name" --pid="$pid" \
        --timeout "${flags[timeout]:-$catch_up_seconds}"
}

command_logs() {
    local name file
    [ -d "$data_dir/logs" ] || fail "$data_dir has no logs"
    if [ $# -gt 0 ]; then
        [ -e "$data_dir/logs/$1/current" ] ||
            misuse "no log of \"$1\"; there are: $(logs_names)"
        cat "$data_dir/logs/$1/current"
        return
    fi
    for file in "$data_dir"/logs/*/current; do
        [ -e "$file" ] || continue
        name=$(basename "$(dirname "$file")")
        tail -n 20 "$file" | sed "s/^/$name: /"
    done
}

logs_names() {
    local directory
    for directory in "$data_dir"/logs/*/; do printf '%s ' "$(basename "$directory")"; done
}

cluster_require_running() {
    if [ ! -d "$(services_dir)" ] || [ -z "$(services_supervised)" ]; then
        fail "no cluster runs in $data_dir; start one with scripts/cluster up"
    fi
}
