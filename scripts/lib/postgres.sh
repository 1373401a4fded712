# shellcheck shell=bash
# A private Postgres server for one run: found or installed, started on a free loopback port, stopped
# by its own pid. For tests it forgoes fsync, so that nothing is to be measured on it; for benches it is
# durable, as in production. Needs common.sh.

# Older servers leak rows through forced row-level security, so the store refuses them.
pg_minimum() { # MAJOR -> the oldest minor version that is accepted
    case $1 in
    15) echo 20 ;;
    16) echo 16 ;;
    17) echo 12 ;;
    18) echo 7 ;;
    *) return 1 ;;
    esac
}
pg_wanted="PostgreSQL 15.20, 16.16, 17.12 or 18.7, or a later minor version of these"

pg_accepts() { # VERSION, as in 15.20
    local minor minimum
    [[ $1 =~ ^[0-9]+\.[0-9]+$ ]] || return 1
    minor=${1#*.}
    minimum=$(pg_minimum "${1%%.*}") || return 1
    [ "$minor" -ge "$minimum" ]
}

pg_version() { # BINDIR; prints nothing for a development version
    "$1/postgres" --version | sed -nE 's/^.*\(PostgreSQL\) ([0-9]+\.[0-9]+)([^0-9a-z].*)?$/\1/p'
}

# Sets pg_bin to the newest accepted server, and pg_seen to all that were found.
pg_find() {
    local dir version best=0.0
    pg_bin='' pg_seen=''
    for dir in /usr/lib/postgresql/*/bin \
        "$(pg_config --bindir 2>/dev/null || true)" \
        "$(dirname "$(command -v postgres || echo /none)")"; do
        if [ ! -x "$dir/postgres" ] || [ ! -x "$dir/initdb" ] || [[ $pg_seen == *"($dir)"* ]]; then
            continue
        fi
        version=$(pg_version "$dir")
        pg_seen+=" ${version:-unknown} ($dir)"
        if pg_accepts "$version" &&
            [ "$(printf '%s\n' "$best" "$version" | sort -V | tail -n 1)" != "$best" ]; then
            best=$version pg_bin=$dir
        fi
    done
    [ -n "$pg_bin" ]
}

# The newest packaged server that is accepted, as apt knows it now.
pg_package() {
    local major candidate
    for major in 18 17 16 15; do
        candidate=$(apt-cache policy "postgresql-$major" | sed -nE 's/^ *Candidate: ([0-9.]+).*/\1/p')
        if pg_accepts "$candidate"; then
            echo "postgresql-$major"
            return 0
        fi
    done
    return 1
}

pg_require() {
    local package conf=/etc/postgresql-common/createcluster.conf
    pg_find && return 0
    can_apt || die "no usable Postgres server (found:${pg_seen:- none}). Install $pg_wanted."
    apt_refresh
    package=$(pg_package) ||
        die "no usable Postgres server (found:${pg_seen:- none}), and apt offers none. Install $pg_wanted."
    if [ ! -e "$conf" ]; then
        # The package would create and start a cluster of its own, which no test needs.
        mkdir -p "${conf%/*}"
        echo 'create_main_cluster = false' >"$conf"
    fi
    apt_install "a Postgres server" "$package"
    pg_find || die "$package was installed, but no usable server is there (found:${pg_seen:- none}). Install $pg_wanted."
}

free_port() {
    python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

pg_pid='' pg_dir=''
pg_start() { # fast|durable; sets pg_port
    local run tries waited settings
    case $1 in
    fast) settings=(-c fsync=off) ;;
    # Memory and log as in production, so that checkpoints do not fall into what is measured.
    durable) settings=(-c shared_buffers=1GB -c max_wal_size=8GB) ;;
    esac
    pg_dir=$(mktemp -d "${TMPDIR:-/tmp}/trueno-test.XXXXXX")
    # From its own directory: the server's user may be unable to enter the checkout. With the
    # signal it also ends when this script is killed outright.
    run=(env -C "$pg_dir" setpriv --pdeathsig INT)
    if [ "$(id -u)" = 0 ]; then
        # Postgres refuses to run as root.
        getent passwd postgres >/dev/null ||
            die "the system user postgres is missing, and a server does not run as root"
        chown postgres: "$pg_dir"
        run+=(--reuid=postgres --regid=postgres --init-groups)
    fi
    guarded 2m "${run[@]}" "$pg_bin/initdb" --pgdata=data --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C --no-sync >"$pg_dir/log" 2>&1 ||
        die "initdb failed: $(tail -n 20 "$pg_dir/log")"

    # Another program may take the port between the look and the start, hence the tries.
    for tries in 1 2 3 4 5; do
        pg_port=$(free_port)
        "${run[@]}" "$pg_bin/postgres" -D data -p "$pg_port" \
            -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$pg_dir" \
            -c max_connections=200 "${settings[@]}" </dev/null >>"$pg_dir/log" 2>&1 &
        pg_pid=$!
        for ((waited = 0; waited < 300; waited++)); do
            kill -0 "$pg_pid" 2>/dev/null || break
            # Asked over the private socket, so that no other server can answer.
            if "$pg_bin/pg_isready" -q -h "$pg_dir" -p "$pg_port" -t 2; then
                return 0
            fi
            sleep 0.2
        done
        pg_end
        grep -q 'could not create any TCP/IP sockets' "$pg_dir/log" || break
    done
    die "the Postgres server did not start (try $tries): $(tail -n 20 "$pg_dir/log")"
}

pg_end() {
    local signal waited
    [ -n "$pg_pid" ] || return 0
    for signal in INT QUIT KILL; do # fast, immediate, at once
        kill -"$signal" "$pg_pid" 2>/dev/null || break
        for ((waited = 0; waited < 50; waited++)); do
            kill -0 "$pg_pid" 2>/dev/null || break 2
            sleep 0.2
        done
    done
    wait "$pg_pid" 2>/dev/null || true
    pg_pid=
}

# LOG: where the server's log is kept, since the directory goes.
pg_stop() {
    [ -n "$pg_dir" ] || return 0
    pg_end
    cp "$pg_dir/log" "$1" 2>/dev/null || true
    rm -rf "$pg_dir"
    pg_dir=
}
