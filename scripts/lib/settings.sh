# shellcheck shell=bash
# What a cluster runs with. `tracectl config` knows all settings, checks them, and puts them together for
# `up`; here is what DIR/run/cluster.conf remembers, above all which workers own the slots.

resources=(function cpu memory network io gpu)
workers_max=64 # a resource; Limits.workersPerResourceMax

declare -A settings=() # grpc metrics workers, and the options of the programs: router worker aggregator
declare -A workers=()  # workers by resource
remembered=''          # settings for the next up, a line each
remembered_workers=''  # those that may own slots, as the data directory was last left; empty for a new one
interrupted_scale=''   # where a scale was to lead that did not end

# Sets data_dir (absolute); `settings_make_data_dir` is what creates it.
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

# Takes what the last start left. `workers` are then those of an interrupted scale, which is completed.
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

# Whether FILE is as `settings_save` wrote it. Versions before 0.2 wrote no checksum, nor of one.
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

# Takes the copy where the file itself is damaged.
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

# What the last start left is lost, as somebody removed run/. Slots belong to the workers that have something saved; one
# too many, as of a worker that retired, does no harm.
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

# Puts together what `up` is to run with, of its OPTIONS, the environment and files. What is wrong is said,
# and ends the script.
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

# Remembers that the workers of the list WORKERS own the slots; that slots move to those of SCALING, where
# it is given; and the settings.
settings_save() {
    local fresh=$conf.new
    {
        echo "# What scripts/cluster was last told, a checksum behind it; flags, the environment and a configuration file win over it."
        printf '%s' "$remembered"
        printf 'workers=%s\nscaling=%s\n' "$1" "${2:-}"
    } >"$fresh"
    printf '# cksum %s\n' "$(cksum <"$fresh")" >>"$fresh"
    cp "$fresh" "$conf.mirror"
    mv "$fresh" "$conf"
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

# The greater number of two lists for each resource; the first, where the second is empty.
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

# The number of a resource's workers in a list.
workers_count() { [[ ,$2, =~ ,$1=([0-9]+), ]] && echo "${BASH_REMATCH[1]}" || echo 1; }

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
