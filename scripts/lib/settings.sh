# shellcheck shell=bash
# The settings of a cluster. `tracectl config` knows, checks and combines all settings for `up`; this file handles what
# DIR/run/cluster.conf remembers, above all which workers own the slots.

resources=(function cpu memory network io gpu)
workers_max=64 # a resource; Limits.workersPerResourceMax

# grpc metrics console_address workers listen tls, and the options of the programs: router worker aggregator console edge
declare -A settings=()
declare -A workers=()  # workers by resource
remembered=''          # settings for the next up, one per line
remembered_workers=''  # workers that may own slots of the data directory; empty for a new one
interrupted_scale=''   # the target of an interrupted scale

# Sets data_dir (absolute); settings_make_data_dir creates it.
settings_locate_data_dir() {
    data_dir=$(realpath -m -- "${flags[data]:-data}")
    case $data_dir in *$'\n'*) misuse "the data directory's name holds a line break" ;; esac
    conf=$data_dir/run/cluster.conf
}

settings_make_data_dir() {
    mkdir -p "$data_dir/logs" || fail "cannot create the data directory $data_dir"
    # A process that can open the sockets in run/ commands the cluster.
    mkdir -p "$data_dir/run" && chmod 700 "$data_dir/run" || fail "cannot create $data_dir/run"
}

# Reads what the last start left. `workers` then has the numbers of an interrupted scale, which is completed.
settings_load_remembered() {
    local resource line left=''
    for resource in "${resources[@]}"; do workers[$resource]=1; done
    settings_heal
    [ -r "$conf" ] || settings_recover_workers
    [ -r "$conf" ] || return 0
    while IFS= read -r line; do
        case $line in
            workers=*) left=${line#*=} ;;
            scaling=*) interrupted_scale=${line#*=} ;;
            '' | '#'*) ;;
            *) remembered+=$line$'\n' ;;
        esac
    done <"$conf"
    [ -z "$left" ] || workers_merge "$left"
    remembered_workers=$(workers_most "${left:+$(workers_text)}" "$interrupted_scale")
    [ -z "$interrupted_scale" ] || workers_merge "$interrupted_scale"
    settings[workers]=$(workers_text)
}

# Returns whether FILE is as `settings_save` wrote it. Versions before 0.2 wrote no checksum and did not mention one.
settings_is_whole() {
    [ -r "$1" ] || return 1
    local first last
    first=$(head -n 1 "$1") last=$(tail -n 1 "$1")
    if [[ $first != *checksum* && $last != "# cksum "* ]]; then
        grep -q '^workers=' "$1"
    else
        [ "$last" = "# cksum $(head -n -1 "$1" | cksum)" ]
    fi
}

# Restores a damaged file from its copy.
settings_heal() {
    [ -e "$conf" ] || [ -e "$conf.mirror" ] || return 0
    ! settings_is_whole "$conf" || return 0
    if settings_is_whole "$conf.mirror"; then
        warn "$conf was damaged; it is written anew from its copy."
        cp "$conf.mirror" "$conf"
    elif [ -e "$conf" ]; then
        warn "$conf is damaged; it is kept as $conf.damaged."
        mv "$conf" "$conf.damaged"
    fi
}

# Reconstructs the workers after run/ was removed. Slots belong to the workers that have saved state; a surplus worker,
# such as a retired one, does no harm.
settings_recover_workers() {
    local file name resource found=no
    for file in "$data_dir"/checkpoints/*; do
        name=${file##*/}
        [[ $name =~ ^([a-z]+)\.([0-9]{1,2})\.(reserve|checkpoint) ]] || continue
        resource=${BASH_REMATCH[1]}
        [ -n "${workers[$resource]:-}" ] || continue
        found=yes
        ((10#${BASH_REMATCH[2]} < workers[$resource])) || workers[$resource]=$((10#${BASH_REMATCH[2]} + 1))
    done
    [ "$found" = yes ] || return 0
    warn "$conf is missing: the workers are those that have saved something, $(workers_text)."
    note "  Other settings of the last up are forgotten; name them again, or in $data_dir/cluster.json."
    settings_save "$(workers_text)"
}

# Combines the settings for `up` from its OPTIONS, the environment and files. Errors are printed and end the script.
settings_resolve() {
    local lines line
    lines=$("$bin_dir/tracectl" config export --data "$data_dir" "$@") || exit $?
    remembered=''
    while IFS= read -r line; do
        case $line in
            remembered.*) remembered+=${line#remembered.}$'\n' ;;
            *) settings[${line%%=*}]=${line#*=} ;;
        esac
    done <<<"$lines"
    workers_merge "${settings[workers]}"
}

# Saves the settings: the workers of the list WORKERS own the slots, which move to those of SCALING if it is given.
settings_save() {
    local fresh=$conf.new
    {
        echo "# Settings remembered by scripts/cluster, with a checksum at the end; flags, the environment and a configuration file win over them."
        printf '%s' "$remembered"
        printf 'workers=%s\nscaling=%s\n' "$1" "${2:-}"
    } >"$fresh"
    printf '# cksum %s\n' "$(cksum <"$fresh")" >>"$fresh"
    cp "$fresh" "$conf.mirror"
    mv "$fresh" "$conf"
}

# Merges a list such as function=2,cpu=1 into `workers`; resources that it does not name keep their number.
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

# Prints the greater number of two lists for each resource, or the first list where the second is empty.
workers_most() {
    local first=$1 second=$2
    [ -n "$second" ] || {
        echo "$first"
        return
    }
    local resource text=''
    local -A one two
    for resource in "${resources[@]}"; do
        one[$resource]=$(workers_count "$resource" "$first")
        two[$resource]=$(workers_count "$resource" "$second")
        text+=,$resource=$((one[$resource] > two[$resource] ? one[$resource] : two[$resource]))
    done
    echo "${text#,}"
}

# Prints the number of a resource's workers in a list.
workers_count() { [[ ,$2, =~ ,$1=([0-9]+), ]] && echo "${BASH_REMATCH[1]}" || echo 1; }

workers_text() {
    local resource text=''
    for resource in "${resources[@]}"; do text+=,$resource=${workers[$resource]}; done
    echo "${text#,}"
}

# Prints the names of all configured workers: function.0 function.1 cpu.0 …
workers_names() {
    local resource index
    for resource in "${resources[@]}"; do
        for ((index = 0; index < workers[$resource]; index++)); do echo "$resource.$index"; done
    done
}
