#!/bin/sh
# Creates secrets/ for compose.yaml: one password each for Redis, PostgreSQL and Flower, and the files
# with which the services reach them. Existing files stay as they are.
#
#   sh containers/secrets.sh           # then write secrets/earwitness/accounts.toml
#   sh containers/secrets.sh --demo    # with the accounts of the simulated providers
#
# The containers' users must be able to read these files, and other users of this host must not. So
# the files are readable, and only you can enter the folder around them.
set -eu
cd "$(dirname "$0")/.."

password() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # keep FILE: write standard input to FILE, unless it exists
    if [ -e "$1" ]; then
        cat >/dev/null
    else
        cat >"$1"
        chmod 0444 "$1"
        echo "created $1"
    fi
}

mkdir -p secrets
chmod 0700 secrets
mkdir -p secrets/earwitness
chmod 0755 secrets/earwitness

for service in redis:redis.conf postgres:postgres_password; do
    file="secrets/${service#*:}"
    address="secrets/earwitness/earwitness_${service%%:*}_url"
    [ "${service%%:*}" = postgres ] && address=secrets/earwitness/earwitness_ledger_url
    if [ -e "$file" ] && [ -e "$address" ]; then
        continue
    fi
    if [ -e "$file" ] || [ -e "$address" ]; then
        echo "only one of $file and $address exists, and both hold the password: remove it" >&2
        exit 1
    fi
    word="$(password)"
    if [ "${service%%:*}" = redis ]; then
        printf 'requirepass %s\n' "$word" | keep "$file"
        printf 'redis://:%s@redis:6379/0\n' "$word" | keep "$address"
    else
        printf '%s' "$word" | keep "$file"
        printf 'postgresql://earwitness:%s@postgres/earwitness\n' "$word" | keep "$address"
    fi
done
printf 'earwitness:%s\n' "$(password)" | keep secrets/flower_basic_auth

if [ "${1:-}" = --demo ]; then
    keep secrets/earwitness/accounts.toml <containers/accounts.demo.toml
elif [ ! -e secrets/earwitness/accounts.toml ]; then
    echo "now write secrets/earwitness/accounts.toml (see accounts.example.toml), then chmod 0444"
fi
