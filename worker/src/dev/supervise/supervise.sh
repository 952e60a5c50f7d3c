# Runs one server and stops it when standard input ends: when our parent asks for it, or when it is gone.
#
# $1 signal that asks the server to stop    $2 twentieths of a second it may take before it is killed
# $3 file that receives its output          $4... the server and its arguments
#
# standard error   the server's process id, then nothing; it ends when the last process of the server has ended
# standard output  unused, held open until the server is gone (the caretaker of its directory waits for that)
# exit status      the server's
trap '' HUP INT TERM
stop_signal=$1 patience=$2 log=$3
shift 3

(
    trap - HUP INT TERM
    exec "$@" 3>&2 </dev/null >>"$log" 2>&1
) &
server=$!
echo "$server" >&2
exec 2>/dev/null

read -r _

kill -s "$stop_signal" "$server"
# A paused server would only see the signal after it is resumed.
signal_family CONT "$server"
while [ "$patience" -gt 0 ] && kill -0 "$server"; do
    sleep 0.05
    patience=$((patience - 1))
done
if kill -0 "$server"; then
    signal_family KILL "$server"
fi
wait "$server"
