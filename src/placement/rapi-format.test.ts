/** A cluster from the answers of a remote API. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PlacementCluster } from './cluster.ts';
import { InputError } from './input-error.ts';
import { parseRapiCluster, type RapiAnswers } from './rapi-format.ts';
import { rapi_answers, rapi_instance, rapi_node } from './test-rapi.ts';

const answers: RapiAnswers = {
  info: rapi_answers['/2/info'],
  groups: rapi_answers['/2/groups'],
  nodes: rapi_answers['/2/nodes'],
  instances: rapi_answers['/2/instances'],
};

function read(changes: Partial<RapiAnswers> = {}, static_kvm_node_memory_mib = 4096): PlacementCluster {
  return parseRapiCluster({ ...answers, ...changes }, { static_kvm_node_memory_mib });
}

describe('parseRapiCluster', () => {
  it('reads nodes and instances in their order', () => {
    const { nodes, instances, groups, tags, policy } = read();
    assert.deepEqual(
      nodes.map(({ name, master, total_memory_mib, spindles, tags: own }) => [
        name,
        master,
        total_memory_mib,
        spindles,
        own,
      ]),
      [
        ['n1', true, 24_105, 2, ['rack:a']],
        ['n2', false, 24_105, 2, []],
        ['n3', false, 24_105, 2, []],
      ],
    );
    assert.deepEqual(
      instances.map(({ name, primary, secondary, template, memory_mib }) => [
        name,
        primary,
        secondary,
        template,
        memory_mib,
      ]),
      [
        ['i1', 0, 1, 'drbd', 512],
        ['i2', 1, -1, 'diskless', 512],
        ['i3', 2, -1, 'diskless', 1024],
      ],
    );
    assert.deepEqual(tags, ['htools:nlocation:rack']);
    assert.equal(policy.minmax[0]!.max.memory_mib, 32_768);
    assert.deepEqual(groups[0]!.networks, []);
  });

  it('knows a group’s networks if they were asked for', () => {
    const { groups, instances } = read({ networks: rapi_answers['/2/networks'] });
    assert.deepEqual(groups[0]!.networks, ['uuid-net']);
    assert.deepEqual(instances[0]!.networks, ['uuid-net']);
  });

  it('believes no figures of a node that is offline or not vm_capable; those of a drained one', () => {
    const { nodes } = read({
      nodes: [
        rapi_node('n1', { offline: true, mtotal: null, mfree: null, mnode: null, ctotal: null }),
        rapi_node('n2', { vm_capable: false }),
        rapi_node('n3', { drained: true }),
      ],
    });
    assert.deepEqual(
      nodes.map((node) => node.total_memory_mib),
      [0, 0, 24_105],
    );
    assert.deepEqual(
      nodes.map(({ offline, drained, vm_capable }) => [offline, drained, vm_capable]),
      [
        [true, false, true],
        [false, false, false],
        [false, true, true],
      ],
    );
  });

  it('counts spindles where storage is exclusive, and storage that nobody reports as none', () => {
    const exclusive = { exclusive_storage: true, spindle_count: 1 };
    const { nodes } = read({
      nodes: [
        rapi_node('n1', { ndparams: exclusive, sptotal: 7, spfree: 3 }),
        rapi_node('n2', { dtotal: null }),
        rapi_node('n3'),
      ],
    });
    assert.deepEqual(
      [nodes[0]!.spindles, nodes[0]!.free_spindles, nodes[0]!.exclusive_storage],
      [7, 3, true],
    );
    assert.deepEqual([nodes[0]!.cpu_speed, nodes[1]!.total_disk_mib], [1, 0]);
  });

  it('assumes what a node with KVM takes itself', () => {
    const info = { ...(rapi_answers['/2/info'] as object), default_hypervisor: 'kvm' };
    assert.deepEqual(
      read({ info }).nodes.map((node) => node.node_memory_mib),
      [4096, 4096, 4096],
    );
    assert.equal(read({ info }, 100).nodes[0]!.node_memory_mib, 100);
    assert.equal(read({ info }, 0).nodes[0]!.node_memory_mib, 259);
    assert.equal(read().nodes[0]!.node_memory_mib, 259);
  });

  it('takes the memory of now, of when it starts, or at most', () => {
    const beparams = { vcpus: 1, auto_balance: false, spindle_use: 1, maxmem: 777 };
    const { instances } = read({ instances: [rapi_instance('i', 'n1', [], { oper_ram: null, beparams })] });
    assert.equal(instances[0]!.memory_mib, 777);
  });

  const refusals: readonly (readonly [string, Partial<RapiAnswers>, RegExp])[] = [
    [
      'a list that is none',
      { nodes: {} },
      /^Parsing node data: Unable to read list from {}: expected a list of nodes/,
    ],
    ['an item that is no object', { instances: [7] }, /item 0: Unable to read JSObject from 7/],
    ['an unknown master', { info: { ...(answers.info as object), master: 'x' } }, /Master node x unknown/],
    [
      'an unknown group',
      { nodes: [rapi_node('n1', { 'group.uuid': 'x' })] },
      /Unknown group 'x' for node n1/,
    ],
    ['an unknown node', { instances: [rapi_instance('i', 'x', [])] }, /Unknown node 'x' for instance i/],
    ['an unknown secondary', { instances: [rapi_instance('i', 'n1', ['x'])] }, /Unknown node 'x'/],
    [
      'a status nobody knows',
      { instances: [rapi_instance('i', 'n1', [], { status: 'up' })] },
      /Instance 'i'.*'up'/,
    ],
    ['memory that is missing', { nodes: [rapi_node('n1', { mtotal: null })] }, /Node 'n1'.*'mtotal'.*null/],
    ['negative memory', { nodes: [rapi_node('n1', { mtotal: -5 })] }, /'mtotal': -5 is too small.*from 0/],
    [
      'negative disks',
      { instances: [rapi_instance('i', 'n1', [], { 'disk.sizes': [-1] })] },
      /disk\.sizes.*-1/,
    ],
    ['a field that is not there', { groups: [{ name: 'g' }] }, /Group 'g'.*key 'uuid' not found/],
    ['networks of nobody', { networks: [{ name: 'n', uuid: 'u', group_list: [[1]] }] }, /group_list.*\[1\]/],
  ];
  for (const [what, changes, message] of refusals) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => read(changes),
        (error: unknown) => {
          assert.ok(error instanceof InputError);
          assert.match(error.message, message);
          assert.match(error.message, /: expected /);
          return true;
        },
      );
    });
  }
});
