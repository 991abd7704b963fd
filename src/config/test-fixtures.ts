/**
 * A small cluster for tests, and the commands that make it.
 */
import assert from 'node:assert/strict';
import type { State } from './api.ts';
import type { ApplyResult, Command } from './commands.ts';
import { default_ha } from './defaults.ts';
import type { Cluster, Node, NodeGroup } from './model.ts';
import { createState } from './state.ts';

export const now = 1_700_000_000;
export const secret_hash = 'ab'.repeat(32);

const item = { serial_no: 1, ctime: now, mtime: now };

export const cluster: Cluster = {
  ...item,
  uuid: 'cluster-1',
  tags: [],
  cluster_name: 'cluster.example',
  master_ip: '192.0.2.1',
  master_netdev: 'eth0',
  master_netmask: 32,
  use_external_mip_script: false,
  primary_ip_family: 2,
  mac_prefix: 'aa:00:00',
  enabled_hypervisors: ['kvm', 'fake'],
  enabled_disk_templates: ['sharedfile', 'file', 'diskless'],
  hvparams: {},
  os_hvp: {},
  beparams: {},
  nicparams: {},
  ndparams: {},
  diskparams: {},
  osparams: {},
  candidate_pool_size: 10,
  max_running_jobs: 20,
  file_storage_dir: '/srv/skein/file',
  shared_file_storage_dir: '/srv/skein/shared',
  ha: default_ha,
  generation: 0,
  feature_level: 1,
};

export const group: NodeGroup = {
  ...item,
  uuid: 'group-1',
  tags: [],
  name: 'default',
  alloc_policy: 'preferred',
  ndparams: {},
  diskparams: {},
};

export const node: Node = {
  ...item,
  uuid: 'node-1',
  tags: [],
  name: 'node1',
  member: 1,
  peer_id: 'peer-1',
  addresses: ['/ip4/192.0.2.11/tcp/7070'],
  primary_ip: '192.0.2.11',
  secondary_ip: '192.0.2.11',
  group: 'group-1',
  offline: false,
  drained: false,
  master_candidate: true,
  master_capable: true,
  vm_capable: true,
  ndparams: {},
  boot: 1,
  health: 'member',
  health_since: now,
  health_reason: '',
};

export const init: Command = { type: 'cluster-init', time: now, cluster, group, node };

export function tokenAdd(id: string): Command {
  return {
    type: 'token-add',
    time: now,
    id,
    secret_hash,
    expires: now + 600,
    group: 'group-1',
    master_capable: true,
    vm_capable: true,
  };
}

export function nodeJoin(number: number, token: string): Extract<Command, { type: 'node-join' }> {
  return {
    type: 'node-join',
    time: now + 1,
    token,
    secret_hash,
    peer_id: `peer-${number}`,
    uuid: `node-${number}`,
    name: `node${number}`,
    addresses: [],
    primary_ip: `192.0.2.${10 + number}`,
    boot: 1,
  };
}

type InstanceAdd = Extract<Command, { type: 'instance-add' }>;

export function instanceAdd(
  name: string,
  template = 'diskless',
  changes: Partial<InstanceAdd['instance']> = {},
): InstanceAdd {
  const uuid = `instance-${name}`;
  const disks = template === 'diskless' ? [] : [`disk-${name}`];
  return {
    type: 'instance-add',
    time: now + 2,
    boot: 1,
    instance: {
      uuid,
      tags: [],
      name,
      primary_node: 'node-1',
      os: 'noop',
      hypervisor: 'fake',
      hvparams: {},
      beparams: { memory: 256 },
      osparams: {},
      admin_state: 'up',
      admin_state_source: 'admin',
      disk_template: template,
      disks,
      nics: [],
      ...changes,
    },
    disks: disks.map((disk) => ({
      uuid: disk,
      name: null,
      dev_type: template,
      size: 1024,
      mode: 'rw',
      logical_id: ['file:loop', `/srv/${name}/disk0`],
      iv_name: 'disk/0',
      instance: uuid,
    })),
  };
}

export function submit(request_id: string, jobs = 1, ops = 1): Extract<Command, { type: 'job-submit' }> {
  const one = {
    ops: Array.from({ length: ops }, () => ({ OP_ID: 'OP_TEST_DELAY' })),
    priority: 0,
    depends: [],
    reason: [],
  };
  return { type: 'job-submit', time: now + 3, request_id, jobs: Array.from({ length: jobs }, () => one) };
}

type StepBegin = Extract<Command, { type: 'step-begin' }>;

export function step(
  job: number,
  number: number,
  changes: Partial<StepBegin['step']> = {},
): StepBegin['step'] {
  return {
    job,
    op: 0,
    step: number,
    name: `step ${number}`,
    node: '',
    verb: '',
    args_hash: 'h',
    args: null,
    undo: null,
    ...changes,
  };
}

/** A running job 1 with one running op. */
export const running: readonly Command[] = [
  submit('r-running'),
  { type: 'job-start', time: now + 4, job: 1, locks: [{ name: 'cluster', exclusive: false }] },
  { type: 'op-start', time: now + 4, job: 1, op: 0, version: 1 },
];

/** node1 to node3. */
export const three_nodes: readonly Command[] = [
  init,
  tokenAdd('t2'),
  nodeJoin(2, 't2'),
  tokenAdd('t3'),
  nodeJoin(3, 't3'),
];

/** Applies at the next index. */
export function apply(state: State, command: Command): ApplyResult {
  return state.apply(state.index + 1, command);
}

/** Applies and answers the value; fails the test when the command is refused. */
export function accept(state: State, command: Command): unknown {
  const result = apply(state, command);
  assert.ok(result.ok, result.ok ? '' : `${command.type}: ${result.error.code}: ${result.error.message}`);
  return result.value;
}

export function stateWith(...commands: readonly Command[]): State {
  const state = createState();
  for (const command of commands) accept(state, command);
  return state;
}

/** Expects a refusal with that code and a message that matches; and that nothing at all has changed. */
export function refuses(state: State, command: Command, code: string, message: RegExp): void {
  state.takeChanges();
  const before = {
    hash: state.hash(),
    tables: state.tableHashes(),
    entries: JSON.stringify([...state.entries()]),
  };
  const result = apply(state, command);
  assert.ok(!result.ok, `${command.type} was accepted`);
  assert.equal(result.error.code, code, result.error.message);
  assert.match(result.error.message, message);
  assert.deepEqual(state.takeChanges(), []);
  assert.deepEqual(
    { hash: state.hash(), tables: state.tableHashes(), entries: JSON.stringify([...state.entries()]) },
    before,
  );
}
