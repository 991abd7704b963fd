/** Where a cluster comes from, and what is said when it does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rapi_answers } from '../../src/placement/test-rapi.ts';
import { loadCluster, openTable } from './load.ts';
import { type CommonOptions, common_defaults } from './options.ts';
import { Failure } from './program.ts';
import { type TestWorldParts, testWorld } from './test-world.ts';

const file = [
  'g|u|preferred||',
  '',
  'a.example.com|16384|0|15360|1024|1024|8|M|u|1',
  'b.example.com|16384|0|16384|1024|1024|8|N|u|1',
  '',
  'web.example.com|1024|0|1|running|Y|a.example.com||ext||1',
  'db.example.com|1024|0|1|ADMIN_down|Y|a.example.com||ext||1',
  '',
  '',
].join('\n');

const files: TestWorldParts = {
  read: (path) => {
    if (path === 'cluster') return file;
    if (path === 'used') return 'web.example.com 1 2 3 0.5\nnobody 1 1 1 1\n';
    if (path === 'nonsense') return 'web.example.com 1 2 three 4\n';
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
};

async function refusal(changes: Partial<CommonOptions>, parts: TestWorldParts = files): Promise<string> {
  try {
    await loadCluster({ ...common_defaults, ...changes }, testWorld(parts));
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('loadCluster', () => {
  it('reads a file, with what was measured', async () => {
    const options = { ...common_defaults, text_file: 'cluster', utilisation_file: 'used' };
    const { cluster } = await loadCluster(options, testWorld(files));
    assert.deepEqual(
      cluster.instances.map(({ utilisation }) => utilisation),
      [
        { cpu: 1, memory: 2, disk: 3, net: 0.5 },
        { cpu: 1, memory: 1, disk: 1, net: 1 },
      ],
    );
    const ignored = await loadCluster({ ...options, ignore_utilisation: true }, testWorld(files));
    assert.ok(ignored.cluster.instances.every(({ utilisation }) => utilisation.cpu === 0));
  });

  it('asks a remote API', async () => {
    const asked: string[] = [];
    const world = testWorld({
      answer: (url) => {
        asked.push(url);
        return JSON.stringify(rapi_answers[new URL(url).pathname]);
      },
    });
    const { cluster } = await loadCluster({ ...common_defaults, rapi: 'cluster.example.com' }, world);
    assert.equal(cluster.nodes.length, 3);
    assert.deepEqual(asked, [
      'https://cluster.example.com:5080/2/info',
      'https://cluster.example.com:5080/2/groups?bulk=1',
      'https://cluster.example.com:5080/2/nodes?bulk=1',
      'https://cluster.example.com:5080/2/instances?bulk=1',
      'https://cluster.example.com:5080/2/networks?bulk=1',
    ]);
    asked.length = 0;
    await loadCluster({ ...common_defaults, rapi: 'http://localhost:1234/' }, world);
    assert.equal(asked[0], 'http://localhost:1234/2/info');
  });

  it('asks the monitoring daemons of all nodes, and tells which do not answer', async () => {
    const loads = async (answer: (url: string) => string) => {
      const world = testWorld({ ...files, answer });
      const { cluster } = await loadCluster({ ...common_defaults, text_file: 'cluster', mond: true }, world);
      return { loads: cluster.nodes.map(({ cpu_load }) => cpu_load), said: world.printed.err };
    };
    const all = await loads((url) =>
      JSON.stringify({ data: { cpu_number: 1, cpus: [], cpu_total: url.includes('//a.') ? 4 : 2 } }),
    );
    assert.deepEqual(all, { loads: [4, 2], said: '' });
    const asked: string[] = [];
    const some = await loads((url) => {
      asked.push(url);
      if (url.includes('//b.')) throw new Error('refused');
      return JSON.stringify({ data: { cpu_number: 1, cpus: [], cpu_total: 4 } });
    });
    assert.equal(asked[0], 'http://a.example.com:1815/1/report/default/cpu-avg-load');
    assert.deepEqual(some, {
      loads: [undefined, undefined],
      said:
        "Failed to contact node's b.example.com MonD for DC cpu-avg-load\n" +
        "Didn't receive an answer by all MonDs, cpu-avg-load's data will be ignored.\n",
    });
  });

  it('finds instances by the beginning of their names', async () => {
    const options = { ...common_defaults, text_file: 'cluster' };
    const fixed = async (changes: Partial<CommonOptions>): Promise<readonly number[]> => [
      ...(await loadCluster({ ...options, ...changes }, testWorld(files))).fixed,
    ];
    assert.deepEqual(await fixed({ excluded_instances: ['web'] }), [0]);
    assert.deepEqual(await fixed({ selected_instances: ['web.example.com'] }), [1]);
    assert.deepEqual(await fixed({}), []);
  });

  const refusals: readonly (readonly [string, Partial<CommonOptions>, RegExp])[] = [
    ['no source', {}, /^failed to load data, aborting: No backend selected! Exiting\.$/],
    ['two sources', { text_file: 'cluster', rapi: 'host' }, /^Only one of the rapi, luxi, and data files/],
    ['a file that is not there', { text_file: 'x' }, /aborting: x: openFile: does not exist/],
    ['an agent that does not answer', { luxi: '' }, /^failed to load data, aborting: no agent answers$/],
    [
      'daemons that must all answer, and do not',
      { text_file: 'cluster', mond: true, mond_exit_on_missing: true },
      /^Not all required data available$/,
    ],
    [
      "a file of daemons' reports that is none",
      { text_file: 'cluster', mond: true, mond_file: 'used' },
      /^can't parse MonD data: file: no JSON/,
    ],
    [
      'measurements that are none',
      { text_file: 'cluster', utilisation_file: 'nonsense' },
      /line 1: .*'three'/,
    ],
    ['unknown instances', { text_file: 'cluster', excluded_instances: ['we', 'x'] }, /\["we","x"\]/],
    ['a host that does not answer', { rapi: 'h' }, /https:\/\/h:5080\/2\/info: connection refused/],
  ];
  for (const [what, changes, message] of refusals) {
    it(`refuses ${what}`, async () => assert.match(await refusal(changes), message));
  }

  it('refuses answers that are no JSON, or not what they should be', async () => {
    assert.match(await refusal({ rapi: 'h' }, { answer: () => '<html>' }), /2\/info: no JSON/);
    assert.match(await refusal({ rapi: 'h' }, { answer: () => '[]' }), /Unable to read JSObject/);
  });

  it('warns of what does not add up, unless it is to be quiet', async () => {
    const lossy = (): TestWorldParts => ({ read: () => file.replace('|0|15360|', '|0|10000|') });
    const world = testWorld(lossy());
    await loadCluster({ ...common_defaults, text_file: 'cluster' }, world);
    assert.equal(
      world.printed.err,
      'Warning: cluster has inconsistent data:\n  - node a.example.com is missing 5360 MB ram and 0 GB disk\n\n',
    );
    const silent = testWorld(lossy());
    await loadCluster({ ...common_defaults, text_file: 'cluster', verbosity: 0 }, silent);
    assert.equal(silent.printed.err, '');
  });
});

describe('openTable', () => {
  it('takes nodes for offline, by the beginning of their names', async () => {
    const options = { ...common_defaults, text_file: 'cluster' };
    const { cluster } = await loadCluster(options, testWorld(files));
    assert.deepEqual([...openTable(cluster, { ...options, offline_nodes: ['b'] }, null).offline], [0, 1]);
    assert.throws(
      () => openTable(cluster, { ...options, offline_nodes: ['x', 'a', 'y'] }, null),
      new Failure('wrong node name(s) set as offline: x, y\n'),
    );
  });
});
