import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CliError } from './exit-status.ts';
import { type FakeAgent, rowsHandler, runCli, startFakeAgent } from './fake-agent.ts';
import { cluster, groups, resetFakeCluster } from './fake-rows.ts';
import { ipolicyOf, parseBounds } from './ipolicy-options.ts';

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());
beforeEach(() => resetFakeCluster(agent));

const run = (...argv: string[]) => runCli(agent.socket, argv);
const min = 'memory-size=128m,cpu-count=1,disk-count=1,disk-size=1g,nic-count=0,spindle-use=1';
const max = 'memory-size=32g,cpu-count=8,disk-count=16,disk-size=1t,nic-count=8,spindle-use=12';
const bounds = {
  min: {
    'memory-size': 128,
    'cpu-count': 1,
    'disk-count': 1,
    'disk-size': 1024,
    'nic-count': 0,
    'spindle-use': 1,
  },
  max: {
    'memory-size': 32_768,
    'cpu-count': 8,
    'disk-count': 16,
    'disk-size': 1_048_576,
    'nic-count': 8,
    'spindle-use': 12,
  },
};

test('bounds in Ganeti’s form: min and max in any order, more pairs after //, units', () => {
  assert.deepEqual(parseBounds(`min:${min}/max:${max}`), [bounds]);
  assert.deepEqual(parseBounds(`max:${max}/min:${min}//min:${min}:max:${max}`), [bounds, bounds]);
});

test('every part: read, typed, or taken back', () => {
  assert.deepEqual(
    ipolicyOf({
      ipolicyStdSpecs: 'memory-size=1g,cpu-count=2',
      ipolicyDiskTemplates: 'file,diskless',
      ipolicyVcpuRatio: '4.5',
      ipolicySpindleRatio: 'default',
      ipolicyMemoryRatio: '1',
    }),
    {
      std: { 'memory-size': 1024, 'cpu-count': 2 },
      'disk-templates': ['file', 'diskless'],
      'vcpu-ratio': 4.5,
      'spindle-ratio': 'default',
      'memory-ratio': 1,
    },
  );
  assert.deepEqual(ipolicyOf({ ipolicyBoundsSpecs: 'default' }), { minmax: 'default' });
  assert.equal(ipolicyOf({}), undefined);
});

test('what cannot be read is refused by value', () => {
  const bad: readonly [Parameters<typeof ipolicyOf>[0], RegExp][] = [
    [{ ipolicyBoundsSpecs: `min:${min}` }, /"min:.*" has no max/],
    [{ ipolicyBoundsSpecs: '' }, /"" begins with neither min: nor max:/],
    [{ ipolicyBoundsSpecs: `min:${min}/min:${max}` }, /begins with neither/],
    [
      { ipolicyBoundsSpecs: `min:cpu-count=1/max:${max}` },
      /min in .* lacks memory-size, disk-count, disk-size/,
    ],
    [{ ipolicyBoundsSpecs: 'min:colour=1/max:cpu-count=1' }, /"colour" is no part of a spec/],
    [{ ipolicyStdSpecs: 'cpu-count=two' }, /cpu-count is "two", no whole number/],
    [{ ipolicyStdSpecs: 'cpu-count' }, /cpu-count has no value/],
    [{ ipolicyStdSpecs: 'memory-size=1q' }, /memory-size "1q" is no size/],
    [{ ipolicyVcpuRatio: '0.5' }, /--ipolicy-vcpu-ratio: "0\.5" is no number of at least 1/],
    [{ ipolicyMemoryRatio: '' }, /--ipolicy-memory-ratio: "" is no number/],
  ];
  for (const [options, message] of bad) {
    assert.throws(
      () => ipolicyOf(options),
      (error) =>
        error instanceof CliError && error.exit === 2 && error.next !== '' && message.test(error.message),
      message.source,
    );
  }
});

