import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpInput } from '../config/model.ts';
import { argsHash, canonicalJson } from './args-hash.ts';
import { createJobEngine } from './engine.ts';
import { createFakeWorld } from './fake-world.ts';
import { checkOps } from './job-gate.ts';
import { opcodes } from './opcodes/registry.ts';
import { settle } from './test-harness.ts';
import { OpError } from './types.ts';

const create = { instance_name: 'web', mode: 'create', disks: [{ size: 10 }], nics: [], os_type: 'noop' };

/** Refused while parsing: before the job begins, so that nothing can have changed. */
const bad: readonly [id: string, params: Record<string, unknown>, message: RegExp][] = [
  ['OP_INSTANCE_CREATE', { ...create, instance_name: 'no spaces' }, /"no spaces" is no host name/],
  ['OP_INSTANCE_CREATE', { ...create, mode: 'import' }, /mode is "import": expected one of create/],
  ['OP_INSTANCE_CREATE', { ...create, disks: [{ size: -1 }] }, /disk 0: size is -1: expected MiB/],
  ['OP_INSTANCE_CREATE', { ...create, disks: [{ size: 1, color: 'red' }] }, /disk 0: unknown field "color"/],
  ['OP_INSTANCE_CREATE', { ...create, nics: [{ mac: 'zz' }] }, /nic 0: "zz" is no MAC address/],
  ['OP_INSTANCE_CREATE', { ...create, nics: [{ mode: 'warp' }] }, /mode is "warp": expected one of bridged/],
  ['OP_INSTANCE_CREATE', { ...create, os_type: null }, /os_type is missing/],
  ['OP_INSTANCE_CREATE', { ...create, disk_template: 'drbd' }, /disk_template is "drbd": expected one of/],
  [
    'OP_INSTANCE_CREATE',
    { ...create, disk_template: 'diskless' },
    /expected none with the disk template diskless/,
  ],
  ['OP_INSTANCE_CREATE', { ...create, snode: 'n2' }, /snode is "n2": expected .*not supported/],
  ['OP_INSTANCE_CREATE', { ...create, beparams: { memory: 'lots' } }, /memory is "lots": expected a size/],
  ['OP_INSTANCE_CREATE', { ...create, beparams: { cpus: 1 } }, /unknown backend parameter "cpus"/],
  ['OP_INSTANCE_CREATE', { ...create, tags: ['bad tag'] }, /"bad tag" is no tag/],
  ['OP_INSTANCE_CREATE', { ...create, dry_run: true }, /dry_run is true: expected false/],
  ['OP_INSTANCE_STARTUP', {}, /instance_name is missing/],
  ['OP_INSTANCE_STARTUP', { instance_name: 7 }, /instance_name is 7: expected a non-empty string/],
  ['OP_INSTANCE_STARTUP', { instance_name: 'web', beparams: { vcpus: 1 } }, /beparams is .*not supported/],
  [
    'OP_INSTANCE_SHUTDOWN',
    { instance_name: 'web', timeout: -1 },
    /timeout is -1: expected an integer from 0/,
  ],
  [
    'OP_INSTANCE_REBOOT',
    { instance_name: 'web' },
    /reboot_type is missing: expected one of soft, hard, full/,
  ],
  [
    'OP_INSTANCE_REMOVE',
    { instance_name: 'web', ignore_failure: true },
    /unknown parameter "ignore_failure"; did you mean ignore_failures\?/,
  ],
  ['OP_INSTANCE_FAILOVER', { instance_name: 'web', iallocator: 'hail' }, /iallocator is "hail"/],
  ['OP_INSTANCE_SET_PARAMS', { instance_name: 'web' }, /nothing to change/],
  ['OP_INSTANCE_SET_PARAMS', { instance_name: 'web', disks: [['add', {}]] }, /disks is .*later version/],
  ['OP_INSTANCE_SET_PARAMS', { instance_name: 'web', nics: [['add', {}]] }, /nics is .*later version/],
  [
    'OP_INSTANCE_SET_PARAMS',
    { instance_name: 'web', beparams: { vcpus: 0 } },
    /vcpus is 0: expected an integer from 1/,
  ],
  ['OP_CLUSTER_SET_PARAMS', {}, /nothing to change/],
  ['OP_CLUSTER_SET_PARAMS', { max_running_jobs: 0 }, /max_running_jobs is 0: expected an integer from 1/],
  ['OP_CLUSTER_SET_PARAMS', { ha: { lease: 1 } }, /unknown ha parameter "lease"/],
  ['OP_CLUSTER_SET_PARAMS', { balancing: { moves: 1 } }, /unknown balancing parameter "moves"/],
  ['OP_CLUSTER_SET_PARAMS', { balancing: { min_gain: -1 } }, /min_gain is -1: expected a number, 0 or above/],
  ['OP_CLUSTER_SET_PARAMS', { balancing: 'sometimes' }, /balancing is "sometimes": expected "on", "off"/],
  ['OP_CLUSTER_SET_PARAMS', { ha: { autorepair: 'maybe' } }, /autorepair is "maybe"/],
  [
    'OP_CLUSTER_SET_PARAMS',
    { hvparams: { kvm: { acpi: 'perhaps' } } },
    /acpi is "perhaps": expected a boolean/,
  ],
  ['OP_CLUSTER_SET_PARAMS', { vg_name: 'xenvg' }, /vg_name is "xenvg".*not supported/],
  ['OP_CLUSTER_VERIFY', { skip_checks: ['all'] }, /skip_checks is \["all"\]/],
  ['OP_CLUSTER_DESTROY', { force: true }, /unknown parameter "force"/],
  [
    'OP_NODE_SET_PARAMS',
    { node_name: 'n1', offline: true, drained: true },
    /offline and drained exclude each other/,
  ],
  ['OP_NODE_SET_PARAMS', { node_name: 'n1' }, /nothing to change/],
  ['OP_NODE_SET_PARAMS', { node_name: 'n1', secondary_ip: 'x' }, /"x" is no IP address/],
  ['OP_NODE_REMOVE', {}, /node_name is missing/],
  ['OP_NODE_ADD', { node_name: 'n9' }, /skein node add/],
  ['OP_TAGS_SET', { kind: 'network', tags: [] }, /kind is "network": expected one of/],
  ['OP_TAGS_SET', { kind: 'node', tags: ['a'] }, /name is missing/],
  ['OP_TAGS_DEL', { kind: 'cluster', tags: ['not ok'] }, /"not ok" is no tag/],
  ['OP_TAGS_GET', { kind: 'instance' }, /name is missing/],
  ['OP_TEST_DELAY', { duration: 'long' }, /duration is "long": expected a number/],
  ['OP_WARP', {}, /"OP_WARP" is no operation/],
];

