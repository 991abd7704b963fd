import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAllocatorInput } from './iallocator-format.ts';
import { InputError } from './input-error.ts';

const spec = {
  'memory-size': 128,
  'cpu-count': 1,
  'disk-size': 1_024,
  'disk-count': 1,
  'nic-count': 1,
  'spindle-use': 1,
};

const ipolicy = {
  std: spec,
  minmax: [{ min: spec, max: { ...spec, 'memory-size': 8_192, 'cpu-count': 8 } }],
  'disk-templates': ['drbd', 'plain'],
  'vcpu-ratio': 4.0,
  'spindle-ratio': 32.0,
};

const live = {
  tags: ['rack:1'],
  offline: false,
  drained: false,
  vm_capable: true,
  group: 'uuid-one',
  ndparams: { exclusive_storage: false, spindle_count: 2 },
  total_memory: 16_384,
  reserved_memory: 512,
  free_memory: 12_000,
  total_disk: 102_400,
  free_disk: 90_000,
  total_cpus: 8,
  reserved_cpus: 1,
  total_spindles: 0,
  free_spindles: 0,
};

const web = {
  tags: ['service:web'],
  admin_state: 'up',
  vcpus: 2,
  memory: 1_024,
  spindle_use: 1,
  nodes: ['a.example.org', 'b.example.org'],
  nics: [{ mac: 'aa:00:00:00:00:01', ip: null, mode: 'bridged', link: 'br0', network: 'uuid-net' }],
  disks: [
    { size: 5_000, mode: 'rw', spindles: 2 },
    { size: 5_120, mode: 'rw' },
  ],
  disk_template: 'drbd',
  disk_space_total: 10_376,
};

const allocate = {
  type: 'allocate',
  name: 'new.example.org',
  required_nodes: 2,
  group_name: null,
  tags: [],
  vcpus: 1,
  memory: 512,
  spindle_use: 1,
  disks: [{ size: 1_024, mode: 'rw' }],
  disk_space_total: 1_152,
  disk_template: 'drbd',
  nics: [],
};

const message = {
  version: 2,
  cluster_tags: ['htools:iextags:service'],
  enabled_hypervisors: ['xen-pvm', 'kvm'],
  nodegroups: {
    'uuid-one': { name: 'one', alloc_policy: 'preferred', networks: ['uuid-net'], tags: [], ipolicy },
    'uuid-two': { name: 'two', alloc_policy: 'unallocable', networks: [], tags: [], ipolicy },
  },
  nodes: {
    'b.example.org': live,
    'a.example.org': { ...live, ndparams: { exclusive_storage: true, spindle_count: 2 }, total_spindles: 7 },
    'c.example.org': { group: 'uuid-two', offline: true, drained: false, ndparams: live.ndparams },
  },
  instances: {
    'web.example.org': web,
    'db.example.org': { ...web, nodes: ['b.example.org'], disk_template: 'plain', admin_state: 'offline' },
  },
  request: allocate as object,
};

const parse = (changes: object = {}, options = {}) =>
  parseAllocatorInput(JSON.stringify({ ...message, ...changes }), options);
const request = (of: object) => parse({ request: of }).request;

