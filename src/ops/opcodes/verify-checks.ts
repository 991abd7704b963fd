/**
 * What `cluster verify` calls wrong. Pure: a state and the nodes' reports in, findings out. Codes are Ganeti's where
 * it has one.
 */
import type { StateView } from '../../config/api.ts';
import type { Instance } from '../../config/model.ts';
import { fillBeParams } from '../../config/params.ts';
import { violators } from '../policy-check.ts';
import type { NodeVerifyReport } from '../types.ts';
import { clusterOf, guardWouldChange } from './lookup.ts';

/** [type, error code, object type, object name, text] */
export type Finding = readonly ['ERROR' | 'WARNING', string, string, string, string];

export interface NodeReport {
  readonly uuid: string;
  readonly name: string;
  readonly report: NodeVerifyReport | null;
  /** Why there is no report. */
  readonly problem: string;
}

/** Ganeti's limit for the difference of wall clocks. */
const clock_skew_s = 150;

export function verifyConfiguration(state: StateView): readonly Finding[] {
  const cluster = clusterOf(state);
  const found: Finding[] = [];
  const groups = new Set(state.list('groups').map((group) => group.uuid));
  for (const node of state.list('nodes')) {
    if (!groups.has(node.group))
      found.push([
        'ERROR',
        'ECLUSTERCFG',
        'node',
        node.name,
        `is in node group ${node.group}, which does not exist`,
      ]);
    if (node.health !== 'member')
      found.push(['ERROR', 'ENODERPC', 'node', node.name, `is ${node.health}: ${node.health_reason}`]);
  }
  const macs = new Map<string, string>();
  const disks = new Set<string>();
  for (const instance of state.list('instances')) {
    const say = (code: string, what: string) => found.push(['ERROR', code, 'instance', instance.name, what]);
    const node = state.get('nodes', instance.owner.node);
    if (!node) say('EINSTANCEBADNODE', `is owned by ${instance.owner.node}, which is no node`);
    else if (node.offline && instance.admin_state === 'up')
      say('EINSTANCEBADNODE', `should run on node ${node.name}, which is marked offline`);
    if (!cluster.enabled_hypervisors.includes(instance.hypervisor))
      say('EINSTANCEUNSUITABLENODE', `has hypervisor ${instance.hypervisor}, which is not enabled`);
    if (!cluster.enabled_disk_templates.includes(instance.disk_template))
      say('EINSTANCEUNSUITABLENODE', `has disk template ${instance.disk_template}, which is not enabled`);
    for (const uuid of instance.disks) {
      disks.add(uuid);
      if (!state.get('disks', uuid))
        say('EINSTANCEMISSINGDISK', `has disk ${uuid}, which is not in the configuration`);
    }
    for (const { mac } of instance.nics) {
      const other = macs.get(mac);
      if (other !== undefined) say('ECLUSTERCFG', `has MAC address ${mac}, which instance ${other} has too`);
      macs.set(mac, instance.name);
    }
  }
  for (const disk of state.list('disks')) {
    if (!disks.has(disk.uuid))
      found.push([
        'ERROR',
        'ECLUSTERDANGLINGDISKS',
        'cluster',
        cluster.cluster_name,
        `disk ${disk.uuid} belongs to no instance`,
      ]);
  }
  return found;
}

export function verifyNodes(
  state: StateView,
  reports: readonly NodeReport[],
  now_s: number,
): readonly Finding[] {
  const found: Finding[] = [];
  const answered = reports.filter(
    (each): each is NodeReport & { report: NodeVerifyReport } => each.report !== null,
  );
  for (const { uuid, name, report, problem } of reports) {
    const offline = state.get('nodes', uuid)?.offline ?? false;
    if (report === null && !offline)
      found.push(['ERROR', 'ENODERPC', 'node', name, `could not be asked: ${problem}`]);
  }
  for (const { uuid, name, report } of answered) {
    const say = (code: string, what: string, type: Finding[0] = 'ERROR') =>
      found.push([type, code, 'node', name, what]);
    for (const file of report.orphan_files)
      say(
        'ENODEFILESTORAGEPATHS',
        `has the file ${file}, which belongs to no disk of the configuration`,
        'WARNING',
      );
    for (const disk of report.missing_disks) say('EINSTANCEMISSINGDISK', `does not have the disk ${disk}`);
    for (const [hypervisor, { available, reason }] of Object.entries(report.hypervisors)) {
      const enabled = clusterOf(state).enabled_hypervisors.includes(hypervisor);
      if (enabled && !available) say('ENODEHV', `cannot run hypervisor ${hypervisor}: ${reason}`);
    }
    const skew_s = Math.abs(report.wall_time - now_s);
    if (skew_s > clock_skew_s)
      say('ENODETIME', `has a clock that is ${Math.round(skew_s)} s off: expected at most ${clock_skew_s} s`);
    found.push(...verifyGuests(state, uuid, name, report, now_s));
  }
  found.push(...verifyEqual(answered));
  return found;
}

