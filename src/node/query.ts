/**
 * Rows for listings: configuration joined with what the nodes reported last. Field names are Ganeti's
 * (cli.md, section 3). Pure.
 */
import type { StateView } from '../config/api.ts';
import type { NicParams } from '../config/defaults.ts';
import { fillIPolicy } from '../config/ipolicy.ts';
import type { Instance, Job, Node } from '../config/model.ts';
import { fillBeParams, fillHvParams, fillNdParams, fillNicParams } from '../config/params.ts';
import type { LiveNode } from '../ops/types.ts';
import type { QueryResource } from './api-types.ts';
import { jobSummary } from './events.ts';

export interface QueryWorld {
  readonly state: StateView;
  /** By node uuid; missing when the leader has not heard it. */
  readonly live: ReadonlyMap<string, LiveNode>;
  /** Committed entries that a member lacks, by member number; absent: nobody asked the leader. */
  readonly lags?: ReadonlyMap<number, number>;
  /** Member number of the leader; 0 when unknown. */
  readonly leader: number;
  /** Members that vote. */
  readonly voters: readonly number[];
  readonly wall_s: number;
}

type Row = Record<string, unknown>;

/** Live data older than this does not say that a guest runs. */
const stale_live_ms = 5_000;

export function instanceStatus(
  instance: Instance,
  node: Node | undefined,
  live: LiveNode | undefined,
  elsewhere: boolean,
): string {
  if (node?.offline) return 'ERROR_nodeoffline';
  const fresh = live && live.age_ms <= stale_live_ms && node?.health !== 'lost';
  if (!fresh) return instance.admin_state === 'up' ? 'ERROR_nodedown' : `ADMIN_${instance.admin_state}`;
  const guest = live.guests.find((candidate) => candidate.uuid === instance.uuid);
  if (elsewhere && !guest) return 'ERROR_wrongnode';
  if (guest) {
    if (instance.admin_state !== 'up') return 'ERROR_up';
    return guest.state === 'paused' ? 'paused' : 'running';
  }
  if (instance.admin_state === 'up') return 'ERROR_down';
  return instance.admin_state_source === 'user' ? 'USER_down' : `ADMIN_${instance.admin_state}`;
}

/** Nodes that run a guest, by the guest's uuid: looked up once for a listing instead of once for each row. */
function hostsByGuest(world: QueryWorld): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const [node, live] of world.live)
    for (const guest of live.guests) {
      const known = hosts.get(guest.uuid);
      if (known) known.push(node);
      else hosts.set(guest.uuid, [node]);
    }
  return hosts;
}

/** What takes time to work out is a getter: only a field that is asked for is paid for. */
function instanceRow(
  world: QueryWorld,
  instance: Instance,
  hosts: ReadonlyMap<string, readonly string[]>,
  with_params: boolean,
): Row {
  const { state } = world;
  const cluster = state.get('cluster', 'cluster')!;
  const node = state.get('nodes', instance.primary_node);
  const group = node ? state.get('groups', node.group) : undefined;
  const live = world.live.get(instance.primary_node);
  const runs_on = hosts.get(instance.uuid) ?? [];
  const guest = runs_on.includes(instance.primary_node)
    ? live?.guests.find((candidate) => candidate.uuid === instance.uuid)
    : undefined;
  const elsewhere = runs_on.some((uuid) => uuid !== instance.primary_node);
  const disks = instance.disks.map((uuid) => state.get('disks', uuid)).filter((disk) => disk !== undefined);
  const filled = (key: keyof NicParams) =>
    instance.nics.map((nic) => fillNicParams(cluster, nic)[key] ?? null);
  const row: Row = {
    name: instance.name,
    uuid: instance.uuid,
    status: instanceStatus(instance, node, live, elsewhere),
    admin_state: instance.admin_state,
    admin_state_source: instance.admin_state_source,
    admin_up: instance.admin_state === 'up',
    oper_state: guest ? guest.state === 'running' : false,
    oper_ram: guest?.memory_mib ?? null,
    oper_vcpus: guest?.vcpus ?? null,
    pnode: node?.name ?? instance.primary_node,
    'pnode.group': group?.name ?? null,
    'pnode.group.uuid': group?.uuid ?? null,
    snodes: [],
    'snodes.group': [],
    'snodes.group.uuid': [],
    os: instance.os,
    hypervisor: instance.hypervisor,
    get hvparams() {
      return fillHvParams(cluster, instance);
    },
    custom_hvparams: instance.hvparams,
    get beparams() {
      return fillBeParams(cluster, instance);
    },
    custom_beparams: instance.beparams,
    osparams: instance.osparams,
    custom_osparams: instance.osparams,
    disk_template: instance.disk_template,
    'disk.count': disks.length,
    'disk.sizes': disks.map((disk) => disk.size),
    'disk.names': disks.map((disk) => disk.name),
    'disk.uuids': disks.map((disk) => disk.uuid),
    'disk.paths': disks.map((disk) => disk.logical_id[1] ?? null),
    disk_usage: disks.reduce((sum, disk) => sum + disk.size, 0),
    'nic.count': instance.nics.length,
    'nic.macs': instance.nics.map((nic) => nic.mac),
    'nic.ips': instance.nics.map((nic) => nic.ip),
    get 'nic.modes'() {
      return filled('mode');
    },
    get 'nic.links'() {
      return filled('link');
    },
    get 'nic.vlans'() {
      return filled('vlan');
    },
    'nic.names': instance.nics.map((nic) => nic.name),
    'nic.uuids': instance.nics.map((nic) => nic.uuid),
    custom_nicparams: instance.nics.map((nic) => nic.nicparams),
    tags: instance.tags,
    epoch: instance.owner.epoch,
    owner_boot: instance.owner.boot,
    ctime: instance.ctime,
    mtime: instance.mtime,
    serial_no: instance.serial_no,
  };
  if (!with_params) return row;
  const beparams = fillBeParams(cluster, instance);
  for (const [key, value] of Object.entries(beparams)) row[`be/${key}`] = value;
  for (const [key, value] of Object.entries(row['hvparams'] as Row)) row[`hv/${key}`] = value;
  row['be/memory'] = beparams['maxmem'];
  row['vcpus'] = beparams['vcpus'];
  return row;
}

