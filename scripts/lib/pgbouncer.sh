# shellcheck shell=bash
# A private PgBouncer in transaction mode for one test run, in front of the run's Postgres: found or
# installed, started on a free loopback port, stopped by its own pid. Needs common.sh, postgres.sh.

# The logins that pass it, each followed by _app, _processor or _sequencer, and for the programs, whose
# roles have other names, by _cli before that. Tests make them, as members of the roles, with the
# password that TRUENO_TEST_DATABASE_URL has, if any.
bouncer_logins=trueno_test_login

bouncer_find() {
    bouncer=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v pgbouncer)
}

bouncer_policy=
bouncer_require() {
    local policy=/usr/sbin/policy-rc.d status=0
    bouncer_find && return 0
    if can_apt; then
        apt_refresh
        if [ ! -e "$policy" ]; then
            # The package would start a service, which no test needs.
            bouncer_policy=$policy
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
    fi
    (apt_install PgBouncer pgbouncer) || status=$?
    bouncer_allow_services
    [ "$status" = 0 ] || exit "$status"
    bouncer_find || die "pgbouncer was installed, but there is no such program"
}

bouncer_allow_services() {
    [ -z "$bouncer_policy" ] || rm -f "$bouncer_policy"
    bouncer_policy=
}

bouncer_version() { "$bouncer" --version | sed -nE '1s/^PgBouncer (.*)$/\1/p'; }

# Settings that make differences show: the servers of a pool take turns, so that no two transactions
# of a client can count on the same one; they are few, so that clients share them; and none keeps a
# database of a test that ended.
bouncer_configure() { # SERVER-URL DIRECTORY PORT
    python3 - "$bouncer_logins" "$@" <<'END'
import pathlib, sys
from urllib.parse import parse_qs, unquote, urlsplit

logins, url, directory, port = sys.argv[1:]
directory = pathlib.Path(directory)
url = urlsplit(url)
query = parse_qs(url.query)
host = query.get("host", [unquote(url.hostname or "localhost")])[0]
password = query.get("password", [unquote(url.password or "")])[0]
roles = ("app", "processor", "sequencer")
names = [f"{login}_{role}" for login in (logins, f"{logins}_cli") for role in roles]


def quoted(text, quote):
    return quote + text.replace(quote, quote * 2) + quote


(directory / "users").write_text(
    "".join(f'{quoted(name, chr(34))} {quoted(password, chr(34))}\n' for name in names)
)
(directory / "pgbouncer.ini").write_text(
    f"""[databases]
* = host={quoted(host, "'")} port={query.get("port", [url.port or 5432])[0]}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = {"scram-sha-256" if password else "trust"}
auth_file = users
stats_users = {names[0]}
pool_mode = transaction
server_round_robin = 1
default_pool_size = 6
max_client_conn = 1000
server_tls_sslmode = prefer
server_idle_timeout = 5
server_login_retry = 1
autodb_idle_timeout = 5
query_wait_timeout = 30
# "options" is for the test that misses what it asked for.
ignore_startup_parameters = extra_float_digits, options
"""
)
END
}

bouncer_pid='' bouncer_dir=''
bouncer_start() { # SERVER-URL; sets bouncer_port
    local run tries waited
    bouncer_dir=$(mktemp -d "${TMPDIR:-/tmp}/trueno-bouncer.XXXXXX")
    # With the signal it also ends when this script is killed outright.
    run=(env -C "$bouncer_dir" setpriv --pdeathsig TERM)
    if [ "$(id -u)" = 0 ]; then
        # PgBouncer refuses to run as root.
        getent passwd postgres >/dev/null ||
            die "the system user postgres is missing, and PgBouncer does not run as root"
        run+=(--reuid=postgres --regid=postgres --init-groups)
    fi
    # Another program may take the port between the look and the start, hence the tries.
    for tries in 1 2 3 4 5; do
        bouncer_port=$(free_port)
        bouncer_configure "$1" "$bouncer_dir" "$bouncer_port" || die "PgBouncer was not configured"
        [ "$(id -u)" != 0 ] || chown -R postgres: "$bouncer_dir"
        "${run[@]}" "$bouncer" pgbouncer.ini </dev/null >"$bouncer_dir/log" 2>&1 &
        bouncer_pid=$!
        for ((waited = 0; waited < 150; waited++)); do
            kill -0 "$bouncer_pid" 2>/dev/null || break
            grep -qs 'process up' "$bouncer_dir/log" && return 0
            sleep 0.2
        done
        bouncer_end
        grep -qi 'in use' "$bouncer_dir/log" || break
    done
    die "PgBouncer did not start (try $tries): $(tail -n 20 "$bouncer_dir/log")"
}

bouncer_end() {
    local signal waited
    [ -n "$bouncer_pid" ] || return 0
    for signal in TERM QUIT KILL; do # since 1.23 the first waits for clients
        kill -"$signal" "$bouncer_pid" 2>/dev/null || break
        for ((waited = 0; waited < 25; waited++)); do
            kill -0 "$bouncer_pid" 2>/dev/null || break 2
            sleep 0.2
        done
    done
    wait "$bouncer_pid" 2>/dev/null || true
    bouncer_pid=
}

# LOG: where its log is kept, since the directory goes.
bouncer_stop() {
    bouncer_allow_services
    [ -n "$bouncer_dir" ] || return 0
    bouncer_end
    cp "$bouncer_dir/log" "$1" 2>/dev/null || true
    rm -rf "$bouncer_dir"
    bouncer_dir=
}