test('the commands send what was typed; a group has no standard spec', async () => {
  const table: readonly [string, unknown][] = [
    [
      `cluster modify --ipolicy-bounds-specs min:${min}/max:${max} --ipolicy-memory-ratio 1.5`,
      { OP_ID: 'OP_CLUSTER_SET_PARAMS', ipolicy: { minmax: [bounds], 'memory-ratio': 1.5 } },
    ],
    [
      'group modify default --alloc-policy last_resort --ipolicy-disk-templates file',
      {
        OP_ID: 'OP_GROUP_SET_PARAMS',
        group_name: 'default',
        alloc_policy: 'last_resort',
        ipolicy: { 'disk-templates': ['file'] },
      },
    ],
    [
      'instance modify web1 -B vcpus=9 --ignore-ipolicy',
      {
        OP_ID: 'OP_INSTANCE_SET_PARAMS',
        instance_name: 'web1',
        beparams: { vcpus: 9 },
        ignore_ipolicy: true,
      },
    ],
  ];
  for (const [line, op] of table) {
    agent.requests.length = 0;
    const { status, err } = await run(...line.split(' '));
    assert.equal(status, 0, `${line}: ${err}`);
    const [sent] = agent.requests.filter(({ method }) => method === 'submit');
    const jobs = (sent?.params.jobs ?? []) as { ops: unknown[] }[];
    assert.deepEqual(jobs[0]?.ops, [op], line);
  }
  const refused: readonly [string, RegExp][] = [
    ['group modify default --ipolicy-std-specs cpu-count=1', /unknown option '--ipolicy-std-specs'/],
    ['group modify default', /nothing to change on default/],
    ['group modify default --alloc-policy never', /"never" is not known/],
    ['instance modify web1 --ignore-ipolicy', /nothing to change on web1/],
  ];
  for (const [line, message] of refused) {
    const { status, err } = await run(...line.split(' '));
    assert.equal(status, 2, line);
    assert.match(err, message, line);
  }
  agent.handle('status', () => ({ name: 'n1' }));
  agent.handle('cluster.init', () => ({ uuid: 'c' }));
  await run('cluster', 'init', 'prod', '--primary-ip', '192.0.2.1', '--ipolicy-vcpu-ratio', '8');
  assert.deepEqual(agent.requests.at(-1)?.params.ipolicy, { 'vcpu-ratio': 8 });
  await run('cluster', 'init', 'prod', '--primary-ip', '192.0.2.1');
  assert.equal('ipolicy' in agent.requests.at(-1)!.params, false);
});

test('policies are shown, and show-ispecs-cmd prints what sets the same again', async () => {
  const ipolicy = { minmax: [bounds, bounds], std: bounds.min, 'disk-templates': ['file'], 'vcpu-ratio': 4 };
  const [group] = groups;
  agent.handle(
    'query',
    rowsHandler({
      cluster: [{ ...cluster[0], ipolicy }],
      group: [
        { ...group, ipolicy, custom_ipolicy: {} },
        { ...group, name: 'web', uuid: 'g2', ipolicy, custom_ipolicy: { minmax: [bounds] } },
      ],
    }),
  );
  assert.match(
    (await run('cluster', 'info')).out,
    /\nipolicy:\n {2}minmax:\n {4}- min:\n {8}memory-size: 128\n/,
  );
  assert.match((await run('group', 'info', 'web')).out, /\n {2}vcpu-ratio: 4\n/);
  assert.match((await run('group', 'list', '-o', 'name,ipolicy', 'web')).out, /vcpu-ratio=4/);
  const [shown] = JSON.parse((await run('group', 'list', '--json', 'web')).out) as [{ ipolicy: unknown }];
  assert.deepEqual(shown.ipolicy, ipolicy);

  const said = (await run('cluster', 'show-ispecs-cmd')).out.trim();
  assert.match(said, /^skein cluster modify --ipolicy-std-specs \S+ --ipolicy-bounds-specs \S+$/);
  const [, , , , std = '', , pairs = ''] = said.split(' ');
  assert.deepEqual(ipolicyOf({ ipolicyStdSpecs: std, ipolicyBoundsSpecs: pairs }), {
    std: bounds.min,
    minmax: [bounds, bounds],
  });
  const [plain, web] = (await run('group', 'show-ispecs-cmd')).out.split('\n');
  assert.equal(plain, 'skein group modify default --ipolicy-bounds-specs default');
  assert.match(web ?? '', /^skein group modify web --ipolicy-bounds-specs min:\S+\/max:[^/]+$/);
  const full = (await run('group', 'show-ispecs-cmd', '--include-defaults', 'default')).out;
  assert.match(full, /^skein group modify default --ipolicy-bounds-specs \S+\/\/\S+\n$/);
});