export function nodeRole(node: Node, world: Pick<QueryWorld, 'leader' | 'voters'>): string {
  if (node.member === world.leader) return 'M';
  if (node.offline) return 'O';
  if (node.drained) return 'D';
  return world.voters.includes(node.member) ? 'C' : 'R';
}

function nodeRow(world: QueryWorld, node: Node): Row {
  const { state } = world;
  const cluster = state.get('cluster', 'cluster')!;
  const group = state.get('groups', node.group);
  const live = world.live.get(node.uuid);
  const primaries = state.list('instances').filter((instance) => instance.primary_node === node.uuid);
  return {
    name: node.name,
    uuid: node.uuid,
    member: node.member,
    peer_id: node.peer_id,
    addresses: node.addresses,
    pip: node.primary_ip,
    sip: node.secondary_ip,
    group: group?.name ?? node.group,
    'group.uuid': node.group,
    role: nodeRole(node, world),
    master: node.member === world.leader,
    voter: world.voters.includes(node.member),
    master_candidate: world.voters.includes(node.member),
    master_capable: node.master_capable,
    vm_capable: node.vm_capable,
    offline: node.offline,
    drained: node.drained,
    health: node.health,
    health_since: node.health_since,
    health_reason: node.health_reason,
    boot: node.boot,
    lag: world.lags?.get(node.member) ?? null,
    heard_ms: live ? Math.round(live.age_ms) : null,
    protection: 'time only',
    mtotal: live?.total_memory_mib ?? null,
    mfree: live?.free_memory_mib ?? null,
    mnode: live ? live.total_memory_mib - live.free_memory_mib : null,
    dtotal: live?.total_disk_mib ?? null,
    dfree: live?.free_disk_mib ?? null,
    ctotal: live?.cpus ?? null,
    os: live?.os ?? null,
    pinst_cnt: primaries.length,
    pinst_list: primaries.map((instance) => instance.name),
    sinst_cnt: 0,
    sinst_list: [],
    ndparams: group ? fillNdParams(cluster, group, node) : node.ndparams,
    custom_ndparams: node.ndparams,
    tags: node.tags,
    ctime: node.ctime,
    mtime: node.mtime,
    serial_no: node.serial_no,
  };
}

function jobRow(job: Job): Row {
  return {
    id: job.id,
    status: job.status,
    summary: jobSummary(job),
    priority: job.ops[0]?.priority ?? 0,
    received_ts: job.received_timestamp,
    start_ts: job.start_timestamp,
    end_ts: job.end_timestamp,
    ops: job.ops.map((op) => op.input),
    opstatus: job.ops.map((op) => op.status),
    opresult: job.ops.map((op) => op.result),
    oplog: job.ops.map((op) => op.log),
    opstart: job.ops.map((op) => op.start_timestamp),
    opexec: job.ops.map((op) => op.exec_timestamp),
    opend: job.ops.map((op) => op.end_timestamp),
    oppriority: job.ops.map((op) => op.priority),
    cancel_requested: job.cancel_requested,
    hold: job.hold ?? null,
    locks: job.locks,
    reason: job.reason,
    request_id: job.request_id,
  };
}

function osRows(world: QueryWorld): Row[] {
  const by_name = new Map<string, string[]>();
  for (const [uuid, live] of world.live) {
    const node = world.state.get('nodes', uuid);
    for (const name of live.os) by_name.set(name, [...(by_name.get(name) ?? []), node?.name ?? uuid]);
  }
  const capable = world.state.list('nodes').filter((node) => node.vm_capable && !node.offline);
  return [...by_name]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, nodes]) => ({
      name: name.split('+')[0],
      variants: name.includes('+') ? [name.split('+')[1]] : [],
      full_name: name,
      nodes: nodes.sort(),
      valid: capable.every((node) => nodes.includes(node.name)),
    }));
}

