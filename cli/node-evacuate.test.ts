import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type FakeAgent, FakeError, runCli, startFakeAgent } from './fake-agent.ts';
import { resetFakeCluster } from './fake-rows.ts';

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());

const plan = {
  node: { name: 'n1', uuid: 'u-n1' },
  moves: [
    {
      instance: { name: 'web1', uuid: 'u-web1' },
      to: { name: 'n2', uuid: 'u-n2' },
      restarts: true,
      warning: 'any one node could be lost before, and not any more: so it is',
    },
    {
      instance: { name: 'idle-instance', uuid: 'u-idle' },
      to: { name: 'n10', uuid: 'u-n10' },
      restarts: false,
      warning: null,
    },
  ],
  stuck: [],
};
let answer: { plan: unknown; refused: string | null };
beforeEach(() => {
  resetFakeCluster(agent);
  answer = { plan, refused: null };
  agent.handle('evacuation.plan', () => answer);
});

const evacuate = (...argv: string[]) => runCli(agent.socket, ['node', 'evacuate', ...argv]);
const methods = () => agent.requests.map(({ method }) => method);
const asked = (method: string) => agent.requests.find((request) => request.method === method)?.params;
const submitted = () => (asked('submit')?.jobs as { ops: unknown[] }[] | undefined)?.[0]?.ops;

test('--dry-run shows the plan as a table and changes nothing', async () => {
  const { status, out } = await evacuate('n1', '--dry-run', '--allow-restart', '-p', '--to', 'n2');
  assert.equal(status, 0);
  assert.equal(
    out,
    [
      'Instance      To  How',
      'web1          n2  is stopped, and started there (any one node could be lost before, and not any more: so it is)',
      'idle-instance n10 stays stopped',
      '',
    ].join('\n'),
  );
  assert.deepEqual(methods(), ['evacuation.plan']);
  assert.deepEqual(asked('evacuation.plan'), {
    node: 'n1',
    mode: 'primary-only',
    allow_restart: true,
    to: 'n2',
  });
  assert.deepEqual(JSON.parse((await evacuate('n1', '--dry-run', '--json')).out), answer);
  answer = { plan: { ...plan, moves: [] }, refused: null };
  assert.equal((await evacuate('n1', '--dry-run')).out, 'node n1: nothing is to be moved\n');
});

test('what would be refused is shown, and ends as the command would', async () => {
  const stuck = [{ instance: { name: 'db1', uuid: 'u-db1' }, reason: 'so it is' }];
  answer = { plan: { ...plan, stuck }, refused: 'Unable to evacuate instances db1 (so it is)' };
  const dry = await evacuate('n1', '--dry-run');
  assert.match(dry.out, /^db1 +- +cannot go: so it is$/m);
  for (const { status, err } of [dry, await evacuate('n1')]) {
    assert.equal(status, 1);
    assert.match(
      err,
      /^skein: nothing was done: Unable to evacuate instances db1 \(so it is\)\nTry: .*--dry-run/,
    );
  }
  assert.equal(submitted(), undefined);
  agent.handle('evacuation.plan', () => {
    throw new FakeError('not-found', 'there is no node "n1"');
  });
  assert.equal((await evacuate('n1', '--dry-run')).status, 1);
});

test('it asks first, naming what moves and what is restarted; --force does not', async () => {
  const silent = await evacuate('n1', '--allow-restart');
  assert.equal(silent.status, 13);
  assert.match(
    silent.err,
    /This will move 2 instances off node n1: web1 to n2, idle-instance to n10\. Stopped, and started there: web1\./,
  );
  const no = await runCli(agent.socket, ['node', 'evacuate', 'n1'], { tty: true, input: 'n\n' });
  assert.equal(no.status, 13);
  assert.equal(submitted(), undefined);
  const yes = await runCli(agent.socket, ['node', 'evacuate', 'n1', '--submit'], { tty: true, input: 'y\n' });
  assert.equal(yes.status, 0);
  assert.deepEqual(submitted(), [
    { OP_ID: 'OP_NODE_EVACUATE', node_name: 'n1', mode: 'all', allow_restart: false, early_release: false },
  ]);
  agent.requests.length = 0;
  assert.equal((await evacuate('n1', '--force', '--submit')).status, 0);
  assert.ok(!methods().includes('evacuation.plan'));
});

test('Ganeti’s options; two that exclude each other', async () => {
  const options = ['-s', '-n', 'n2', '--early-release', '--allow-restart', '-f', '--submit'];
  assert.equal((await evacuate('n1', ...options)).status, 0);
  assert.deepEqual(submitted(), [
    {
      OP_ID: 'OP_NODE_EVACUATE',
      node_name: 'n1',
      mode: 'secondary-only',
      remote_node: 'n2',
      allow_restart: true,
      early_release: true,
    },
  ]);
  for (const wrong of [
    ['-p', '-s'],
    ['-n', 'n2', '--to', 'n3'],
  ]) {
    agent.requests.length = 0;
    assert.equal((await evacuate('n1', ...wrong)).status, 2);
    assert.deepEqual(methods(), []);
  }
});

test('its last line says that the node is not drained, and how to drain it', async () => {
  const { err, status } = await evacuate('n1', '--force', '--submit');
  assert.equal(status, 0);
  assert.match(err, /node n1 is not drained by this.*: skein node modify n1 --drained yes\n$/);
});
