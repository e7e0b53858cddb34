# shellcheck shell=bash
# Output of the scripts. Results go to standard output, everything else to standard error; colours only on a terminal.

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' red='' plain=''
fi

note() { printf '%s\n' "$*" >&2; }

step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }

warn() { printf '%swarning:%s %s\n' "$red" "$plain" "$*" >&2; }

complain() { printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2; }

# Ends the script: with 1 for a failure, with 2 for an invalid command line.
fail() {
    complain "$*"
    exit 1
}

misuse() {
    complain "$*"
    note "See $(basename "$0") --help."
    exit 2
}

# The project's version and the commit: as the sources have them, or, where there are none, the programs.
version() {
    local source=$root/Sources/Model/TraceModel/BuildInfo.swift commit
    if [ -r "$source" ]; then
        commit=$(build_commit)
        echo "$(sed -n 's/.*static let version = "\(.*\)"/\1/p' "$source")${commit:+ ($commit)}"
    else
        "${TRACE_BIN_DIR:-$root/.build/release}/tracectl" --version
    fi
}

# The commit of the sources, with "+changes" behind it where files differ from it; nothing where there is no history.
# A build is given it as TRACE_COMMIT, which wins, for where the sources are without their history.
build_commit() {
    local commit=${TRACE_COMMIT:-}
    if [ -z "$commit" ] && [ -e "$root/.git" ] && commit=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null); then
        [ -z "$(git -C "$root" status --porcelain 2>/dev/null)" ] || commit+=+changes
    fi
    printf '%s' "$commit"
}

# `; did you mean NAME?` where one of the NAMEs is a few letters from WORD, or begins with it; else nothing.
hint() {
    # The distance is that of optimal string alignment: letters inserted, deleted, replaced, swapped.
    awk 'function least(a, b) { return a < b ? a : b }
        function distance(a, b, i, j, same, d) {
            for (i = 0; i <= length(a); i++) d[i, 0] = i
            for (j = 0; j <= length(b); j++) d[0, j] = j
            for (i = 1; i <= length(a); i++) for (j = 1; j <= length(b); j++) {
                same = substr(a, i, 1) == substr(b, j, 1)
                d[i, j] = least(least(d[i - 1, j], d[i, j - 1]) + 1, d[i - 1, j - 1] + !same)
                if (i > 1 && j > 1 && substr(a, i, 1) == substr(b, j - 1, 1) && substr(a, i - 1, 1) == substr(b, j, 1))
                    d[i, j] = least(d[i, j], d[i - 2, j - 2] + 1)
            }
            return d[length(a), length(b)]
        }
        BEGIN {
            word = tolower(ARGV[1])
            most = int(length(word) / 3); if (most < 1) most = 1
            for (n = 2; n < ARGC && length(word) < 64; n++) {
                far = length(word) > 2 && index(ARGV[n], word) == 1 ? 1 : distance(word, ARGV[n])
                if (far <= most && (name == "" || far < nearest)) { name = ARGV[n]; nearest = far }
            }
            if (name != "") printf "; did you mean %s?", name
        }' "$@"
}