function tagRows(state: StateView): Row[] {
  const rows: Row[] = [];
  const add = (kind: string, name: string, tags: readonly string[]) => {
    for (const tag of tags)
      rows.push({ kind, name, tag, path: kind === 'cluster' ? '/cluster' : `/${kind}s/${name}` });
  };
  add('cluster', 'cluster', state.get('cluster', 'cluster')?.tags ?? []);
  for (const group of state.list('groups')) add('nodegroup', group.name, group.tags);
  for (const node of state.list('nodes')) add('node', node.name, node.tags);
  for (const instance of state.list('instances')) add('instance', instance.name, instance.tags);
  return rows;
}

function lockRows(state: StateView): Row[] {
  const rows: Row[] = [];
  for (const job of state.list('jobs')) {
    if (job.status !== 'running' && job.status !== 'canceling') continue;
    for (const lock of job.locks)
      rows.push({
        name: lock.name,
        mode: lock.exclusive ? 'exclusive' : 'shared',
        owner: [`job${job.id}`],
        pending: [],
      });
  }
  return rows;
}

/** The row with only those of `fields` that it has; null: all of them. */
function pick(row: Row, fields: readonly string[] | null): Row {
  if (fields === null) return { ...row };
  const picked: Row = {};
  for (const field of fields) if (Object.hasOwn(row, field)) picked[field] = row[field];
  return picked;
}

/** Resources whose rows say what the nodes reported last, beside the configuration. */
export function needsLive(resource: QueryResource): boolean {
  return resource === 'node' || resource === 'instance' || resource === 'os';
}

/**
 * All rows of a resource; `names` (or uuids, or job ids) selects. Unknown names are reported in `missing`.
 * @param fields what the rows shall have, as far as they have it: a listing needs a few of the many. null: everything.
 */
export function queryRows(
  world: QueryWorld,
  resource: QueryResource,
  names: readonly string[],
  fields: readonly string[] | null = null,
): { rows: Row[]; missing: string[] } {
  const { state } = world;
  const rows = ((): Row[] => {
    switch (resource) {
      case 'cluster': {
        const cluster = state.get('cluster', 'cluster');
        if (!cluster) return [];
        const master = state.list('nodes').find((node) => node.member === world.leader);
        return [
          {
            ...cluster,
            ipolicy: fillIPolicy(cluster, null),
            name: cluster.cluster_name,
            master: master?.name ?? null,
            master_node: master?.uuid ?? null,
            nodes: state.count('nodes'),
            instances: state.count('instances'),
          },
        ];
      }
      case 'group': {
        const cluster = state.get('cluster', 'cluster');
        return state.list('groups').map((group) => {
          const nodes = state.list('nodes').filter((node) => node.group === group.uuid);
          const members = new Set(nodes.map((node) => node.uuid));
          const primaries = state.list('instances').filter((instance) => members.has(instance.primary_node));
          return {
            ...group,
            ...(cluster && { ipolicy: fillIPolicy(cluster, group) }),
            custom_ipolicy: group.ipolicy ?? {},
            node_cnt: nodes.length,
            node_list: nodes.map((node) => node.name),
            pinst_cnt: primaries.length,
            pinst_list: primaries.map((instance) => instance.name),
          };
        });
      }
      case 'node':
        return state
          .list('nodes')
          .map((node) => nodeRow(world, node))
          .sort(byName);
      case 'instance': {
        const hosts = hostsByGuest(world);
        const with_params = fields?.every((field) => !/^(be|hv)\/|^vcpus$/.test(field)) !== true;
        return state
          .list('instances')
          .map((instance) => instanceRow(world, instance, hosts, with_params))
          .sort(byName);
      }
      case 'job':
        return state.list('jobs').map(jobRow);
      case 'os':
        return osRows(world);
      case 'disk':
        return state.list('disks').map((disk) => ({ ...disk }));
      case 'tag':
        return tagRows(state);
      case 'lock':
        return lockRows(state);
      default:
        throw new Error(`unknown resource ${JSON.stringify(resource satisfies never)}`);
    }
  })();
  const result = (of: readonly Row[]) => of.map((row) => pick(row, fields));
  if (names.length === 0) return { rows: result(rows), missing: [] };
  const key = (row: Row) =>
    [row['name'], row['uuid'], row['id'], row['full_name']]
      .filter((value) => value !== undefined)
      .map(String);
  const wanted = new Set(names);
  const picked = rows.filter((row) => key(row).some((name) => wanted.has(name)));
  const found = new Set(picked.flatMap(key));
  return { rows: result(picked), missing: names.filter((name) => !found.has(name)) };
}

const byName = (a: Row, b: Row) => (String(a['name']) < String(b['name']) ? -1 : 1);
