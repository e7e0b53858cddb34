# shellcheck shell=bash
# What the scripts say. Results go to standard output, everything else to standard error;
# colours and progress only where a person is looking.

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' red='' plain=''
fi

note() { printf '%s\n' "$*" >&2; }

step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }

warn() { printf '%swarning:%s %s\n' "$red" "$plain" "$*" >&2; }

complain() { printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2; }

# Ends the script: 1 for a failure, 2 for a command line that makes no sense.
fail() {
    complain "$*"
    exit 1
}

misuse() {
    complain "$*"
    note "See $(basename "$0") --help."
    exit 2
}
