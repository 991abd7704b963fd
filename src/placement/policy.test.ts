import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { InstancePolicy, Spec } from './cluster.ts';
import { default_policy } from './default-policy.ts';
import { instanceBreach, nodeBreaches, type PolicySubject, policyFaults } from './policy.ts';

const spec = (
  memory_mib: number,
  disk_mib: number,
  cpus: number,
  count: number,
  spindle_use: number,
): Spec => ({
  memory_mib,
  disk_mib,
  cpus,
  disk_count: count,
  nic_count: 1,
  spindle_use,
});

const policy: InstancePolicy = {
  std: spec(1_024, 1_024, 1, 1, 1),
  minmax: [
    { min: spec(512, 1_024, 1, 1, 1), max: spec(2_048, 4_096, 2, 2, 4) },
    { min: spec(8_192, 10_240, 4, 1, 1), max: spec(16_384, 20_480, 8, 4, 8) },
  ],
  disk_templates: ['plain', 'drbd', 'diskless'],
  vcpu_ratio: 4,
  spindle_ratio: 32,
  memory_ratio: 1,
};

const subject: PolicySubject = {
  memory_mib: 1_024,
  disks: [{ size_mib: 2_048, spindles: 2 }],
  vcpus: 1,
  spindle_use: 1,
  template: 'plain',
};

const breach = (changes: Partial<PolicySubject>, exclusive = false) => {
  const found = instanceBreach({ ...subject, ...changes }, policy, exclusive);
  return found === null ? null : `${found.failure}: ${found.text}`;
};

describe('instance policies', () => {
  it('lets pass what fits any of several pairs', () => {
    assert.equal(breach({}), null);
    assert.equal(
      breach({ memory_mib: 8_192, disks: [{ size_mib: 20_480, spindles: null }], vcpus: 8 }),
      null,
    );
    assert.equal(instanceBreach(subject, { ...policy, minmax: [] }, false), null);
  });

  it('says which limit of the first pair is broken, and by how much', () => {
    assert.equal(
      breach({ memory_mib: 64 }),
      'memory: memory of 64 MiB is 448 MiB less than the least, 512 MiB',
    );
    assert.equal(
      breach({ memory_mib: 3_000 }),
      'memory: memory of 3000 MiB is 952 MiB more than the most, 2048 MiB',
    );
    assert.equal(breach({ vcpus: 3 }), 'cpu: virtual CPUs of 3 is 1 more than the most, 2');
    assert.equal(breach({ spindle_use: 5 }), 'spindles: spindle use of 5 is 1 more than the most, 4');
  });

  it('looks at each disk by itself', () => {
    const disks = [
      { size_mib: 4_096, spindles: 1 },
      { size_mib: 1_000, spindles: 1 },
    ];
    assert.equal(breach({ disks }), 'disk: disk 1 of 1000 MiB is 24 MiB less than the least, 1024 MiB');
    const three = Array.from({ length: 3 }, () => ({ size_mib: 2_048, spindles: 1 }));
    assert.equal(breach({ disks: three }), 'disk-count: number of disks of 3 is 1 more than the most, 2');
    assert.equal(breach({ disks: [], template: 'diskless' }), null);
    assert.equal(breach({ disks: [] }), 'disk-count: number of disks of 0 is 1 less than the least, 1');
  });

  it('counts the spindles of disks where storage is exclusive', () => {
    assert.equal(breach({ spindle_use: 99 }, true), null);
    assert.equal(
      breach({ disks: [{ size_mib: 2_048, spindles: 6 }] }, true),
      'spindles: spindles of its disks of 6 is 2 more than the most, 4',
    );
    assert.match(
      breach({ disks: [{ size_mib: 2_048, spindles: null }] }, true) ?? '',
      /^spindles: disk 0 does not/,
    );
  });

  it('refuses a disk template that is not allowed, as a failure of disk', () => {
    assert.equal(
      breach({ template: 'rbd' }),
      'disk: disk template rbd is not allowed: expected plain, drbd, diskless',
    );
  });

  it('holds nodes to the two ratios', () => {
    const load = { cpus: 4, used_cpus: 16, spindles: 1, used_spindles: 32, exclusive_storage: false };
    assert.deepEqual(nodeBreaches(load, policy), []);
    assert.deepEqual(
      nodeBreaches({ ...load, used_cpus: 19, used_spindles: 34 }, policy).map(({ text }) => text),
      [
        '19 virtual CPUs are 3 more than the most, 16 (4 for each of 4 CPUs)',
        '34 spindles in use are 2 more than the most, 32 (32 for each of 1 spindles)',
      ],
    );
    assert.deepEqual(nodeBreaches({ ...load, used_spindles: 34, exclusive_storage: true }, policy), []);
  });

  it('finds what is wrong with a policy itself', () => {
    assert.deepEqual(policyFaults(default_policy, 'cluster'), []);
    const faults = policyFaults(
      {
        ...policy,
        std: spec(4_096, 1_024, 1, 1, 1),
        minmax: [{ min: spec(512, 1_024, 4, 1, 1), max: spec(2_048, 4_096, 2, 2, 4) }],
        disk_templates: [],
        vcpu_ratio: 0.5,
      },
      'group web',
    );
    assert.deepEqual(faults, [
      'group web: no disk templates: expected at least one',
      'group web: pair 0: least cpus 4 is 2 more than the greatest, 2',
      'group web: the standard spec fits no pair: memory_mib of 4096 is 2048 more than the most, 2048',
      'group web: vcpu ratio 0.5: expected 1 or more',
    ]);
  });
});
