# Makes a private directory, prints its path, and removes it when standard input ends: when nobody holds the
# other end any more, neither the process that asked for the directory nor a supervisor of a server in it.
#
# $1 directory to make it in
trap '' HUP INT TERM
directory=$(mktemp -d "$1/flota-XXXXXXXX") || exit 1
echo "$directory"
exec >/dev/null 2>&1

while read -r _; do :; done

# A Postgres that was killed leaves a System V memory segment; line 7 of its lock file names it (key, then id).
for lock in "$directory"/cluster*/postmaster.pid; do
    segment=$(sed -n '7s/.* //p' "$lock") && [ -n "$segment" ] && ipcrm -m "$segment"
done

# A process that was killed a moment ago may still be writing its last file.
tries=100
until rm -rf "$directory" || [ "$tries" -eq 0 ]; do
    sleep 0.05
    tries=$((tries - 1))
done
