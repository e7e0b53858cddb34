# shellcheck shell=bash
# Settings of one cluster. A flag wins over the environment, that over what DIR/run/cluster.conf
# remembers of the last time, that over the default.

resources=(function cpu memory network io gpu)
workers_max=64 # a resource; Limits.workersPerResourceMax

declare -A flags=()    # what the command line said, by setting
declare -A settings=() # what holds: grpc metrics workers inactivity_timeout time_zone
declare -A workers=()  # workers by resource
remembered_workers=''  # as the data directory was last left, empty for a new one

setting_names=(grpc metrics workers inactivity_timeout time_zone)

# Sets data_dir (absolute); `settings_make_data_dir` is what creates it.
settings_locate_data_dir() {
    data_dir=$(realpath -m -- "${flags[data]:-data}")
    case $data_dir in *$'\n'*) misuse "the data directory's name holds a line break" ;; esac
    conf=$data_dir/run/cluster.conf
}

settings_make_data_dir() {
    mkdir -p "$data_dir/logs" || fail "cannot create the data directory $data_dir"
    # Whoever reaches the sockets in run/ commands the cluster.
    mkdir -p "$data_dir/run" && chmod 700 "$data_dir/run" || fail "cannot create $data_dir/run"
}

settings_load() {
    settings=(
        [grpc]=127.0.0.1:50051 [metrics]=127.0.0.1:9091 [workers]='' [inactivity_timeout]=''
        [time_zone]=$(settings_machine_time_zone)
    )
    local resource
    for resource in "${resources[@]}"; do workers[$resource]=1; done

    settings_load_file
    remembered_workers=${settings[workers]}
    [ -z "${SERVICE_PORT:-}" ] || settings[grpc]=${settings[grpc]%:*}:$SERVICE_PORT
    [ -z "${METRICS_PORT:-}" ] || settings[metrics]=${settings[metrics]%:*}:$METRICS_PORT
    [ -z "${INACTIVITY_TIMEOUT:-}" ] || settings[inactivity_timeout]=$INACTIVITY_TIMEOUT
    [ -z "${TZ:-}" ] || settings[time_zone]=${TZ#:}

    local name
    for name in grpc metrics inactivity_timeout time_zone; do
        [ -z "${flags[$name]+set}" ] || settings[$name]=${flags[$name]}
    done
    [ -z "${flags[workers]:-}" ] || workers_merge "${flags[workers]}"
    settings[workers]=$(workers_text)
    settings_validate
}

settings_load_file() {
    [ -r "$conf" ] || return 0
    local line name
    while IFS= read -r line; do
        name=${line%%=*}
        case $name in
            grpc | metrics | inactivity_timeout | time_zone) settings[$name]=${line#*=} ;;
            workers)
                workers_merge "${line#*=}"
                settings[workers]=$(workers_text)
                ;;
            '' | '#'*) ;;
            *) fail "$conf: unknown setting $name" ;;
        esac
    done <"$conf"
}

# Remembers the NAMEd settings, all when none is named.
settings_save() {
    local name fresh=$conf.new
    [ $# -gt 0 ] || set -- "${setting_names[@]}"
    {
        echo "# What scripts/cluster was last started with; flags and the environment win over it."
        for name; do printf '%s=%s\n' "$name" "${settings[$name]}"; done
    } >"$fresh"
    mv "$fresh" "$conf"
}

settings_validate() {
    settings_validate_address --grpc "${settings[grpc]}"
    settings_validate_address --metrics "${settings[metrics]}"
    [ "${settings[grpc]}" != "${settings[metrics]}" ] ||
        misuse "--grpc and --metrics name the same address ${settings[grpc]}"
    [[ ${settings[inactivity_timeout]} =~ ^[0-9]{0,9}$ ]] ||
        misuse "--inactivity-timeout takes whole seconds, not \"${settings[inactivity_timeout]}\""
    [[ ${settings[time_zone]} =~ ^[A-Za-z0-9_+:,./-]+$ ]] ||
        misuse "--time-zone takes a name as in /usr/share/zoneinfo, not \"${settings[time_zone]}\""
}

settings_validate_address() {
    local option=$1 address=$2 port=${2##*:}
    [[ $address =~ ^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$ ]] &&
        ((10#$port >= 1 && 10#$port <= 65535)) ||
        misuse "$option takes ADDRESS:PORT, for example 127.0.0.1:50051, not \"$address\""
}

settings_machine_time_zone() {
    local zone
    zone=$(readlink -f /etc/localtime 2>/dev/null) || zone=''
    case $zone in
        */zoneinfo/*) echo "${zone##*/zoneinfo/}" ;;
        *) cat /etc/timezone 2>/dev/null || echo UTC ;;
    esac
}

# Takes function=2,cpu=1 into `workers`; resources it doesn't name keep their number.
workers_merge() {
    local part resource count
    local -a parts
    IFS=, read -r -a parts <<<"$1"
    for part in "${parts[@]}"; do
        resource=${part%%=*} count=${part#*=}
        [[ -n $resource && -n ${workers[$resource]:-} ]] ||
            misuse "unknown resource \"$resource\" in \"$1\"; there are: ${resources[*]}"
        [[ $part == *=* && $count =~ ^[0-9]{1,2}$ ]] && ((10#$count >= 1 && 10#$count <= workers_max)) ||
            misuse "\"$part\": the number of workers is 1 to $workers_max, as in $resource=2"
        workers[$resource]=$((10#$count))
    done
}

workers_text() {
    local resource text=''
    for resource in "${resources[@]}"; do text+=,$resource=${workers[$resource]}; done
    echo "${text#,}"
}

# The names of all workers that the settings ask for: function.0 function.1 cpu.0 …
workers_names() {
    local resource index
    for resource in "${resources[@]}"; do
        for ((index = 0; index < workers[$resource]; index++)); do echo "$resource.$index"; done
    done
}
