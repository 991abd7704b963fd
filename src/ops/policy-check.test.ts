import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { default_ipolicy } from '../config/ipolicy.ts';
import type { GroupIPolicy, InstanceSpec, OpInput } from '../config/model.ts';
import { createFakeWorld, type FakeWorld, leftovers } from './fake-world.ts';
import { type PolicySubject, policyViolations } from './policy-check.ts';
import { ended, lead, settle } from './test-harness.ts';

const least = default_ipolicy.std;
const range = default_ipolicy.minmax[0]!;
const policy = { ...default_ipolicy, 'disk-templates': ['sharedfile', 'diskless'] };
const subject: PolicySubject = {
  memory_mib: 128,
  vcpus: 1,
  spindle_use: 1,
  disks_mib: [1024],
  nic_count: 1,
  disk_template: 'sharedfile',
};
const said = (changes: Partial<PolicySubject>, of = policy) =>
  policyViolations({ ...subject, ...changes }, of, 'group default');

test('which limit is broken and by how much; diskless has no number of disks', () => {
  assert.deepEqual(said({}), []);
  assert.deepEqual(said({ memory_mib: 40_000 }), [
    'memory-size 40000 is above 32768, the maximum of group default (7232 more)',
  ]);
  assert.deepEqual(
    said({ memory_mib: 100, vcpus: 9, spindle_use: 13, nic_count: 0, disks_mib: [1024, 512] }),
    [
      'memory-size 100 is below 128, the minimum of group default (28 less)',
      'cpu-count 9 is above 8, the maximum of group default (1 more)',
      'disk-size/1 512 is below 1024, the minimum of group default (512 less)',
      'nic-count 0 is below 1, the minimum of group default (1 less)',
      'spindle-use 13 is above 12, the maximum of group default (1 more)',
    ],
  );
  assert.deepEqual(said({ disk_template: 'diskless', disks_mib: [] }), []);
  assert.deepEqual(said({ disks_mib: [] }), [
    'disk-count 0 is below 1, the minimum of group default (1 less)',
  ]);
  assert.deepEqual(said({ disk_template: 'file' }), [
    'disk template file is not allowed in group default (allowed: sharedfile, diskless)',
  ]);
});

test('of several pairs one has to fit; if none does, the one of which least is broken is told', () => {
  const large = {
    min: { ...least, 'memory-size': 65_536, 'cpu-count': 16 },
    max: { ...range.max, 'memory-size': 131_072, 'cpu-count': 32 },
  };
  const two = { ...policy, minmax: [range, large] };
  assert.deepEqual(said({ memory_mib: 65_536, vcpus: 16 }, two), []);
  assert.deepEqual(said({ memory_mib: 40_000, vcpus: 16 }, two), [
    'memory-size 40000 is below 65536, the minimum of group default (25536 less)',
  ]);
});