describe('IAllocator messages', () => {
  it('describe a cluster, in their own order', () => {
    const { cluster } = parse();
    assert.deepEqual(
      cluster.nodes.map(({ name }) => name),
      ['b.example.org', 'a.example.org', 'c.example.org'],
    );
    const [b, a, c] = cluster.nodes;
    assert.equal(b?.free_memory_mib, 12_000);
    assert.equal(b?.node_memory_mib, 512);
    assert.deepEqual([b?.spindles, a?.spindles], [2, 7]);
    assert.deepEqual([c?.offline, c?.total_memory_mib, c?.group, c?.vm_capable], [true, 0, 1, true]);
    const [first, second] = cluster.instances;
    assert.deepEqual([first?.primary, first?.secondary], [1, 0]);
    assert.deepEqual([second?.primary, second?.secondary, second?.status], [0, -1, 'ADMIN_offline']);
    assert.deepEqual(first?.disks, [
      { size_mib: 5_000, spindles: 2 },
      { size_mib: 5_120, spindles: null },
    ]);
    assert.deepEqual([first?.disk_mib, first?.nic_count, first?.networks], [10_376, 1, ['uuid-net']]);
    assert.equal(cluster.groups[0]?.policy.minmax[0]?.max.memory_mib, 8_192);
    assert.equal(cluster.groups[1]?.alloc_policy, 'unallocable');
    assert.deepEqual(cluster.tags, ['htools:iextags:service']);
  });

  it('count a fixed amount as the own memory of nodes whose hypervisor is kvm', () => {
    const own = (hypervisors: readonly string[], options = {}): number | undefined =>
      parse({ enabled_hypervisors: hypervisors }, options).cluster.nodes[0]?.node_memory_mib;
    assert.equal(own(['xen-pvm', 'kvm']), 512);
    assert.equal(own(['kvm', 'xen-pvm']), 4_096);
    assert.equal(own(['kvm'], { kvm_node_memory_mib: 77 }), 77);
    assert.equal(own(['kvm'], { kvm_node_memory_mib: 0 }), 512);
  });

  it('ask for new instances', () => {
    const one = request({ ...allocate, group_name: 'two', 'restrict-to-nodes': ['b.example.org'] });
    assert.ok(one.type === 'allocate');
    assert.deepEqual(one.restrict_to, ['b.example.org']);
    assert.deepEqual([one.wanted.group, one.wanted.node_count], ['two', 2]);
    assert.deepEqual([one.wanted.instance.primary, one.wanted.instance.status], [-1, 'running']);
    const several = request({
      type: 'multi-allocate',
      group_name: 'one',
      instances: [allocate, { ...allocate, name: 'x', group_name: 'two' }],
    });
    assert.ok(several.type === 'multi-allocate');
    assert.deepEqual(
      several.wanted.map((wanted) => [wanted.instance.name, wanted.group]),
      [
        ['new.example.org', 'one'],
        ['x', 'two'],
      ],
    );
  });

  it('ask to move instances, which may go by their short names', () => {
    assert.deepEqual(
      request({ type: 'relocate', name: 'web.example.org', required_nodes: 1, relocate_from: ['b'] }),
      { type: 'relocate', instance: 0, node_count: 1, from: [0] },
    );
    assert.deepEqual(
      request({ type: 'node-evacuate', instances: ['db', 'web.example.org'], evac_mode: 'primary-only' }),
      { type: 'node-evacuate', instances: [1, 0], mode: 'primary-only' },
    );
    assert.deepEqual(
      request({ type: 'change-group', instances: ['web'], target_groups: ['two', 'uuid-one'] }),
      { type: 'change-group', instances: [0], target_groups: [1, 0] },
    );
    assert.deepEqual(request({ type: 'allocate-secondary', name: 'db.example.org' }), {
      type: 'allocate-secondary',
      instance: 1,
    });
  });

  it('may be about another cluster', () => {
    const { cluster } = parse({ instances: {} });
    const other = { ...cluster, instances: parse().cluster.instances.slice(1) };
    const asked = { type: 'allocate-secondary', name: 'db.example.org' };
    assert.deepEqual(parse({ request: asked }, { cluster: other }).request, {
      type: 'allocate-secondary',
      instance: 0,
    });
  });
});

