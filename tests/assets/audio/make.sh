#!/bin/sh
# Makes the recordings of this folder: `apt-get install ffmpeg espeak-ng`, then `sh make.sh` here.
#
# One sentence is said once and written in every container that is known, as small as it stays intelligible.
set -eu
cd "$(dirname "$0")"
said="Buenos días. Le habla Ana, de la tienda. Su pedido cuarenta y dos ya va en camino."
spoken=$(mktemp -d)/spoken.wav
espeak-ng -v es-419 -s 150 -w "$spoken" "$said"

write() {
    out=$1
    shift
    ffmpeg -nostdin -hide_banner -loglevel error -y -i "$spoken" -fflags +bitexact -flags:a +bitexact -map_metadata -1 "$@" "$out"
}
write speech.flac -t 2 -ac 1 -ar 16000 -c:a flac
write speech.m4a -ac 1 -ar 16000 -c:a aac -b:a 16k
write speech.mp3 -ac 1 -ar 16000 -c:a libmp3lame -b:a 16k -id3v2_version 3 -metadata title=Pedido
write speech.mpeg -ac 1 -ar 16000 -c:a mp2 -b:a 32k -f mpeg
write speech.mpga -ac 1 -ar 16000 -c:a mp2 -b:a 32k -f mp2
write speech.ogg -ac 1 -ar 16000 -c:a libopus -b:a 12k -application voip
write vorbis.ogg -t 2 -ac 1 -ar 16000 -c:a libvorbis -q:a 0
write speech.wav -t 2 -ac 1 -ar 8000 -c:a pcm_u8
write speech.webm -ac 1 -c:a libopus -b:a 12k -application voip
# As browsers record: the length is in no header.
write live.webm -ac 1 -c:a libopus -b:a 12k -application voip -f webm -live 1 -cluster_time_limit 1000
# Known, and not to the API.
write speech.aac -ac 1 -ar 16000 -c:a aac -b:a 16k
write speech.aiff -t 1 -ac 1 -ar 8000 -c:a pcm_s16be

ffmpeg -nostdin -hide_banner -loglevel error -y -f lavfi -i testsrc=size=64x48:rate=5:duration=2 -i "$spoken" -shortest \
    -fflags +bitexact -flags:a +bitexact -flags:v +bitexact -c:v libx264 -crf 40 -pix_fmt yuv420p -ac 1 -ar 16000 -c:a aac -b:a 16k film.mp4
ffmpeg -nostdin -hide_banner -loglevel error -y -i film.mp4 -fflags +bitexact -an -c:v copy silent_film.mp4
ffmpeg -nostdin -hide_banner -loglevel error -y -f lavfi -i anullsrc=r=16000:cl=mono -t 2 -fflags +bitexact -flags:a +bitexact -c:a libopus -b:a 12k silence.ogg
