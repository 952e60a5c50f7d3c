# Installs Debian packages so that no service is started and no database cluster is made.
#
# $1 folder to take for the root of the file system; empty for the real one
# $2... packages; of `a|b` the first one that this system knows is taken
#
# What is changed for the duration is put back however this ends, except by SIGKILL; the next run then does it.
set -eu
root=$1
shift
policy=$root/usr/sbin/policy-rc.d
kept=$policy.before-flota
cluster=$root/etc/postgresql-common/createcluster.d/flota.conf

restore() {
    rm -f "$cluster" "$policy"
    if [ -e "$kept" ]; then mv "$kept" "$policy"; fi
}
trap restore EXIT
trap 'exit 130' HUP INT TERM

# invoke-rc.d asks this file before it starts a service, and 101 forbids it.
if [ -e "$policy" ] && ! grep -q 'flota xtask' "$policy"; then mv "$policy" "$kept"; fi
printf '#!/bin/sh\n# flota xtask, while it installs packages\nexit 101\n' >"$policy"
chmod 755 "$policy"

# postgresql-common reads this folder before it makes the cluster "main".
mkdir -p "${cluster%/*}"
echo 'create_main_cluster = false' >"$cluster"

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo 'The package lists could not be updated; continuing with those that are here.'

chosen=
for wanted; do
    for candidate in $(echo "$wanted" | tr '|' ' '); do
        if apt-cache show "$candidate" >/dev/null 2>&1; then break; fi
        candidate=${wanted%%|*}
    done
    chosen="$chosen $candidate"
done
# One word per package is meant, hence no quotes.
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 $chosen
