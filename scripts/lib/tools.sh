# shellcheck shell=bash
# The programs that tests start themselves: moto, an AWS endpoint in Python, and a headless
# browser. Needs common.sh.

# Debian's python3 comes without ensurepip, which a venv needs.
venv_python() { # prints the first usable interpreter
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

# Makes the venv anew when the requirements have changed since it was made, or its place, which a
# venv's programs have written into them.
venv_require() { # VENV REQUIREMENTS [MODULE]; MODULE is imported to see that the venv works
    local venv=$1 requirements=$2 module=${3:-moto.server} python made_from
    made_from="$(sha256sum <"$requirements") $venv"
    if [ "$(cat "$venv/made-from" 2>/dev/null)" = "$made_from" ] &&
        "$venv/bin/python" -c "import $module" 2>/dev/null; then
        return 0
    fi
    if ! python=$(venv_python); then
        apt_install "python3 (3.11 or later) with venv and ensurepip" python3 python3-venv
        python=$(venv_python) || die "python3 is older than 3.11, or its venv module does not work"
    fi
    say "making the Python environment of $requirements"
    rm -rf "$venv"
    guarded 2m "$python" -m venv "$venv" || die "python3 -m venv failed"
    guarded 15m "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        -r "$requirements" >&2 || die "pip could not install $requirements"
    # Last, so that an interrupted installation is never taken for a finished one.
    echo "$made_from" >"$venv/made-from"
}

# Sets chromium; a stub that cannot run (as Ubuntu's without snap) is passed over.
chromium_find() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        chromium=$(command -v "$name") || continue
        timeout 60 "$chromium" --version </dev/null >/dev/null 2>&1 && return 0
    done
    return 1
}

chromium_require() {
    chromium_find && return 0
    apt_install "a Chromium browser" chromium
    chromium_find || die "chromium was installed but does not run"
}
