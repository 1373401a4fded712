# shellcheck shell=bash
# Shared by scripts/test and .ci/run: messages, package installation, and commands that cannot hang.

say() { printf '== %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

need() { # COMMAND HINT
    command -v "$1" >/dev/null || die "$1 not found on PATH: $2"
}

# Runs a command in its own process group, within a limit. On the limit, or when this script is
# told to stop, the whole group is ended, so that neither a compiler nor a test stays behind.
guarded_pid=
guard_grace=20 # seconds between asking and killing
guarded() { # LIMIT COMMAND...
    local limit=$1 status=0
    shift
    # A background command of a script ignores SIGINT, and so would all that it starts: tests of
    # Ctrl-C need the default back.
    env --default-signal=INT,QUIT timeout --kill-after="$guard_grace" "$limit" "$@" </dev/null &
    guarded_pid=$!
    wait "$guarded_pid" || status=$?
    guarded_pid=
    [ "$status" != 124 ] || printf 'error: not done within %s: %s\n' "$limit" "$*" >&2
    return "$status"
}

end_guarded() {
    [ -n "$guarded_pid" ] || return 0
    kill -TERM "$guarded_pid" 2>/dev/null || true
    wait "$guarded_pid" 2>/dev/null || true
    guarded_pid=
}

on_exit() { # FUNCTION: runs at every exit, Ctrl-C included
    # shellcheck disable=SC2064
    trap "$1" EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# Not guarded: an installation broken off half-way is worse than a Ctrl-C that waits for its end.
apt() {
    DEBIAN_FRONTEND=noninteractive timeout 900 \
        apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}

apt_fresh=
apt_refresh() {
    [ -z "$apt_fresh" ] || return 0
    say "refreshing the package lists"
    apt update || die "apt-get update failed"
    apt_fresh=1
}

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() { # WHAT-FOR PACKAGE...
    local what=$1
    shift
    can_apt || die "$what is missing. Install it (on Debian: apt-get install $*), or run this script as root."
    apt_refresh
    say "installing $*"
    apt install -y --no-install-recommends "$@" || die "apt-get install $* failed"
}
