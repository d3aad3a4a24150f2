#!/usr/bin/env bash
# Start a private SLURM on this machine: a controller and two virtual nodes, c1 (partition cpu) and g1 (partition gpu, two
# fake GPUs). It needs no root, no systemd and no cgroups, touches nothing outside STATE_DIR and listens on loopback only.
# usage: up.sh STATE_DIR [slurmdbd]    then: . STATE_DIR/env.sh    and at last: down.sh STATE_DIR
# With slurmdbd there are accounts, kept in a private MariaDB, and the user belongs to the account "test".
set -euo pipefail
PATH=$PATH:/usr/sbin

fail() {
  echo "up.sh: $*" >&2
  exit 1
}

[ $# -ge 1 ] || fail "usage: up.sh STATE_DIR [slurmdbd]"
here=$(cd "$(dirname "$0")" && pwd)
state=$(mkdir -p "$1" && cd "$1" && pwd)
accounting=${2:-none}
host=${HOSTNAME%%.*}
user=$(id -un)

# The daemons bind to what the host name resolves to, and jobs must be able to reach them there.
address=$(getent ahostsv4 "$host" | awk 'NR == 1 { print $1 }') || true
[[ $address == 127.0.0.1 ]] || fail "'$host' means '$address'; the first line of /etc/hosts must be: 127.0.0.1 $host"

free_ports() { # the first of five free ports in a row for the daemons, with 190 more for srun
  local base port
  for base in {27000..31800..200}; do # below the ports that the system gives away
    for port in $base $((base + 1)) $((base + 2)) $((base + 3)) $((base + 4)); do
      (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue 2
    done
    echo $base && return
  done
  return 1
}
base=$(free_ports) || fail "no free ports between 27000 and 32000"

start() { # NAME COMMAND...: a daemon in the background; its process id is noted for down.sh
  local name=$1
  shift
  setsid "$@" >"$state/log/$name.out" 2>&1 </dev/null &
  echo $! >"$state/run/$name.pid"
}

wait_for() { # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  while ((SECONDS < end)); do
    timeout 5 "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "up.sh: timed out waiting for: $*" >&2
  return 1
}

mkdir -p "$state"/{bin,log,munge,run,spool/c1,spool/g1,state}
chmod 755 "$state" "$state/munge" # munged demands it
trap 'echo "up.sh: failed; the last lines of $state/log:" >&2; tail -n 5 "$state"/log/* >&2; "$here/down.sh" "$state"' ERR
export SLURM_CONF=$state/slurm.conf

# --- munge, with a key and a socket of its own
(umask 077 && head -c 128 /dev/urandom >"$state/munge/key")
start munged munged -F --force --key-file="$state/munge/key" --socket="$state/munge/socket" \
  --pid-file="$state/munge/pid" --seed-file="$state/munge/seed" --log-file="$state/munge/log" --origin=127.0.0.1
wait_for 10 munge -n -S "$state/munge/socket"

# --- configuration; a GPU is any character device
printf 'NodeName=g1 Name=gpu Type=fake File=%s\n' /dev/null /dev/zero >"$state/gres.conf"
cat >"$state/slurm.conf" <<END
ClusterName=testcluster
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
SrunPortRange=$((base + 10))-$((base + 199))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket
CredType=cred/munge
StateSaveLocation=$state/state
SlurmdSpoolDir=$state/spool/%n
SlurmctldPidFile=$state/run/slurmctld.own.pid
SlurmdPidFile=$state/run/slurmd-%n.own.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=5
ReturnToService=2
MinJobAge=1800
KillWait=2
EnforcePartLimits=ALL
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=c1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 2)) CPUs=4 RealMemory=200000
NodeName=g1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 3)) CPUs=4 RealMemory=200000 Gres=gpu:fake:2
PartitionName=cpu Nodes=c1 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=g1 MaxTime=INFINITE State=UP
END

# --- accounts
if [ "$accounting" = slurmdbd ]; then
  mariadb-install-db --no-defaults --user="$user" --datadir="$state/db" --auth-root-authentication-method=normal \
    --skip-test-db >"$state/log/mariadb-install.out" 2>&1
  start mariadbd mariadbd --no-defaults --user="$user" --datadir="$state/db" --socket="$state/run/mariadb.sock" \
    --pid-file="$state/run/mariadbd.own.pid" --bind-address=127.0.0.1 --port=$((base + 4)) \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0
  wait_for 60 mariadb-admin --no-defaults -u root -S "$state/run/mariadb.sock" ping
  mariadb --no-defaults -u root -S "$state/run/mariadb.sock" -e "CREATE DATABASE slurm_acct_db;
    CREATE USER slurm@'%' IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO slurm@'%';
    CREATE USER slurm@localhost IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO slurm@localhost;"
  (umask 077 && cat >"$state/slurmdbd.conf") <<END
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket
DbdAddr=127.0.0.1
DbdHost=$host
DbdPort=$((base + 1))
CommunicationParameters=NoInAddrAny
SlurmUser=$user
LogFile=$state/log/slurmdbd.log
PidFile=$state/run/slurmdbd.own.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((base + 4))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
END
  # slurmdbd is reached by the private munge only when its socket is given as the password.
  cat >>"$state/slurm.conf" <<END
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((base + 1))
AccountingStoragePass=$state/munge/socket
AccountingStorageTRES=gres/gpu
END
  start slurmdbd slurmdbd -D
  wait_for 60 sacctmgr -n list cluster
  sacctmgr -i add cluster testcluster >/dev/null
  sacctmgr -i add account test description=test organization=test >/dev/null
  sacctmgr -i add user "$user" account=test >/dev/null
else
  echo "AccountingStorageType=accounting_storage/none" >>"$state/slurm.conf"
fi

# --- controller and nodes
start slurmctld slurmctld -D -i
for node in c1 g1; do start "slurmd-$node" slurmd -D -N "$node"; done

# Snakemake's job step removes SLURM_CONF from its environment; this srun, first in PATH, brings it back.
printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$state/slurm.conf" "$(command -v srun)" >"$state/bin/srun"
chmod 755 "$state/bin/srun"
printf 'export SLURM_CONF=%q PATH=%q:$PATH\n' "$state/slurm.conf" "$state/bin" >"$state/env.sh"
wait_for 60 sh -c '[ "$(sinfo -h -N -o %T | sort -u)" = idle ]'
