/** One representative job of every opcode, for tests that disturb it. Names: the instance is `web`, its node `home`. */
import type { OpInput } from '../../src/config/model.ts';

export interface Cast {
  /** Where `web` is, and where it goes. */
  readonly home: string;
  readonly target: string;
}

export interface Scenario {
  readonly name: string;
  readonly prepare?: (cast: Cast) => readonly OpInput[];
  readonly ops: (cast: Cast) => readonly OpInput[];
  /** A guest's file may say that it was reset twice: a node that died in a reset does it again. */
  readonly may_repeat?: true;
  /** Its result names what differs from run to run. */
  readonly varying_result?: true;
}

const mib_128 = { maxmem: 128, minmem: 128 };

const create = (cast: Cast, more: Readonly<Record<string, unknown>> = {}): OpInput => ({
  OP_ID: 'OP_INSTANCE_CREATE',
  instance_name: 'web',
  mode: 'create',
  disk_template: 'sharedfile',
  disks: [{ size: 4 }],
  nics: [],
  os_type: 'noop',
  no_install: true,
  beparams: mib_128,
  pnode: cast.home,
  ...more,
});
const web = (id: string, more: Readonly<Record<string, unknown>> = {}): OpInput => ({
  OP_ID: id,
  instance_name: 'web',
  ...more,
});

export const scenarios: readonly Scenario[] = [
  {
    name: 'create with an installation, two shared disks',
    ops: (cast) => [create(cast, { no_install: false, disks: [{ size: 4 }, { size: 2 }], nics: [{}] })],
  },
  { name: 'create with a local disk', ops: (cast) => [create(cast, { disk_template: 'file' })] },
  {
    name: 'create without a disk',
    ops: (cast) => [create(cast, { disk_template: 'diskless', disks: [] })],
  },
  {
    name: 'startup',
    prepare: (cast) => [create(cast, { start: false })],
    ops: () => [web('OP_INSTANCE_STARTUP')],
  },
  { name: 'shutdown', prepare: (cast) => [create(cast)], ops: () => [web('OP_INSTANCE_SHUTDOWN')] },
  {
    name: 'hard reboot',
    prepare: (cast) => [create(cast)],
    ops: () => [web('OP_INSTANCE_REBOOT', { reboot_type: 'hard' })],
    may_repeat: true,
  },
  {
    name: 'full reboot',
    prepare: (cast) => [create(cast)],
    ops: () => [web('OP_INSTANCE_REBOOT', { reboot_type: 'full' })],
  },
  {
    name: 'failover',
    prepare: (cast) => [create(cast)],
    ops: (cast) => [web('OP_INSTANCE_FAILOVER', { target_node: cast.target })],
  },
  { name: 'remove', prepare: (cast) => [create(cast)], ops: () => [web('OP_INSTANCE_REMOVE')] },
  {
    name: 'modify an instance',
    prepare: (cast) => [create(cast)],
    ops: () => [web('OP_INSTANCE_SET_PARAMS', { beparams: { memory: '256m' } })],
  },
  {
    name: 'modify the cluster',
    ops: () => [{ OP_ID: 'OP_CLUSTER_SET_PARAMS', max_running_jobs: 7 }],
  },
  {
    name: 'verify',
    prepare: (cast) => [create(cast)],
    ops: () => [{ OP_ID: 'OP_CLUSTER_VERIFY' }],
    varying_result: true,
  },
  {
    name: 'drain a node',
    ops: (cast) => [{ OP_ID: 'OP_NODE_SET_PARAMS', node_name: cast.target, drained: true }],
  },
  {
    name: 'tags set',
    ops: (cast) => [{ OP_ID: 'OP_TAGS_SET', kind: 'node', name: cast.home, tags: ['a', 'b'] }],
  },
  {
    name: 'tags del',
    prepare: () => [{ OP_ID: 'OP_TAGS_SET', kind: 'cluster', tags: ['x', 'y'] }],
    ops: () => [{ OP_ID: 'OP_TAGS_DEL', kind: 'cluster', tags: ['x'] }],
  },
  { name: 'tags get', ops: () => [{ OP_ID: 'OP_TAGS_GET', kind: 'cluster' }] },
  {
    name: 'delay on two nodes',
    ops: (cast) => [
      { OP_ID: 'OP_TEST_DELAY', duration: 0.1, on_nodes: [cast.home, cast.target], on_master: false },
    ],
  },
  {
    name: 'three ops in one job',
    ops: (cast) => [
      create(cast, { start: false }),
      web('OP_INSTANCE_STARTUP'),
      { OP_ID: 'OP_TAGS_SET', kind: 'instance', name: 'web', tags: ['t'] },
    ],
  },
];

/** With QEMU: a guest that boots, its disk on shared storage. */
const guest = (cast: Cast): OpInput =>
  create(cast, {
    disks: [{ size: 64 }],
    nics: [{}],
    os_type: 'skein-busybox+default',
    no_install: false,
  });

export const real_scenarios: readonly Scenario[] = [
  { name: 'create', ops: (cast) => [guest(cast)] },
  {
    name: 'failover',
    prepare: (cast) => [guest(cast)],
    ops: (cast) => [web('OP_INSTANCE_FAILOVER', { target_node: cast.target, shutdown_timeout: 5 })],
  },
  {
    name: 'remove',
    prepare: (cast) => [guest(cast)],
    ops: () => [web('OP_INSTANCE_REMOVE', { shutdown_timeout: 5 })],
  },
];
