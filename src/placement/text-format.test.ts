/** Ganeti's text format: what is read, what is refused and how, and that what is written is read again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import { default_policy } from './default-policy.ts';
import { InputError } from './input-error.ts';
import { parseTextCluster } from './text-format.ts';
import { formatTextCluster } from './text-format-write.ts';

const group = 'default|uuid-1|preferred||';
const node_a = 'a|16384|1024|12288|409600|306600|16|M|uuid-1|2|rack:1,hv:new|N|0|1|1.5';
const node_b = 'b|16384|1024|12288|409600|306600|16|N|uuid-1|2||N|0|1|1.0';
const web = 'web|1024|51200|2|running|Y|a|b|drbd|service:dns|1|-|N';
const policy =
  '|128,1,1024,1,1,1|128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd,plain|4.0|32.0\n' +
  'default|256,2,2048,1,1,1|256,1,1024,1,1,1;512,8,4096,16,8,12;1024,1,1,1,1,1;2048,1,1,1,1,1|drbd|1.5|2.0';

function text(sections: {
  groups?: string;
  nodes?: string;
  instances?: string;
  tags?: string;
  policies?: string;
}): string {
  const {
    groups = group,
    nodes = `${node_a}\n${node_b}`,
    instances = web,
    tags = 'htools:iextags:service',
  } = sections;
  const five = [groups, nodes, instances, tags, sections.policies ?? policy];
  return five.map((lines) => (lines === '' ? '' : `${lines}\n`)).join('\n');
}

describe('parseTextCluster', () => {
  it('reads every column', () => {
    const cluster = parseTextCluster(text({}));
    assert.deepEqual(
      cluster.nodes.map(({ name, master, cpu_speed, tags }) => ({ name, master, cpu_speed, tags })),
      [
        { name: 'a', master: true, cpu_speed: 1.5, tags: ['rack:1', 'hv:new'] },
        { name: 'b', master: false, cpu_speed: 1, tags: [] },
      ],
    );
    assert.deepEqual(cluster.instances, [
      {
        name: 'web',
        uuid: 'web',
        memory_mib: 1024,
        disk_mib: 51200,
        disks: [{ size_mib: 51200, spindles: null }],
        vcpus: 2,
        status: 'running',
        auto_balance: true,
        primary: 0,
        secondary: 1,
        template: 'drbd',
        tags: ['service:dns'],
        spindle_use: 1,
        forthcoming: false,
        nic_count: 0,
        networks: [],
        utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
      },
    ]);
    assert.deepEqual(cluster.tags, ['htools:iextags:service']);
    assert.equal(cluster.policy.vcpu_ratio, 4);
    assert.equal(cluster.groups[0]!.policy.minmax.length, 2);
    assert.equal(cluster.groups[0]!.policy.minmax[1]!.max.memory_mib, 2048);
  });

  it('does without the columns that older releases did not write', () => {
    const cluster = parseTextCluster(
      text({
        groups: 'default|uuid-1|preferred|',
        nodes: 'a|1024|0|1024|95367|95367|4|N|uuid-1',
        instances: 'web|128|1024|1|running|Y|a||plain|',
        tags: '',
        policies: '',
      }),
    );
    const [node] = cluster.nodes;
    assert.deepEqual(
      [node!.spindles, node!.exclusive_storage, node!.free_spindles, node!.node_cpus, node!.cpu_speed],
      [1, false, 0, 1, 1],
    );
    const [instance] = cluster.instances;
    assert.deepEqual([instance!.spindle_use, instance!.forthcoming, instance!.secondary], [1, false, -1]);
    assert.deepEqual(cluster.policy, default_policy);
    assert.deepEqual(cluster.groups[0]!.policy, default_policy);
  });

  it('does without the section of policies, with later columns, later sections and lines of another system', () => {
    const four = `${group}\n\n${node_a}|more\n${node_b}\n\n${web}|more|and more\n\nsome tag\n`;
    assert.equal(parseTextCluster(four).instances.length, 1);
    assert.equal(parseTextCluster(`${text({})}\nsomething\n\nelse\n`).instances.length, 1);
    assert.deepEqual(parseTextCluster(text({}).replaceAll('\n', '\r\n')), parseTextCluster(text({})));
  });

  it('takes a node whose figures are unknown for offline', () => {
    const { nodes } = parseTextCluster(
      text({ nodes: `${node_a}\nb|?|1024|12288|409600|306600|16|N|uuid-1|2|t` }),
    );
    assert.deepEqual([nodes[1]!.offline, nodes[1]!.total_memory_mib, nodes[1]!.tags], [true, 0, []]);
  });

  it('takes a free figure below nothing: more may be in use than there is', () => {
    const { nodes } = parseTextCluster(text({ nodes: `a|16384|0|-5|409600|-7|16|N|uuid-1\n${node_b}` }));
    assert.deepEqual([nodes[0]!.free_memory_mib, nodes[0]!.free_disk_mib], [-5, -7]);
  });

  const refusals: readonly (readonly [string, Parameters<typeof text>[0], string, RegExp])[] = [
    ['a group without tags', { groups: 'default|uuid-1|preferred' }, 'line 1', /Invalid\/incomplete group/],
    [
      'a policy nobody knows',
      { groups: 'default|uuid-1|pref||' },
      'line 1',
      /AllocPolicy: 'pref'.*preferred or/,
    ],
    [
      'a node cut short',
      { nodes: 'a|1024|0|1024|95367|95367|4|N' },
      'line 3',
      /incomplete node data.*group uuid/,
    ],
    ['an unknown group', { nodes: node_a.replace('uuid-1', 'x') }, 'line 3', /Unknown group 'x' for node a/],
    ['memory that is no number', { nodes: node_a.replace('16384', '16k') }, 'line 3', /'16k'.*total memory/],
    ['negative memory', { nodes: node_a.replace('16384', '-1') }, 'line 3', /'-1'.*a number from 0/],
    [
      'half a CPU for the node',
      { nodes: node_a.replace('|0|1|1.5', '|0|0.5|1.5') },
      'line 3',
      /'0.5'.*whole/,
    ],
    [
      'storage exclusive or not',
      { nodes: node_a.replace('|N|0', '|n|0') },
      'line 3',
      /exclusive_storage.*Y or N/,
    ],
    [
      'an instance cut short',
      { instances: 'web|128|1024|1|running|Y|a||plain' },
      'line 6',
      /incomplete instance/,
    ],
    [
      'an unknown node',
      { instances: web.replace('|a|', '|x|') },
      'line 6',
      /Unknown node 'x' for instance web/,
    ],
    ['an unknown status', { instances: web.replace('running', 'run') }, 'line 6', /'run'.*ADMIN_down/],
    ['an unknown template', { instances: web.replace('drbd', 'drdb') }, 'line 6', /'drdb'.*sharedfile/],
    [
      'two copies on one node',
      { instances: web.replace('|b|', '|a|') },
      'line 6',
      /same primary and secondary/,
    ],
    ['negative disk', { instances: web.replace('51200', '-51200') }, 'line 6', /'-51200'.*disk space/],
    [
      'balanced perhaps',
      { instances: web.replace('|Y|', '|y|') },
      'line 6',
      /auto_balance value 'y'.*Y or N/,
    ],
    ['forthcoming perhaps', { instances: web.replace(/N$/, 'y') }, 'line 6', /forthcoming value 'y'/],
    ['an odd number of specs', { policies: '|1,1,1,1,1,1|1,1,1,1,1,1|drbd|4|32' }, 'line 10', /Odd number/],
    [
      'a spec cut short',
      { policies: '|1,1,1,1,1|1,1,1,1,1,1;1,1,1,1,1,1|drbd|4|32' },
      'line 10',
      /ispec data/,
    ],
    ['a policy cut short', { policies: '|1,1,1,1,1,1' }, 'line 10', /Invalid ipolicy data/],
    ['a policy of nobody', { policies: policy.replace('default', 'x') }, 'line 11', /Unknown group 'x'/],
    ['a negative ratio', { policies: policy.replace('|4.0', '|-4.0') }, 'line 10', /'-4.0'.*virtual CPUs/],
  ];
  for (const [what, sections, where, message] of refusals) {
    it(`refuses ${what}, with line and value`, () => {
      assert.throws(
        () => parseTextCluster(text(sections)),
        (error: unknown) => {
          assert.ok(error instanceof InputError);
          assert.equal(error.where, where);
          assert.match(error.message, message);
          assert.match(error.message, /: expected /);
          return true;
        },
      );
    });
  }

  it('refuses a file with too few sections', () => {
    assert.throws(() => parseTextCluster(''), /0 sections instead of 4 or more/);
    assert.throws(() => parseTextCluster(`${group}\n\n${node_a}\n`), /2 sections instead of 4 or more/);
  });
});

const requests: fc.Arbitrary<ClusterRequest> = fc.record({
  nodes: fc.integer({ min: 1, max: 8 }),
  instances: fc.integer({ min: 0, max: 30 }),
  seed: fc.integer({ min: 0, max: 1_000_000 }),
  groups: fc.integer({ min: 1, max: 3 }),
  templates: fc.constantFrom(['drbd'], ['plain', 'ext', 'file']),
  offline: fc.constantFrom(0, 0.3),
  mixed_nodes: fc.boolean(),
  down: fc.constantFrom(0, 0.3),
  unbalanced: fc.constantFrom(0, 0.3),
  forthcoming: fc.constantFrom(0, 0.3),
  exclusion: fc.boolean(),
  locations: fc.boolean(),
});

describe('formatTextCluster', () => {
  it('writes what it has read, byte for byte', () => {
    for (const sections of [{}, { tags: '', instances: '', policies: '' }]) {
      const written = formatTextCluster(parseTextCluster(text(sections)));
      assert.equal(formatTextCluster(parseTextCluster(written)), written);
    }
    assert.equal(formatTextCluster(parseTextCluster(text({}))), text({}));
  });

  it('writes any cluster so that the same one is read', () => {
    fc.assert(
      fc.property(requests, (request) => {
        if (request.nodes < 2) return;
        const written = formatTextCluster(generateCluster(request));
        assert.equal(formatTextCluster(parseTextCluster(written)), written);
      }),
      { numRuns: 60 },
    );
  });
});
