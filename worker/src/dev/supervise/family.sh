# signal_family SIGNAL PID: sends a signal to a server and to the processes it has started.
#
# Postgres gives each of its processes a process group of its own, so a group signal reaches only the first. The
# server is frozen while its children are listed, or it could start one more behind our back. Where there is no
# /proc the server alone is reached.
signal_family() {
    kill -s STOP "$2"
    family=$(grep -lsx "PPid:[[:space:]]*$2" /proc/[0-9]*/status | cut -d/ -f3)
    # One word per process id is meant, hence no quotes.
    kill -s "$1" "$2" $family
    # Whoever is to hear the signal must not stay frozen.
    case "$1" in
        STOP | KILL) ;;
        *) kill -s CONT "$2" ;;
    esac
}
