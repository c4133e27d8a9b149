#!/bin/sh
# A worker tells the others, in its heartbeat, the address that it listens on: in a container that is the container's own.
set -eu
if [ -z "${STREAMREC_WEB__HOST:-}" ]; then
    STREAMREC_WEB__HOST=$(python -c 'import socket; print(socket.gethostbyname(socket.gethostname()))')
    export STREAMREC_WEB__HOST
fi
exec streamrec "$@"
