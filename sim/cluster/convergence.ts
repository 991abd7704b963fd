/**
 * What must come to pass once nothing goes wrong any more: O8 everything converges, O11 every job has ended, O12
 * nothing is left over. Each answers with the first thing that is not so yet, or null.
 */
import { limits } from '../../src/config/limits.ts';
import type { Instance } from '../../src/config/model.ts';
import type { SimCluster } from './cluster.ts';
import { jobTwice, notUndone } from './oracles-jobs.ts';

/** O8 and O11: one leader, equal replicas, jobs ended, instances as they should be. null: converged. */
export function notConverged(cluster: SimCluster): string | null {
  const leader = cluster.leader();
  if (leader === null) return 'no leader';
  const { state, replica } = leader.member;
  const { commit, term } = replica.status();
  for (const node of state.list('nodes')) {
    const host = cluster.hosts.find((one) => one.name === node.name)!;
    if (host.lost) continue;
    const member = host.member;
    if (member === null || member.node_uuid !== node.uuid) return `${host.name} is not up`;
    const status = member.replica.status();
    if (status.term !== term) return `${host.name} is in term ${status.term}, not ${term}`;
    if (status.applied !== commit) return `${host.name} has applied ${status.applied} of ${commit}`;
    if (node.health !== 'member' && !node.offline) return `node ${node.name} is ${node.health}`;
    if (member.lease.mayStart() !== null) return `${host.name}: ${member.lease.mayStart()}`;
  }
  for (const job of state.list('jobs'))
    if (job.end_timestamp === null) return `job ${job.id} is ${job.status}`;
  for (const instance of state.list('instances')) {
    const wrong = wrongPlace(cluster, instance, nameOf(cluster, instance));
    if (wrong !== null) return wrong;
  }
  const holders = cluster.oracles.holders;
  if (holders.length !== 1 || holders[0] !== leader.host.name)
    return `the master address is on [${holders.join(' ')}], the leader is ${leader.host.name}`;
  return null;
}

function nameOf(cluster: SimCluster, instance: Instance): string {
  return cluster.leader()?.member.state.get('nodes', instance.owner.node)?.name ?? '?';
}

function isLost(cluster: SimCluster, name: string): boolean {
  return cluster.hosts.some((host) => host.name === name && host.lost);
}

function wrongPlace(cluster: SimCluster, instance: Instance, owner: string): string | null {
  const on = [...cluster.oracles.hostsRunning(instance.uuid)];
  // What waits for a host that is gone for good must be explained (explained.ts).
  if (instance.admin_state === 'up' && on.length === 0 && isLost(cluster, owner)) return null;
  const wanted = instance.admin_state === 'up' ? [owner] : [];
  // The wish stays although the guest could not be stopped: its job says so, and so does `cluster verify`.
  if (wanted.length === 0 && on.join() === owner && couldNotStop(cluster, instance.name)) return null;
  return on.join() === wanted.join()
    ? null
    : `instance ${instance.name} is ${instance.admin_state} on ${owner} and runs on [${on.join(' ')}]`;
}

/** Whether the last job that was to shut it down failed, with its disk full or its guest deaf. */
function couldNotStop(cluster: SimCluster, name: string): boolean {
  const last = [...(cluster.leader()?.member.state.list('jobs') ?? [])]
    .filter(({ ops }) =>
      ops.some(({ input }) => input.OP_ID === 'OP_INSTANCE_SHUTDOWN' && input['instance_name'] === name),
    )
    .sort((a, b) => a.id - b.id)
    .at(-1);
  return last?.status === 'error';
}

/** O3: what clients were told is still there, once. O11: what failed has left nothing. */
export function lostJob(cluster: SimCluster): string | null {
  const state = cluster.leader()?.member.state;
  if (state === undefined) return 'no leader';
  const jobs = new Map(state.list('jobs').map((job) => [job.id, job.request_id]));
  // Of jobs that have ended only so many are kept, the last to end.
  const all_kept =
    [...state.list('jobs')].filter((job) => job.end_timestamp !== null).length < limits.finished_jobs;
  for (const [id, request] of cluster.oracles.acknowledged) {
    const kept = jobs.get(id);
    if (kept === undefined ? all_kept : kept !== request)
      return `O3: job ${id} of ${request} is ${kept ?? 'gone'}`;
  }
  return jobTwice(state) ?? (all_kept ? notUndone(state) : null);
}

/** O12: disks, guests and journal entries that belong to nothing, or are missing. */
export function leftOver(cluster: SimCluster): string | null {
  const leader = cluster.leader();
  if (leader === null) return 'no leader';
  const { state } = leader.member;
  const instances = new Map(state.list('instances').map((one) => [one.uuid, one]));
  const shared = new Set<string>();
  const own = new Map<string, Set<string>>();
  for (const disk of state.list('disks')) {
    const path = String(disk.logical_id[1]);
    if (disk.dev_type === 'sharedfile') shared.add(path);
    else {
      const name = nameOf(cluster, instances.get(disk.instance)!);
      own.set(name, (own.get(name) ?? new Set()).add(path));
    }
  }
  const here = cluster.hosts.filter(
    (host) => !host.lost && state.list('nodes').some((node) => node.name === host.name),
  );
  // What the lost hosts of a recovered cluster made or removed last is known to nobody.
  const wrong = cluster.oracles.was_recovered
    ? null
    : (differ('shared storage', cluster.shared_files, shared) ??
      here
        .map((host) => differ(host.name, host.files, own.get(host.name) ?? new Set()))
        .find((found) => found !== null) ??
      null);
  if (wrong !== null) return wrong;
  for (const host of cluster.hosts) {
    for (const guest of host.kernel?.guests.values() ?? []) {
      const instance = instances.get(guest.guest.uuid);
      // On a host that was removed while it was lost a guest stands still until its operator says `node leave --force`.
      const still = !cluster.oracles.hostsRunning(guest.guest.uuid).has(host.name);
      if (!here.includes(host) && still) continue;
      if (
        instance === undefined ||
        nameOf(cluster, instance) !== host.name ||
        instance.owner.epoch !== guest.guest.epoch
      )
        return `O12: guest ${guest.spec.name} ${guest.spec.tag} is left on ${host.name}`;
    }
    // A host that was removed, and perhaps never heard of it, keeps to itself what it has.
    if (here.includes(host) && host.journal.count > 0)
      return `O12: ${host.journal.count} journal entries are left on ${host.name}`;
  }
  return null;
}

function differ(
  where: string,
  files: ReadonlyMap<string, number>,
  wanted: ReadonlySet<string>,
): string | null {
  for (const path of files.keys()) if (!wanted.has(path)) return `O12: ${path} is left on ${where}`;
  for (const path of wanted) if (!files.has(path)) return `O12: ${path} is missing on ${where}`;
  return null;
}
