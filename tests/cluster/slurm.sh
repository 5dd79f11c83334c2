#!/usr/bin/env bash
# A real SLURM of two nodes on this machine, for tests: slurm.sh start FOLDER | stop FOLDER.
# Node n1 is this machine as it is; n2 has a process namespace of its own, so that, as on two machines, neither can look
# up the other's processes. Each has half the cores and memory; both speak over the loopback device.
# Uses slurmctld, slurmd and munged of the system; where they are missing, Debian's packages are unpacked under FOLDER
# (nothing is installed). Wanted: Linux, root, apt-get or the packages slurmctld, slurmd, slurm-client, munge.
# After `start`, `source FOLDER/env` gives sinfo, sbatch and the rest.
set -euo pipefail
action=$1 root=$(mkdir -p "$2" && cd "$2" && pwd)
packages="slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libmunge2 libhwloc15 liblua5.1-0"

unpack() {
  mkdir -p "$root/debs" "$root/tree"
  (cd "$root/debs" && ls ./*.deb >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq $packages; })
  for deb in "$root"/debs/*.deb; do dpkg -x "$deb" "$root/tree"; done
}

write_env() {
  if command -v slurmctld >/dev/null && command -v munged >/dev/null; then
    tree="" plugins=$(dirname "$(find / -xdev -name select_cons_tres.so -print -quit 2>/dev/null)")
    stepd=$(find /usr -name slurmstepd ! -type d -print -quit)
  else
    unpack
    tree="$root/tree"
    plugins=$(dirname "$(find "$tree" -name select_cons_tres.so -print -quit)")
    for tool in slurmctld slurmd slurmstepd; do ln -sf "$tool-wlm" "$tree/usr/sbin/$tool"; done
    stepd=$tree/usr/sbin/slurmstepd
  fi
  libraries="$tree/usr/lib/$(uname -m)-linux-gnu:$plugins:$tree/usr/lib/$(uname -m)-linux-gnu/slurm-wlm"
  cat > "$root/env" <<END
export SLURM_CONF=$root/slurm.conf
export PATH=$tree/usr/bin:$tree/usr/sbin:\$PATH
export SLURM_STEPD=$stepd
END
  if [ -n "$tree" ]; then echo "export LD_LIBRARY_PATH=$libraries:\${LD_LIBRARY_PATH:-}" >> "$root/env"; fi
  plugin_dir=$plugins
}

write_conf() {
  host=$(hostname -s)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.4)}' /proc/meminfo)
  cores=$(($(nproc) > 1 ? $(nproc) / 2 : 1))
  mkdir -p "$root"/{state,spool/n1,spool/n2,log,run}
  cat > "$root/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/run/munge.socket
CryptoType=crypto/munge
CredType=cred/munge
PluginDir=$plugin_dir
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool/%n
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/slurmd-%n.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/slurmd-%n.log
SlurmctldPort=17817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=5,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=20
MinJobAge=600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
ReturnToService=2
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17818 CPUs=$cores RealMemory=$memory State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17819 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
END
}

start() {
  write_env
  write_conf
  source "$root/env"
  ( umask 077; head -c 1024 /dev/urandom > "$root/munge.key" )
  chmod 700 "$root/run"
  munged --force --key-file="$root/munge.key" --socket="$root/run/munge.socket" --pid-file="$root/run/munged.pid" \
    --log-file="$root/log/munged.log" --seed-file="$root/run/munged.seed"
  chmod 755 "$root/run"
  slurmctld -c
  slurmd -N n1 -d "$SLURM_STEPD"
  setsid unshare --pid --fork --kill-child --mount-proc slurmd -D -N n2 -d "$SLURM_STEPD" </dev/null >/dev/null 2>&1 &
  echo $! > "$root/run/unshare.pid"
  for _ in $(seq 120); do
    [ "$(sinfo --noheader --Node --partition=low --states=idle --format=%N 2>/dev/null | wc -l)" = 2 ] && { sinfo; return; }
    sleep 1
  done
  tail -n 20 "$root"/log/*.log >&2
  echo "error: the two nodes did not become idle" >&2
  exit 1
}

stop() {
  [ -f "$root/env" ] && source "$root/env"
  scancel --user=root --full 2>/dev/null || true
  for _ in $(seq 30); do squeue --noheader 2>/dev/null | grep -q . || break; sleep 1; done
  [ -f "$root/run/unshare.pid" ] && kill -9 "$(cat "$root/run/unshare.pid")" 2>/dev/null || true  # it heeds no other
  for name in slurmd-n1 slurmctld munged; do
    [ -f "$root/run/$name.pid" ] && kill "$(cat "$root/run/$name.pid")" 2>/dev/null || true
  done
}

"$action"