function verifyGuests(
  state: StateView,
  node: string,
  node_name: string,
  report: NodeVerifyReport,
  now_s: number,
): readonly Finding[] {
  const found: Finding[] = [];
  const running = new Map(
    report.guests.filter((guest) => guest.state !== 'shutdown').map((guest) => [guest.uuid, guest]),
  );
  for (const guest of running.values()) {
    const instance = state.get('instances', guest.uuid);
    if (!instance)
      found.push([
        'ERROR',
        'ENODEORPHANINSTANCE',
        'node',
        node_name,
        `runs ${guest.name}, which is no instance of the cluster`,
      ]);
    else if (instance.owner.node !== node)
      found.push([
        'ERROR',
        'EINSTANCEWRONGNODE',
        'instance',
        instance.name,
        `runs on node ${node_name}, which does not own it`,
      ]);
    else if (instance.owner.epoch !== guest.epoch)
      found.push([
        'ERROR',
        'EINSTANCEWRONGNODE',
        'instance',
        instance.name,
        `runs on node ${node_name} under epoch ${guest.epoch}: expected ${instance.owner.epoch}`,
      ]);
    else if (instance.admin_state !== 'up')
      found.push([
        'ERROR',
        'EINSTANCEDOWN',
        'instance',
        instance.name,
        `runs although it should be ${instance.admin_state}`,
      ]);
    else if (!instance.guarded && guardWouldChange(state, instance.uuid, now_s))
      found.push([
        'WARNING',
        'EINSTANCEPOLICY',
        'instance',
        instance.name,
        `is not guarded, so that it would wait for node ${node_name} if that were lost: it was started while it ` +
          `needed no guard; start it anew with skein instance reboot ${instance.name}`,
      ]);
  }
  for (const instance of state.list('instances')) {
    const missing =
      instance.owner.node === node && instance.admin_state === 'up' && !running.has(instance.uuid);
    if (missing)
      found.push([
        'ERROR',
        'EINSTANCEDOWN',
        'instance',
        instance.name,
        `should run on node ${node_name} and does not`,
      ]);
  }
  return found;
}

/** The same index must give the same state; and all should run the same version. */
function verifyEqual(answered: readonly { name: string; report: NodeVerifyReport }[]): readonly Finding[] {
  const found: Finding[] = [];
  const first_at = new Map<number, { name: string; hash: string }>();
  for (const { name, report } of answered) {
    const { index, hash } = report.state_hash_at;
    const first = first_at.get(index);
    if (!first) first_at.set(index, { name, hash });
    else if (first.hash !== hash)
      found.push([
        'ERROR',
        'ECLUSTERCFG',
        'node',
        name,
        `has another state than node ${first.name} at index ${index}: ${hash.slice(0, 12)}, ${first.hash.slice(0, 12)}`,
      ]);
  }
  const versions = new Set(answered.map(({ report }) => report.version));
  if (versions.size > 1) {
    for (const { name, report } of answered)
      found.push([
        'WARNING',
        'ENODEVERSION',
        'node',
        name,
        `runs version ${report.version}; the cluster has ${[...versions].sort().join(', ')}`,
      ]);
  }
  return found;
}

/** Whether instances keep to the instance policies of their groups. They run on if they do not. */
export function verifyPolicies(state: StateView): readonly Finding[] {
  return [...violators(state, clusterOf(state))].map(
    ([name, violations]): Finding => [
      'WARNING',
      'EINSTANCEPOLICY',
      'instance',
      name,
      `violates its instance policy: ${violations.join('; ')}`,
    ],
  );
}

/** N+1: whether the instances of any one node, if it failed, would find memory on the others. */
export function verifyMemory(state: StateView, reports: readonly NodeReport[]): readonly Finding[] {
  const cluster = clusterOf(state);
  const movable = (instance: Instance): boolean =>
    instance.admin_state === 'up' && ['sharedfile', 'diskless'].includes(instance.disk_template);
  const free = new Map<string, number>();
  for (const { uuid, report } of reports) {
    const node = state.get('nodes', uuid);
    if (report && node?.vm_capable && !node.offline && !node.drained)
      free.set(uuid, report.free_mib.memory ?? 0);
  }
  const found: Finding[] = [];
  for (const { uuid, name } of reports) {
    const sizes = state
      .list('instances')
      .filter((instance) => instance.owner.node === uuid && movable(instance))
      .map((instance) => fillBeParams(cluster, instance).minmem)
      .sort((a, b) => b - a);
    const rooms = [...free].filter(([other]) => other !== uuid).map(([, mib]) => mib);
    // Largest first into the roomiest node: a fit found is a fit; one missed is only likely missing.
    const homeless = sizes.filter((size) => {
      const best = rooms.indexOf(Math.max(...rooms));
      if (best < 0 || rooms[best]! < size) return true;
      rooms[best]! -= size;
      return false;
    });
    if (homeless.length > 0) {
      const sum_mib = homeless.reduce((sum, size) => sum + size, 0);
      found.push([
        'ERROR',
        'ENODEN1',
        'node',
        name,
        `if it failed, ${homeless.length} of its instances (${sum_mib} MiB) would find no memory on other nodes`,
      ]);
    }
  }
  return found;
}
