# shellcheck shell=bash
# The settings of a cluster. `tracectl config` knows, checks, combines and remembers them.

# Of `tracectl config export`: grpc metrics console_address workers listen tls, and the options of the programs: router
# worker aggregator console edge. Of `tracectl config remembered`: workers; owners, the workers that may own slots of the
# data directory, empty for a new one; scaling, the target of an interrupted scale.
declare -A settings=()
remembered=() # further settings for the next up, NAME=VALUE

# Sets data_dir (absolute); settings_make_data_dir creates it.
settings_locate_data_dir() {
    data_dir=$(realpath -m -- "${flags[data]:-data}")
    case $data_dir in *$'\n'*) misuse "the data directory's name holds a line break" ;; esac
}

settings_make_data_dir() {
    mkdir -p "$data_dir/logs" || fail "cannot create the data directory $data_dir"
    # A process that can open the sockets in run/ commands the cluster.
    mkdir -p "$data_dir/run" && chmod 700 "$data_dir/run" || fail "cannot create $data_dir/run"
}

# Reads what the last start left, with OPTIONS of `tracectl config remembered`. `workers` then has the numbers of an
# interrupted scale, which is completed.
settings_load_remembered() { settings_take remembered "$@"; }

# Combines the settings for `up` from its OPTIONS, the environment and files.
settings_resolve() { settings_take export "$@"; }

# Takes over the lines that `tracectl config VERB` prints. Its errors end the script.
settings_take() {
    local lines line verb=$1
    shift
    lines=$("$bin_dir/tracectl" config "$verb" --data "$data_dir" "$@") || exit $?
    remembered=()
    while IFS= read -r line; do
        case $line in
            remembered.*) remembered+=("${line#remembered.}") ;;
            *) settings[${line%%=*}]=${line#*=} ;;
        esac
    done <<<"$lines"
}

# Saves the settings: the workers of the list WORKERS own the slots, which move to those of SCALING if it is given.
settings_save() {
    "$bin_dir/tracectl" config remember --data "$data_dir" --workers "$1" ${2:+--scaling "$2"} "${remembered[@]}"
}

# Prints the names of all configured workers: function.0 function.1 cpu.0 …
workers_names() {
    local part index
    for part in ${settings[workers]//,/ }; do
        for ((index = 0; index < ${part#*=}; index++)); do echo "${part%=*}.$index"; done
    done
}
