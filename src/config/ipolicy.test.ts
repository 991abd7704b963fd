/** Instance policies: inheritance, what makes one sound, and states of before there were any. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  checkIPolicy,
  checkIPolicyParts,
  default_ipolicy,
  fillIPolicy,
  ipolicyNames,
  spec_names,
} from './ipolicy.ts';
import type { GroupIPolicy, InstanceSpec, IPolicy, SpecRange } from './model.ts';
import { createState } from './state.ts';
import { accept, cluster, group, init, now, refuses, stateWith } from './test-fixtures.ts';

const least = default_ipolicy.std;
const range = default_ipolicy.minmax[0]!;
const enabled = cluster.enabled_disk_templates;

const spec = fc
  .tuple(...spec_names.map(() => fc.nat(1_000)))
  .map(
    (amounts) =>
      Object.fromEntries(spec_names.map((name, at) => [name, amounts[at]])) as never as InstanceSpec,
  );
const higher = (a: InstanceSpec, b: InstanceSpec, pick: (...of: number[]) => number): InstanceSpec =>
  Object.fromEntries(spec_names.map((name) => [name, pick(a[name], b[name])])) as never;
const pair: fc.Arbitrary<SpecRange> = fc
  .tuple(spec, spec)
  .map(([a, b]) => ({ min: higher(a, b, Math.min), max: higher(a, b, Math.max) }));
const ratio = fc.integer({ min: 10, max: 990 }).map((tenths) => tenths / 10);
/** Sound in its parts; keys are there or not. */
const group_parts: fc.Arbitrary<GroupIPolicy> = fc.record(
  {
    minmax: fc.array(pair, { minLength: 1, maxLength: 4 }),
    'disk-templates': fc.subarray([...enabled], { minLength: 1 }),
    'vcpu-ratio': ratio,
    'spindle-ratio': ratio,
    'memory-ratio': ratio,
  },
  { requiredKeys: [], noNullPrototype: true },
);

const set = (ipolicy: Partial<IPolicy>) =>
  ({ type: 'cluster-set', time: now, changes: { ipolicy } }) as const;
const setGroup = (ipolicy: GroupIPolicy) =>
  ({ type: 'group-set', time: now, uuid: group.uuid, changes: { ipolicy } }) as const;

describe('inheritance', () => {
  it('each key is the group’s, else the cluster’s, else built in; nothing is mixed within a key', () => {
    fc.assert(
      fc.property(group_parts, group_parts, (ours, theirs) => {
        const filled = fillIPolicy({ ipolicy: ours, enabled_disk_templates: enabled }, { ipolicy: theirs });
        const built_in: IPolicy = { ...default_ipolicy, 'disk-templates': enabled };
        for (const key of ipolicyNames('cluster') as (keyof IPolicy)[]) {
          const from_group = key === 'std' ? undefined : theirs[key];
          const from_cluster = key === 'std' ? undefined : ours[key];
          assert.deepEqual(filled[key], from_group ?? from_cluster ?? built_in[key], key);
        }
        assert.deepEqual(Object.keys(filled).sort(), [...ipolicyNames('cluster')].sort());
      }),
    );
  });

  it('nothing set anywhere: Ganeti’s values, and the templates that are enabled', () => {
    const { ipolicy: _none, ...old } = { ipolicy: undefined, ...cluster };
    assert.deepEqual(fillIPolicy(old, null), {
      minmax: [
        {
          min: {
            'memory-size': 128,
            'cpu-count': 1,
            'disk-count': 1,
            'disk-size': 1024,
            'nic-count': 1,
            'spindle-use': 1,
          },
          max: {
            'memory-size': 32768,
            'cpu-count': 8,
            'disk-count': 16,
            'disk-size': 1048576,
            'nic-count': 8,
            'spindle-use': 12,
          },
        },
      ],
      std: {
        'memory-size': 128,
        'cpu-count': 1,
        'disk-count': 1,
        'disk-size': 1024,
        'nic-count': 1,
        'spindle-use': 1,
      },
      'vcpu-ratio': 4,
      'spindle-ratio': 32,
      'memory-ratio': 1,
      'disk-templates': ['sharedfile', 'file', 'diskless'],
    });
    assert.deepEqual(fillIPolicy(old, group), fillIPolicy(old, null));
    assert.equal(checkIPolicy(fillIPolicy(old, null), enabled, 'the cluster'), null);
  });
});

