#!/bin/sh
# Makes secrets/ for compose.yaml: a password for Redis, PostgreSQL and Flower each, and the files
# with which the services reach them. What is there already stays as it is.
#
#   sh containers/secrets.sh           # then write secrets/earwitness/accounts.toml
#   sh containers/secrets.sh --demo    # with the accounts of the simulated providers
#
# The containers' users must read these files and the others on this host must not: so the files are
# readable, and the folder around them lets nobody in.
set -eu
cd "$(dirname "$0")/.."

password() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # keep FILE: standard input, unless there is one
    if [ -e "$1" ]; then
        cat >/dev/null
    else
        cat >"$1"
        chmod 0444 "$1"
        echo "made $1"
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
        echo "only one of $file and $address is there, and both hold the password: remove it" >&2
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
    echo "now write secrets/earwitness/accounts.toml (accounts.example.toml shows how), chmod 0444"
fi
