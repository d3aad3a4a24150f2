#!/usr/bin/env bash
# Cancel all jobs of the SLURM that up.sh started, then stop its daemons, by process id only. usage: down.sh STATE_DIR
set -u
state=$(cd "$1" && pwd) || exit
export SLURM_CONF=$state/slurm.conf

alive() { grep -qs '^State:.[^ZX]' "/proc/$1/status"; } # a zombie that waits for its reaper counts as gone

wait_until() { # at most 10 seconds, COMMAND...
  for _ in {1..100}; do
    "$@" && return
    sleep 0.1
  done
}

gone() { ! alive "$1"; }
idle() { [ -z "$(timeout 5 squeue -h -t R,CG)" ]; }

controller=$(cat "$state/run/slurmctld.pid" 2>/dev/null) && alive "$controller" && {
  timeout 10 scancel --user="$(id -un)"
  wait_until idle
}
for daemon in slurmd-c1 slurmd-g1 slurmctld slurmdbd mariadbd munged; do
  pid=$(cat "$state/run/$daemon.pid" 2>/dev/null) || continue
  kill "$pid" 2>/dev/null
  wait_until gone "$pid"
  alive "$pid" && kill -9 "$pid"
  rm "$state/run/$daemon.pid"
done
exit 0