for (const [OP_ID, params, message] of bad) {
  test(`${OP_ID} ${JSON.stringify(params).slice(0, 70)} is refused`, () => {
    assert.throws(
      () => checkOps(opcodes, [{ OP_ID, ...params }]),
      (error) => {
        assert.ok(error instanceof OpError);
        assert.match(error.message, message);
        assert.equal(error.ecode, 'wrong_input');
        return true;
      },
    ); // prettier-ignore
  });
}

/** Well-formed, but the cluster is not so: refused when it runs, and the configuration stays as it was. */
const unfit: readonly [op: OpInput, message: RegExp][] = [
  [{ OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'nobody' }, /there is no instance \\"nobody\\"/],
  [{ OP_ID: 'OP_INSTANCE_CREATE', ...create, instance_name: 'up' }, /there is an instance up already/],
  [{ OP_ID: 'OP_INSTANCE_CREATE', ...create, pnode: 'n9' }, /there is no node \\"n9\\"/],
  [
    { OP_ID: 'OP_INSTANCE_CREATE', ...create, hypervisor: 'kvm' },
    /hypervisor \\"kvm\\" is not enabled: expected one of fake/,
  ],
  [
    { OP_ID: 'OP_INSTANCE_CREATE', ...create, beparams: { memory: '64g' } },
    /n2: needs 65536 MiB of memory, has 4096 MiB free/,
  ],
  [{ OP_ID: 'OP_INSTANCE_REBOOT', instance_name: 'down', reboot_type: 'hard' }, /is down, not up/],
  [
    { OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'local', target_node: 'n2' },
    /disk template file: expected sharedfile or diskless/,
  ],
  [{ OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'up', target_node: 'n1' }, /is on node n1 already/],
  [
    { OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'up', target_node: 'n2', allow_restart: false },
    /up is up: expected it to be down, since restarts are not allowed/,
  ],
  [{ OP_ID: 'OP_INSTANCE_SET_PARAMS', instance_name: 'up', offline: true }, /is up: expected it to be down/],
  [{ OP_ID: 'OP_CLUSTER_DESTROY' }, /still has 3 instances/],
  [
    { OP_ID: 'OP_CLUSTER_SET_PARAMS', ha: { lease_ms: 100 } },
    /lease_ms must be at least three times renew_ms/,
  ],
  [{ OP_ID: 'OP_CLUSTER_SET_PARAMS', balancing: { min_gain: 0.5 } }, /start_gain is less than min_gain/],
  [{ OP_ID: 'OP_CLUSTER_SET_PARAMS', balancing: { moves_per_hour: 99 } }, /moves_per_hour/],
  [{ OP_ID: 'OP_NODE_SET_PARAMS', node_name: 'n1', offline: true }, /owns instances that should run/],
  [{ OP_ID: 'OP_NODE_SET_PARAMS', node_name: 'n1', vm_capable: false }, /owns instances/],
  [{ OP_ID: 'OP_NODE_REMOVE', node_name: 'n1' }, /owns 3 instances/],
  [{ OP_ID: 'OP_NODE_REMOVE', node_name: 'n3' }, /does not answer and is not proven lost yet/],
  [{ OP_ID: 'OP_TAGS_DEL', kind: 'instance', name: 'up', tags: ['none'] }, /has no tag none/],
  [{ OP_ID: 'OP_CLUSTER_VERIFY', group_name: 'nowhere' }, /there is no node group/],
];

