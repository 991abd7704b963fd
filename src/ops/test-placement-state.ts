/** States for tests of placement: nodes, instances and what the nodes reported, each said in a line. */
import type { StateView } from '../config/api.ts';
import { jobKey, stepKey } from '../config/keys.ts';
import type {
  Cluster,
  Disk,
  Instance,
  Job,
  Node,
  NodeGroup,
  Step,
  TableName,
  Tables,
} from '../config/model.ts';
import {
  cluster as cluster_template,
  group as group_template,
  node as node_template,
} from '../config/test-fixtures.ts';
import type { LiveNode } from './types.ts';

type TestTables = { readonly [T in TableName]?: ReadonlyMap<string, Tables[T]> };

export function stateOf(tables: TestTables): StateView {
  const of = <T extends TableName>(table: T) =>
    (tables[table] ?? new Map()) as ReadonlyMap<string, Tables[T]>;
  return {
    index: 1,
    get: (table, key) => of(table).get(key),
    list: (table) =>
      [...of(table).entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object),
    count: (table) => of(table).size,
  };
}

export const aCluster = (changes: Partial<Cluster> = {}): Cluster => ({ ...cluster_template, ...changes });
export const aGroup = (changes: Partial<NodeGroup> = {}): NodeGroup => ({ ...group_template, ...changes });

export const aNode = (name: string, changes: Partial<Node> = {}): Node => ({
  ...node_template,
  uuid: `u-${name}`,
  name,
  ...changes,
});

/** On a node, by name. It takes 1 GiB. */
export function anInstance(name: string, node: string, changes: Partial<Instance> = {}): Instance {
  return {
    uuid: `i-${name}`,
    serial_no: 1,
    ctime: 1,
    mtime: 1,
    tags: [],
    name,
    primary_node: `u-${node}`,
    os: 'noop',
    hypervisor: 'fake',
    hvparams: {},
    beparams: { maxmem: 1_024, minmem: 512 },
    osparams: {},
    admin_state: 'up',
    admin_state_source: 'admin',
    disk_template: 'sharedfile',
    disks: [],
    nics: [],
    owner: { node: `u-${node}`, boot: 1, epoch: 1 },
    guarded: true,
    owner_log: [],
    ...changes,
  };
}

export function aDisk(name: string, instance: string, size: number): Disk {
  return {
    uuid: `d-${name}`,
    serial_no: 1,
    ctime: 1,
    mtime: 1,
    name: null,
    dev_type: 'file',
    size,
    mode: 'rw',
    logical_id: ['loop', `/srv/${name}`],
    iv_name: 'disk/0',
    instance: `i-${instance}`,
  };
}

/** A report with the guests that run, by name and MiB. */
export function aReport(
  changes: Partial<LiveNode> = {},
  guests: readonly (readonly [string, number])[] = [],
): LiveNode {
  return {
    boot: 1,
    total_memory_mib: 8_192,
    free_memory_mib: 4_096,
    cpus: 4,
    total_disk_mib: 100_000,
    free_disk_mib: 50_000,
    guests: guests.map(([name, memory_mib]) => ({
      name,
      uuid: `i-${name}`,
      epoch: 1,
      state: 'running',
      memory_mib,
      vcpus: 1,
    })),
    os: [],
    age_ms: 100,
    ...changes,
  };
}

/** A running job of one op, and its recorded plan. */
export function aPlanning(
  id: number,
  op: string,
  plan: unknown,
  input: Record<string, unknown> = {},
): { readonly job: Job; readonly step: Step } {
  const job: Job = {
    id,
    request_id: `request-${id}`,
    ops: [
      {
        input: { OP_ID: op, ...input },
        version: 1,
        status: 'running',
        result: null,
        log: [],
        priority: 0,
        start_timestamp: 1,
        exec_timestamp: 1,
        end_timestamp: null,
      },
    ],
    status: 'running',
    depends: [],
    locks: [],
    cancel_requested: false,
    received_timestamp: 1,
    start_timestamp: 1,
    end_timestamp: null,
    reason: [],
  };
  return { job, step: aStep(id, 0, 'plan', 'learn', 'done', plan) };
}

export function aStep(
  job: number,
  step: number,
  name: string,
  verb: string,
  status: Step['status'],
  result: unknown,
): Step {
  return { job, op: 0, step, name, node: '', verb, args_hash: 'a', args: null, undo: null, status, result };
}

interface Scene {
  readonly cluster?: Cluster;
  readonly groups?: readonly NodeGroup[];
  readonly nodes: readonly Node[];
  readonly instances?: readonly Instance[];
  readonly disks?: readonly Disk[];
  readonly jobs?: readonly Job[];
  readonly steps?: readonly Step[];
}

export function sceneState(scene: Scene): StateView {
  const byUuid = <T extends { readonly uuid: string }>(list: readonly T[]) =>
    new Map(list.map((object) => [object.uuid, object]));
  return stateOf({
    cluster: new Map([['cluster', scene.cluster ?? aCluster()]]),
    groups: byUuid(scene.groups ?? [aGroup()]),
    nodes: byUuid(scene.nodes),
    instances: byUuid(scene.instances ?? []),
    disks: byUuid(scene.disks ?? []),
    jobs: new Map((scene.jobs ?? []).map((job) => [jobKey(job.id), job])),
    steps: new Map((scene.steps ?? []).map((step) => [stepKey(step.job, step.op, step.step), step])),
  });
}
