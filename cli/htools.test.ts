/** The htools as commands of `skein`, and what `-L` asks of an agent over its socket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { smallCluster } from '../src/placement/test-small-cluster.ts';
import {
  type FakeAgent,
  FakeError,
  type FakeHandler,
  fakeJob,
  no_answer,
  runCli,
  startFakeAgent,
} from './fake-agent.ts';

const file = join(import.meta.dirname, 'htools', 'golden', 'lopsided.data');
/** Four instances on one node; the nodes in the engine's order, which is not that of their names. */
const cluster = smallCluster({
  nodes: [['b'], ['a']],
  instances: ['4', '3', '2', '1'].map((at) => [`i${at}`, 'a', { memory_mib: 2_048 }]),
});

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());
beforeEach(() => {
  agent.requests.length = 0;
  agent.handle('placement.cluster', () => ({ cluster }));
  agent.handle('submit', ({ params }) => ({ jobs: (params.jobs as unknown[]).map((_, at) => 7 + at) }));
  agent.handle('job.watch', ({ params }) => fakeJob(Number(params.job), 'success'));
});

const run = (...argv: string[]) => runCli(agent.socket, argv);
const requests = (method: string) => agent.requests.filter((request) => request.method === method);

test('a tool has all that follows its name, and its output and status are those of the command', async () => {
  const own = await run('htools', 'hbal', '--help');
  assert.deepEqual([own.status, own.err], [0, '']);
  assert.match(own.out, /^hbal \(skein\) version \S+\nUsage: hbal \[OPTION\.\.\.\]\n/);
  const plan = await run('htools', 'hbal', '-t', file, '-q');
  assert.deepEqual([plan.status, plan.err], [0, '']);
  assert.match(plan.out, /Cluster score improved from 7\.45785888 to 1\.74025239\n/);
  // These are options of skein, too, or none of the tool's.
  for (const [word, status, text] of [
    ['--json', 2, /unrecognized option `--json'/],
    ['-N', 2, /unrecognized option `-N'/],
    ['-h', 0, /^$/],
    ['word', 1, /This program doesn't take any arguments/],
  ] as const) {
    const said = await run('htools', 'hinfo', word);
    assert.equal(said.status, status, word);
    assert.match(said.err, text);
  }
  // Behind `--` nothing is an option.
  assert.equal((await run('htools', 'hinfo', '--', '--help')).status, 1);
  assert.equal((await run('htools', 'hinfo', '--', '--', '--help')).status, 1);
  assert.equal((await run('htools', 'hail')).status, 1);
  assert.equal((await run('htools', 'hnone')).status, 2);
});

test('help and completion know the tools', async () => {
  assert.match((await run('--help')).out, /\n {2}htools +hbal, hail, hspace, hroller, hcheck, hinfo/);
  const help = (await run('htools', '--help')).out;
  const script = (await run('completion', 'bash')).out;
  assert.match(script, /'htools'\) subs='hail hbal hcheck hspace hinfo hroller'/);
  for (const name of ['hail', 'hbal', 'hcheck', 'hspace', 'hinfo', 'hroller']) {
    assert.match(help, new RegExp(`\n  ${name} `));
    assert.match(script, new RegExp(`'htools ${name}'\\)`));
  }
});

test('-L: the cluster of the agent that skein would ask, by name; a socket of its own', async () => {
  const { err, status } = await run('htools', 'hbal', '-L', '-q', '-p', '--print-instances');
  assert.equal(status, 0);
  const order = (pattern: RegExp) => [...err.matchAll(pattern)].map(([, name]) => name);
  assert.deepEqual(order(/^ +([ab]) +\d/gm).slice(0, 2), ['a', 'b']);
  assert.deepEqual(order(/^ R (i\d) +a /gm).slice(0, 4), ['i1', 'i2', 'i3', 'i4']);
  assert.equal(requests('submit').length, 0);
  const other = await runCli('/nonexistent/api.sock', ['htools', 'hinfo', `-L${agent.socket}`]);
  assert.deepEqual([other.status, other.err], [0, '']);
  const nobody = await runCli('/nonexistent/api.sock', ['htools', 'hbal', '-L']);
  assert.equal(nobody.status, 1);
  assert.match(
    nobody.err,
    /^Error: failed to load data, aborting: no agent answers on \/nonexistent\/api\.sock: .*; try: /,
  );
});

test('-X: failovers to the nodes of the plan, with reason and priority, and their end waited for', async () => {
  const { out, err, status } = await run(
    ...['htools', 'hbal', '-L', '-X', '--allow-restart', '--reason', 'even it', '--priority', 'low'],
  );
  assert.deepEqual([status, err], [0, '']);
  assert.match(out, /Solution length=2\nGot job IDs 7\nGot job IDs 7\n$/);
  const [first] = requests('submit');
  assert.match(String(first?.params.request_id), /^[0-9a-f-]{36}$/);
  assert.deepEqual(first?.params.jobs, [
    {
      ops: [
        {
          OP_ID: 'OP_INSTANCE_FAILOVER',
          instance_name: 'i1',
          instance_uuid: 'uuid-i1',
          target_node: 'b',
          target_node_uuid: 'uuid-b',
        },
      ],
      priority: 10,
      reason: [['hbal', 'even it', 1_700_000_000_000_000_000]],
    },
  ]);
  assert.deepEqual(
    agent.requests.map(({ method }) => method),
    ['placement.cluster', 'submit', 'job.watch', 'submit', 'job.watch'],
  );
});

test('-X: a broken connection makes no second job, and the end is seen over another', async () => {
  let broken = 0;
  const once =
    (answer: FakeHandler): FakeHandler =>
    (request) => {
      broken += 1;
      if (broken % 2 === 0) return answer(request);
      request.drop();
      return no_answer;
    };
  agent.handle(
    'submit',
    once(() => ({ jobs: [7] })),
  );
  agent.handle(
    'job.watch',
    once(() => fakeJob(7, 'success')),
  );
  const { status } = await run('htools', 'hbal', '-L', '-X', '--allow-restart', '--first-job-group');
  assert.equal(status, 0);
  const ids = requests('submit').map(({ params }) => params.request_id);
  assert.equal(ids.length, 2);
  assert.equal(ids[0], ids[1]);
  assert.equal(requests('job.watch').length, 2);
});

test('-X: what the agent or a job says no with is shown, and is status 1', async () => {
  agent.handle('job.watch', () =>
    fakeJob(7, 'error', { status: 'error', result: ['OpPrereqError', ['no room', 'wrong_state']] }),
  );
  const failed = await run('htools', 'hbal', '-L', '-X', '--allow-restart');
  assert.equal(failed.status, 1);
  assert.match(failed.err, /^job 7 \(i1\): no room \(wrong_state\)\nError: hbal: Not all jobs completed/);
  assert.equal(requests('submit').length, 1);
  agent.handle('submit', () => {
    throw new FakeError('no-quorum', 'nobody leads', 'skein status');
  });
  const refused = await run('htools', 'hbal', '-L', '-X', '--allow-restart');
  assert.deepEqual([refused.status, refused.err], [1, 'Error: hbal: nobody leads; try: skein status\n']);
});

test('-X: SIGTERM ends the process at once, whatever it waits for', {
  timeout: 60_000,
}, async () => {
  const program = join(import.meta.dirname, 'htools', 'main.ts');
  const args = [program, 'hbal', `-L${agent.socket}`, '-X', '--allow-restart'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (bytes: Buffer) => {
    out += bytes.toString('utf8');
  });
  agent.handle('job.watch', () => {
    child.kill('SIGTERM');
    return no_answer;
  });
  const status = await new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  assert.equal(status, 2);
  assert.match(out, /Got job IDs 7\nDouble cancel request, exiting now\.\.\.\nJobs that go on: 7\n$/);
});