for (const [op, message] of unfit) {
  test(`${op.OP_ID} is refused by the state: ${message.source}`, async () => {
    const world = createFakeWorld();
    world.addInstance('up');
    world.addInstance('down', { up: false });
    world.addInstance('local', { template: 'file' });
    world.silent.add('node-3');
    const before = (['cluster', 'groups', 'nodes', 'instances', 'disks'] as const).map(
      (table) => world.state.tableHashes()[table],
    );
    const engine = createJobEngine(world.ports(), opcodes);
    const [id] = world.submit([op]);
    engine.start(1);
    await settle(world, () => world.job(id!).end_timestamp !== null);
    engine.stop();
    assert.equal(world.job(id!).status, 'error');
    assert.match(JSON.stringify(world.job(id!).ops[0]!.result), message);
    const after = (['cluster', 'groups', 'nodes', 'instances', 'disks'] as const).map(
      (table) => world.state.tableHashes()[table],
    );
    assert.deepEqual(after, before);
    assert.deepEqual(
      world.calls.filter((call) => call.verb !== 'node.check'),
      [],
    );
  });
}

test('equal requests hash equally, whatever the order of keys; different ones do not', () => {
  assert.equal(
    argsHash('v', 'n', { a: 1, b: [{ c: 2, d: undefined }] }),
    argsHash('v', 'n', { b: [{ c: 2 }], a: 1 }),
  );
  const different = [
    argsHash('v', 'n', { a: 1 }),
    argsHash('w', 'n', { a: 1 }),
    argsHash('v', 'm', { a: 1 }),
    argsHash('v', 'n', { a: '1' }),
    argsHash('v', 'n', null),
  ];
  assert.equal(new Set(different).size, different.length);
  assert.equal(canonicalJson({ b: null, a: undefined }), '{"b":null}');
});
