# shellcheck shell=bash
# Runs s6-svscan over the services of one data directory, and holds the lock that lets one command at a time change it.

supervision_pid_file() { echo "$data_dir/run/supervisor.pid"; }

# Takes the lock until the script ends. Processes that are started do not inherit it.
supervision_lock() {
    exec {lock_fd}>"$data_dir/run/control.lock"
    if ! flock -n "$lock_fd"; then
        note "Waiting for another scripts/cluster that works on $data_dir"
        flock "$lock_fd"
    fi
    rm -f "$data_dir/run/stop-wanted" # left by a killed stop; a live one requests again
}

# Takes the lock to stop the cluster; a scale or a restart that waits for something gives up for it.
supervision_lock_to_stop() {
    local wanted=$data_dir/run/stop-wanted
    exec {lock_fd}>"$data_dir/run/control.lock"
    if ! flock -n "$lock_fd"; then
        note "Waiting for another scripts/cluster that works on $data_dir"
        # Repeated, as the script that gets the lock first removes the file as an old one.
        until : >"$wanted" && flock -w 1 "$lock_fd"; do :; done
    fi
    rm -f "$wanted"
}

supervision_stop_wanted() { [ -e "$data_dir/run/stop-wanted" ]; }

supervision_unlock() { exec {lock_fd}>&-; }

# Returns whether s6-svscan runs: only then does its control pipe have a reader.
supervision_running() {
    [ -p "$(services_dir)/.s6-svscan/control" ] && s6-svscanctl -a "$(services_dir)" 2>/dev/null
}

# Starts s6-svscan in its own session, without any directory, descriptor or ignored signal of the caller. It and the
# services hold the socket that agents connect to, so that agents can connect while the router is restarted. Sets
# supervisor_pid. Fails with a message where the address is taken.
supervision_start() {
    local log=$data_dir/run/supervisor.log
    (
        cd "$data_dir" # the router's address may be a Unix socket in it; s6-svscan changes into run/services
        local fd
        for fd in /proc/"$BASHPID"/fd/*; do
            fd=${fd##*/}
            ((fd <= 2)) || eval "exec $fd>&-"
        done
        # A service and its logger count as one each; -c limits their number.
        exec setsid "$bin_dir/tracectl" listen "${settings[listen]}" env --default-signal \
            s6-svscan -c 1000 "$(services_dir)" </dev/null >"$log" 2>&1
    ) &
    supervisor_pid=$!
    echo "$supervisor_pid" >"$(supervision_pid_file)"
    until supervision_running; do
        if [ ! -e "/proc/$supervisor_pid" ] || processes_zombie "$supervisor_pid"; then
            complain "$(sed 's/^Error: //' "$log")"
            return 1
        fi
        sleep 0.02
    done
}

# Ends everything that supervises the data directory, with all services, and returns when no process is left.
supervision_stop() {
    local name
    local -a pids
    mapfile -t pids < <(services_supervisor_pids "$(services_dir)")
    if supervision_running; then
        s6-svscanctl -t "$(services_dir)"
    fi
    # Works even if the directory or a part of it was removed.
    supervision_signal "${pids[@]}"
    # Works even if s6-svscan was killed: its supervisors continue without it.
    for name in $(services_supervised); do
        s6-svc -xd "$(services_dir)/$name" 2>/dev/null || true
        s6-svc -x "$(services_dir)/$name/log" 2>/dev/null || true
    done
    processes_wait_ended 40 "${pids[@]}" || return 1
    rm -rf "$(services_dir)" "$(supervision_pid_file)"
}

# Makes those of the processes PIDS that belong to s6 end with what they run, and loggers end after that.
supervision_signal() {
    local pid name
    for pid; do
        { read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
        case $name:$(readlink "/proc/$pid/cwd") in
            s6-supervise:*/log | s6-supervise:*/log' (deleted)') kill -HUP "$pid" ;;
            s6-svscan:* | s6-supervise:*) kill -TERM "$pid" ;;
        esac
    done 2>/dev/null
    return 0
}

# Returns when none of the processes is left; fails after SECONDS.
processes_wait_ended() {
    local limit=$1 pid deadline
    shift
    deadline=$((SECONDS + limit))
    for pid; do
        while [ -e "/proc/$pid" ] && ! processes_zombie "$pid"; do
            if ((SECONDS >= deadline)); then
                complain "process $pid does not end: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
                return 1
            fi
            sleep 0.05
        done
    done
}

# Returns whether a process has ended and only waits for its parent, which may be this script.
processes_zombie() { grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
