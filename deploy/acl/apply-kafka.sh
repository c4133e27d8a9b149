#!/usr/bin/env bash
# Give each role its rights in Kafka, as kafka.acl beside this script says.
#
#   apply-kafka.sh [--user-prefix streamrec-] [--group-prefix streamrec] -- --bootstrap-server B:9093 --command-config admin.properties
#
# What stands after -- goes to Kafka's own kafka-acls.sh as it is; KAFKA_ACLS names that program where it is not on the PATH.
# The same rights again change nothing. Users themselves are made by whoever makes users, with SCRAM:
#   kafka-configs.sh … --alter --add-config 'SCRAM-SHA-512=[password=…]' --entity-type users --entity-name streamrec-embedder
set -euo pipefail

users=streamrec-
groups=streamrec
while (($#)); do
    case $1 in
        --user-prefix) users=$2; shift 2 ;;
        --group-prefix) groups=$2; shift 2 ;;
        --) shift; break ;;
        *) echo "apply-kafka.sh: $1 is not known; put kafka-acls.sh's own options after --" >&2; exit 2 ;;
    esac
done

while read -r role resource name operations; do
    if [[ $resource == group ]]; then
        name=${name/#streamrec/$groups}
    fi
    options=(--add --allow-principal "User:$users$role" "--$resource" "${name%\*}")
    if [[ $name == *'*' ]]; then
        options+=(--resource-pattern-type prefixed)
    fi
    for operation in ${operations//,/ }; do
        options+=(--operation "$operation")
    done
    "${KAFKA_ACLS:-kafka-acls.sh}" "$@" "${options[@]}" < /dev/null
done < <(grep -Ev '^ *(#|$)' "$(dirname "${BASH_SOURCE[0]}")/kafka.acl")