test('whatever lies within a pair keeps to it; what is moved out of it by some is told with that much', () => {
  const names: readonly (keyof InstanceSpec)[] = ['memory-size', 'cpu-count', 'nic-count', 'spindle-use'];
  const fields = ['memory_mib', 'vcpus', 'nic_count', 'spindle_use'] as const;
  fc.assert(
    fc.property(
      fc.nat(3),
      fc.integer({ min: 1, max: 1_000 }),
      fc.boolean(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (which, by, above, at) => {
        const name = names[which]!;
        const [min, max] = [range.min[name], range.max[name]];
        const inside = Math.floor(min + (max - min) * at);
        assert.deepEqual(said({ [fields[which]!]: inside }), []);
        const [text = ''] = said({ [fields[which]!]: above ? max + by : min - by });
        assert.match(text, new RegExp(`^${name} .*\\(${by} ${above ? 'more' : 'less'}\\)$`));
      },
    ),
  );
});

// ---- in opcodes

const create: OpInput = {
  OP_ID: 'OP_INSTANCE_CREATE',
  instance_name: 'web',
  mode: 'create',
  disk_template: 'sharedfile',
  os_type: 'noop',
  disks: [{ size: 128 }],
  nics: [{}],
  pnode: 'n2',
};

/** n3 is in a group `small` of its own. */
function twoGroups(small: GroupIPolicy, normal: GroupIPolicy = {}): FakeWorld {
  const world = createFakeWorld();
  const { state } = world;
  const [group] = state.list('groups');
  const entries = [...state.entries()].map((entry) =>
    entry.table === 'nodes' && entry.key === 'node-3'
      ? { ...entry, value: { ...state.get('nodes', 'node-3')!, group: 'group-2' } }
      : entry,
  );
  const second = { ...group!, uuid: 'group-2', name: 'small', ipolicy: small };
  state.load(state.index + 1, [...entries, { table: 'groups', key: 'group-2', value: second }]);
  world.apply({ type: 'group-set', time: 1, uuid: group!.uuid, changes: { ipolicy: normal } });
  return world;
}

async function run(world: FakeWorld, op: OpInput) {
  const engine = lead(world, 1);
  const [id] = world.submit([op]);
  await settle(world, () => ended(world, id!));
  engine.stop();
  assert.deepEqual(leftovers(world), []);
  const { status, result, log } = world.job(id!).ops[0]!;
  const warnings = log.filter(([, , kind]) => kind === 'warning').map(([, , , text]) => String(text));
  return { status, result: result as never, warnings };
}

const bounds = (changes: { min?: Partial<InstanceSpec>; max?: Partial<InstanceSpec> }): GroupIPolicy => ({
  minmax: [
    {
      min: { ...least, 'disk-size': 1, 'nic-count': 0, ...changes.min },
      max: { ...range.max, ...changes.max },
    },
  ],
});
const small = bounds({ max: { 'memory-size': 100 }, min: { 'memory-size': 1 } });

test('creation: refused with what and how much, or a warning in the log of the job', async () => {
  const world = twoGroups(small);
  const refused = await run(world, { ...create, pnode: 'n3' });
  assert.deepEqual(refused, {
    status: 'error',
    result: [
      'OpPrereqError',
      [
        'instance web violates policy: memory-size 128 is above 100, the maximum of group small (28 more) (--ignore-ipolicy sets this aside)',
        'wrong_input',
      ],
    ],
    warnings: [],
  });
  assert.equal(world.state.count('instances'), 0);
  assert.deepEqual(world.calls, [], 'no node was asked for anything');
  assert.equal((await run(world, { ...create, instance_name: 'here' })).status, 'success');
  assert.deepEqual((await run(world, { ...create, pnode: 'n3', ignore_ipolicy: true })).warnings, [
    'instance web violates policy: memory-size 128 is above 100, the maximum of group small (28 more); ignored, as asked for',
  ]);
  assert.equal(world.state.count('instances'), 2);
});

test('modification: both ends of the memory have to fit; what is of old is no hindrance for the rest', async () => {
  const world = twoGroups({}, bounds({ min: { 'memory-size': 120 }, max: { 'memory-size': 200 } }));
  world.addInstance('web');
  const modify = (beparams: Record<string, number>, more: Record<string, unknown> = {}) =>
    run(world, { OP_ID: 'OP_INSTANCE_SET_PARAMS', instance_name: 'web', beparams, ...more });
  const both = await modify({ minmem: 64, maxmem: 256 });
  assert.match(
    JSON.stringify(both.result),
    /memory-size 256 is above 200, .*\(56 more\); memory-size 64 is below 120, .*\(56 less\)/,
  );
  assert.deepEqual(world.state.get('instances', 'inst-web')?.beparams, {});
  assert.equal((await modify({ memory: 200 })).status, 'success');
  const ignored = await modify({ vcpus: 9 }, { ignore_ipolicy: true });
  assert.equal(ignored.status, 'success');
  assert.match(ignored.warnings[0] ?? '', /cpu-count 9 is above 8.*; ignored, as asked for/);
  const os = await run(world, {
    OP_ID: 'OP_INSTANCE_SET_PARAMS',
    instance_name: 'web',
    osparams: { a: 'b' },
  });
  assert.equal(os.status, 'success');
});

test('failover: the policy of the group it goes to, not within its own; a repair goes and says so', async () => {
  const failover = (more: Record<string, unknown>) => ({
    OP_ID: 'OP_INSTANCE_FAILOVER',
    instance_name: 'web',
    ...more,
  });
  const world = twoGroups(small, small);
  world.addInstance('web');
  assert.equal((await run(world, failover({ target_node: 'n2' }))).status, 'success');
  const away = await run(world, failover({ target_node: 'n3' }));
  assert.equal(away.status, 'error');
  assert.match(
    JSON.stringify(away.result),
    /OpPrereqError.*memory-size 128 is above 100, the maximum of group small/,
  );
  assert.equal(world.state.get('instances', 'inst-web')?.owner.node, 'node-2');
  for (const [name, how] of [
    ['a', { ignore_ipolicy: true }],
    ['b', { skein_repair: true }],
  ] as const) {
    world.addInstance(name);
    const gone = await run(world, { ...failover({ target_node: 'n3', ...how }), instance_name: name });
    assert.equal(gone.status, 'success', name);
    assert.match(gone.warnings.join(), /memory-size 128 is above 100/);
  }
});

test('cluster and group take policies in Ganeti’s form; `default` takes them back; std may be partial', async () => {
  const world = twoGroups({});
  const cluster = (ipolicy: unknown) => run(world, { OP_ID: 'OP_CLUSTER_SET_PARAMS', ipolicy });
  const group = (ipolicy: unknown, more = {}) =>
    run(world, { OP_ID: 'OP_GROUP_SET_PARAMS', group_name: 'small', ipolicy, ...more });
  const kept = world.state.get('cluster', 'cluster')!.ipolicy!;
  assert.equal((await cluster({ 'vcpu-ratio': 2, std: { 'memory-size': 256 } })).status, 'success');
  assert.deepEqual(world.state.get('cluster', 'cluster')?.ipolicy, {
    ...kept,
    'vcpu-ratio': 2,
    std: { ...least, 'memory-size': 256 },
  });
  assert.equal(
    (await cluster({ 'vcpu-ratio': 'default', minmax: ['default'], std: null })).status,
    'success',
  );
  assert.deepEqual(world.state.get('cluster', 'cluster')?.ipolicy, {});

  const set = await group({ ...small, 'memory-ratio': 1.5 }, { alloc_policy: 'last_resort' });
  assert.deepEqual(set.result, [
    ['alloc_policy', 'last_resort'],
    ['ipolicy/minmax', small.minmax],
    ['ipolicy/memory-ratio', 1.5],
  ]);
  await group({ minmax: 'default' });
  const after = world.state.get('groups', 'group-2')!;
  assert.deepEqual([after.alloc_policy, after.ipolicy], ['last_resort', { 'memory-ratio': 1.5 }]);

  const before = world.state.tableHashes();
  for (const [outcome, message] of [
    [await group({ std: least }), /std: expected it on the cluster only/],
    [await group({ colour: 'default' }), /unknown key .*colour/],
    [await group({ 'vcpu-ratio': 0 }), /vcpu-ratio is 0: expected a number of 1 or more/],
    [
      await cluster({ std: { 'cpu-count': 99 } }),
      /std fits no minmax pair: cpu-count is 99: expected 1 to 8/,
    ],
    [await cluster({ 'disk-templates': ['rbd'] }), /disk template rbd, which is not enabled/],
    [
      await run(world, { OP_ID: 'OP_GROUP_SET_PARAMS', group_name: 'nowhere', alloc_policy: 'preferred' }),
      /there is no node group/,
    ],
  ] as const) {
    assert.equal(outcome.status, 'error');
    assert.match(JSON.stringify(outcome.result), message);
  }
  for (const table of ['cluster', 'groups'] as const)
    assert.equal(world.state.tableHashes()[table], before[table]);
});

test('a change that leaves instances outside warns of them by name, once; verify names them with what is wrong', async () => {
  const world = createFakeWorld();
  world.addInstance('a');
  world.addInstance('b', { template: 'diskless' });
  const verify = async () =>
    (await run(world, { OP_ID: 'OP_CLUSTER_VERIFY' })).result as [boolean, unknown[][]];
  assert.deepEqual(await verify(), [true, []]);
  const set = (ipolicy: unknown) => run(world, { OP_ID: 'OP_CLUSTER_SET_PARAMS', ipolicy });
  const first = await set(bounds({ min: { 'disk-size': 1024 } }));
  assert.deepEqual(first.warnings, ['instances that violate their policy after this change, and go on: a']);
  const second = await run(world, {
    OP_ID: 'OP_GROUP_SET_PARAMS',
    group_name: 'default',
    ipolicy: bounds({ min: { 'disk-size': 1024, 'nic-count': 1 } }),
  });
  assert.deepEqual(second.warnings, ['instances that violate their policy after this change, and go on: b']);
  assert.deepEqual(await verify(), [
    true,
    [
      [
        'WARNING',
        'EINSTANCEPOLICY',
        'instance',
        'a',
        'violates its instance policy: disk-size/0 128 is below 1024, the minimum of group default (896 less); nic-count 0 is below 1, the minimum of group default (1 less)',
      ],
      [
        'WARNING',
        'EINSTANCEPOLICY',
        'instance',
        'b',
        'violates its instance policy: nic-count 0 is below 1, the minimum of group default (1 less)',
      ],
    ],
  ]);
});