describe('soundness', () => {
  it('what is wrong is named, with its value and what was expected', () => {
    const bad: readonly [unknown, RegExp][] = [
      [[], /ipolicy is \[\]: expected an object/],
      [{ maxmin: [] }, /unknown key "maxmin": expected some of minmax, std, disk-templates, vcpu-ratio/],
      [{ minmax: [] }, /minmax is \[\]: expected 1 to 16 pairs/],
      [{ minmax: [{ min: least }] }, /pair 0 is .*: expected an object with min and max/],
      [{ minmax: [range, { ...range, std: least }] }, /pair 1 is .*: expected an object with min and max/],
      [
        { minmax: [{ ...range, min: { ...least, 'cpu-count': -1 } }] },
        /pair 0 min: cpu-count is -1: expected a whole number from 0/,
      ],
      [
        { minmax: [{ ...range, max: { ...least, 'disk-size': 1.5 } }] },
        /pair 0 max: disk-size is 1\.5: expected a whole number/,
      ],
      [{ std: { 'memory-size': 128 } }, /std: cpu-count is nothing: expected a whole number/],
      [{ std: { ...least, colour: 1 } }, /std has the unknown key "colour": expected memory-size, cpu-count/],
      [{ 'disk-templates': [] }, /disk-templates is \[\]: expected at least one of diskless, file/],
      [{ 'disk-templates': ['tape'] }, /disk-templates has "tape": expected some of diskless, file/],
      [{ 'disk-templates': ['file', 'file'] }, /has "file" twice/],
      [{ 'vcpu-ratio': 0.5 }, /vcpu-ratio is 0\.5: expected a number of 1 or more/],
      [{ 'spindle-ratio': '32' }, /spindle-ratio is "32": expected a number/],
      [{ 'memory-ratio': 0 }, /memory-ratio is 0: expected a number of 1 or more/],
    ];
    for (const [given, message] of bad) {
      assert.match(checkIPolicyParts(given, 'cluster') ?? 'nothing wrong', message, JSON.stringify(given));
      refuses(stateWith(init), set(given as Partial<IPolicy>), 'invalid', message);
    }
    refuses(
      stateWith(init),
      setGroup({ std: least } as GroupIPolicy),
      'invalid',
      /expected it on the cluster only/,
    );
  });

  it('what does not fit together is refused and changes nothing', () => {
    const wide = { ...range, min: { ...range.min, 'memory-size': 40_000 } };
    refuses(
      stateWith(init),
      set({ minmax: [range, wide] }),
      'invalid',
      /^ipolicy of the cluster, minmax pair 1: min memory-size is 40000, 7232 more than its max 32768/,
    );
    refuses(
      stateWith(init),
      set({ std: { ...least, 'cpu-count': 9 } }),
      'invalid',
      /std fits no minmax pair: cpu-count is 9: expected 1 to 8/,
    );
    refuses(
      stateWith(init),
      set({ 'disk-templates': ['file', 'drbd'] }),
      'invalid',
      /the cluster allows the disk template drbd, which is not enabled on the cluster: expected some of sharedfile/,
    );
    refuses(
      stateWith(init),
      setGroup({ minmax: [wide] }),
      'invalid',
      /^ipolicy of group default, minmax pair 0: min memory-size is 40000/,
    );
    refuses(
      stateWith(init),
      { ...init, type: 'cluster-init', cluster: { ...cluster, ipolicy: { 'vcpu-ratio': 0 } } } as never,
      'invalid',
      /vcpu-ratio is 0/,
    );
    const bad_birth = createState().apply(1, {
      ...(init as Extract<typeof init, { type: 'cluster-init' }>),
      group: { ...group, ipolicy: { 'disk-templates': ['rbd'] } },
    });
    assert.match(JSON.stringify(bad_birth), /group default allows the disk template rbd/);
  });

  it('a template that a policy names cannot be disabled; one that it only inherits can', () => {
    const state = stateWith(init);
    const change = (...enabled_disk_templates: string[]) =>
      ({ type: 'cluster-set', time: now, changes: { enabled_disk_templates } }) as const;
    accept(state, change('file', 'diskless'));
    accept(state, setGroup({ 'disk-templates': ['file'] }));
    refuses(state, change('diskless'), 'invalid', /group default allows the disk template file/);
    accept(state, setGroup({}));
    accept(state, change('diskless'));
    assert.deepEqual(fillIPolicy(state.get('cluster', 'cluster')!, null)['disk-templates'], ['diskless']);
  });

  it('the standard spec need not fit a group’s pairs: it is the cluster’s', () => {
    const state = stateWith(init);
    const min = { ...range.min, 'memory-size': 1_024 };
    accept(state, setGroup({ minmax: [{ ...range, min }] }));
    refuses(state, set({ minmax: [{ ...range, min }] }), 'invalid', /std fits no minmax pair/);
  });

  it('whatever is sound in its parts and fits is taken as it is; the state says the same of both ways in', () => {
    fc.assert(
      fc.property(group_parts, (parts) => {
        const state = stateWith(init);
        accept(state, setGroup(parts));
        assert.deepEqual(state.get('groups', group.uuid)?.ipolicy, parts);
        const whole = checkIPolicy(fillIPolicy({ ...cluster, ipolicy: parts }, null), enabled, 'the cluster');
        const result = state.apply(state.index + 1, set(parts));
        assert.equal(result.ok ? null : result.error.message, whole);
      }),
      { numRuns: 50 },
    );
  });
});

it('a state of before loads, hashes as it did, and takes a policy', () => {
  const before = stateWith(init);
  assert.equal('ipolicy' in before.get('cluster', 'cluster')!, false);
  const after = createState();
  after.load(before.index, before.entries());
  assert.equal(after.hash(), before.hash());
  accept(after, set({ 'memory-ratio': 1.5 }));
  accept(after, { type: 'group-set', time: now, uuid: group.uuid, changes: { alloc_policy: 'last_resort' } });
  assert.deepEqual(after.get('cluster', 'cluster')?.ipolicy, { 'memory-ratio': 1.5 });
  const filled = after.get('groups', group.uuid)!;
  assert.deepEqual([filled.alloc_policy, filled.serial_no, 'ipolicy' in filled], ['last_resort', 2, false]);
  refuses(
    after,
    { type: 'group-set', time: now, uuid: 'nowhere', changes: {} },
    'not-found',
    /there is no node group nowhere/,
  );
});