describe('IAllocator messages that make no sense', () => {
  const node_with = (changes: object) => ({
    nodes: { ...message.nodes, 'b.example.org': { ...live, ...changes } },
  });
  const web_with = (changes: object) => ({ instances: { 'web.example.org': { ...web, ...changes } } });
  const asked = (changes: object) => ({ request: { ...allocate, ...changes } });
  const group_with = (changes: object) => ({
    nodegroups: { ...message.nodegroups, 'uuid-one': { ...message.nodegroups['uuid-one'], ...changes } },
  });
  const cases: readonly (readonly [string, object, RegExp])[] = [
    [
      'no request',
      { request: undefined },
      /message: key 'request' not found, object contains only \["version",/,
    ],
    [
      'a request of another kind',
      { request: 0 },
      /key 'request': Unable to read JSObject from 0: expected an object/,
    ],
    [
      'an unknown type',
      asked({ type: 'move' }),
      /Invalid request type 'move': expected allocate or relocate or/,
    ],
    [
      'a name that is no text',
      asked({ name: 5 }),
      /key 'name': Unable to read String from 5: expected a string/,
    ],
    [
      'negative memory',
      asked({ memory: -1 }),
      /instance 'new.example.org': key 'memory': -1 is too small: expected a number from 0/,
    ],
    [
      'memory as text',
      node_with({ total_memory: 'x' }),
      /node 'b.example.org': key 'total_memory': Unable to read Double from "x": expected a number from 0/,
    ],
    [
      'a figure missing',
      node_with({ free_disk: undefined }),
      /node 'b.example.org': key 'free_disk' not found/,
    ],
    [
      'an unknown group',
      node_with({ group: 'no' }),
      /Unknown group 'no' for node b.example.org: expected the uuid/,
    ],
    [
      'a flag as text',
      node_with({ offline: 'N' }),
      /key 'offline': Unable to read Bool from "N": expected true or false/,
    ],
    [
      'no nodes',
      web_with({ nodes: [] }),
      /empty node list for instance web.example.org: expected its primary/,
    ],
    [
      'an unknown node',
      web_with({ nodes: ['b.example.org', 'z'] }),
      /Unknown node 'z' for instance web.example.org/,
    ],
    [
      'an unknown template',
      web_with({ disk_template: 'foo' }),
      /key 'disk_template': Invalid string value for type DiskTemplate: 'foo': expected diskless or/,
    ],
    [
      'a disk without size',
      web_with({ disks: [{}] }),
      /instance 'web.example.org': key 'disks', item 0: key 'size' not found/,
    ],
    [
      'disks that are no list',
      asked({ disks: {} }),
      /key 'disks': Unable to read list from {}: expected a list/,
    ],
    [
      'a mode of a NIC',
      asked({ nics: [{ mode: 'zz' }] }),
      /invalid NIC mode in instance new.example.org: 'zz': expected bridged or/,
    ],
    [
      'an unknown policy',
      group_with({ alloc_policy: 'x' }),
      /group 'uuid-one': key 'alloc_policy': Invalid string value for type AllocPolicy: 'x'/,
    ],
    [
      'a policy without specs',
      group_with({ ipolicy: { ...ipolicy, std: undefined } }),
      /key 'ipolicy': key 'std' not found/,
    ],
    [
      'an unknown hypervisor',
      { enabled_hypervisors: ['foo'] },
      /type Hypervisor: 'foo': expected a list of kvm or/,
    ],
    [
      'an unknown instance',
      { request: { type: 'allocate-secondary', name: 'no' } },
      /Unknown instance 'no': expected/,
    ],
    [
      'a name of none',
      { request: { type: 'node-evacuate', instances: ['no'], evac_mode: 'all' } },
      /Wrong number of elems found with name no/,
    ],
    [
      'an unknown mode',
      { request: { type: 'node-evacuate', instances: [], evac_mode: 'foo' } },
      /type EvacMode: 'foo': expected primary-only or secondary-only or all/,
    ],
  ];
  for (const [what, changes, expected] of cases) {
    it(`are refused: ${what}`, () => {
      assert.throws(
        () => parse(changes),
        (error) => error instanceof InputError && expected.test(error.message),
      );
    });
  }

  it('are refused where they are no JSON, or no object', () => {
    assert.throws(() => parseAllocatorInput(''), /Parsing input IAllocator message: Invalid JSON: /);
    assert.throws(() => parseAllocatorInput('[]'), /Unable to read JSObject from \[\]: expected an object/);
  });
});
