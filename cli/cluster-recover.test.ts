import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { RecoverLook } from '../src/node/api-types.ts';
import { type FakeAgent, FakeError, runCli, startFakeAgent } from './fake-agent.ts';

let agent: FakeAgent;
beforeEach(async () => {
  agent = await startFakeAgent();
});
afterEach(() => agent.close());

const look: RecoverLook = {
  cluster_name: 'lab',
  name: 'n3',
  refusal: null,
  next: '',
  last: { index: 120, term: 4, time: 1_700_000_000 },
  commit: 119,
  nodes: [
    { name: 'n3', voter: true, answers: true, silent_since: null, last_index: 120 },
    { name: 'n1', voter: true, answers: false, silent_since: 1_700_000_100, last_index: null },
    { name: 'n2', voter: true, answers: false, silent_since: null, last_index: null },
    { name: 'n4', voter: false, answers: true, silent_since: null, last_index: 118 },
  ],
  jobs: [7, 8],
  instances: [
    { name: 'web', node: 'n1', guarded: true },
    { name: 'db', node: 'n3', guarded: true },
  ],
  unseen: [],
};
const status = {
  name: 'n3',
  role: 'leader',
  established: true,
  leader: 'n3',
  warnings: ['it was recovered'],
};

function serve(seen: RecoverLook = look): void {
  agent.handle('recover.look', () => seen);
  agent.handle('status', () => status);
  agent.handle('cluster.recover', ({ params }) => {
    if (params.cluster_name !== 'lab') throw new FakeError('invalid', `not ${params.cluster_name}`);
    return { cluster_name: 'lab', generation: 5, copy: '/data/before' };
  });
  agent.handle('cluster.follow', () => ({
    cluster_name: 'lab',
    generation: 5,
    recovered_by: 'n3',
    copy: '/data/before',
  }));
  agent.handle('recover.word', () => null);
}
const asked = (method: string) => agent.requests.filter((request) => request.method === method);

test('it says what is silent, lost and where, and asks for the name of the cluster', async () => {
  serve();
  const done = await runCli(agent.socket, ['cluster', 'recover'], { tty: true, input: 'lab\n' });
  assert.equal(done.status, 0, done.err);
  for (const said of [
    /n1, a voter, since 2023-11-14T22:15:00Z/,
    /n2, a voter, not heard since this agent started/,
    /log ends at entry 120 of term 4, of 2023-11-14T22:13:20Z; known to be committed: to 119/,
    /none has more: n4 \(to entry 118\)/,
    /what only n1, n2 had, decided after 2023-11-14T22:13:20Z/,
    /Jobs not ended, which go on: 7, 8/,
    /web on n1/,
    /db will run here. If n1, n2 still run, they may run these too: power them off first/,
    /on n4: skein cluster recover --follow/,
    /The name of the cluster, to go on:/,
  ])
    assert.match(done.err, said);
  assert.deepEqual(asked('cluster.recover')[0]?.params, { cluster_name: 'lab', off: [] });
  assert.match(done.out, /n3 leads cluster lab again. The old log is in \/data\/before/);
});

test('no name, no terminal, or another name: nothing is done', async () => {
  serve();
  const declined = await runCli(agent.socket, ['cluster', 'recover'], { tty: true, input: '\n' });
  assert.equal(declined.status, 13);
  const alone = await runCli(agent.socket, ['cluster', 'recover']);
  assert.equal(alone.status, 13);
  assert.match(alone.err, /--yes-i-lose-what-only-they-knew CLUSTER/);
  assert.equal(asked('cluster.recover').length, 0);
  const other = await runCli(agent.socket, ['cluster', 'recover', '--yes-i-lose-what-only-they-knew', 'x']);
  assert.notEqual(other.status, 0);
  assert.match(other.err, /not x/);
});

test('a refusal is told with what to do instead, and nothing is asked', async () => {
  serve({ ...look, refusal: 'n4 has more of the log', next: 'skein cluster recover on n4' });
  const refused = await runCli(agent.socket, ['cluster', 'recover'], { tty: true, input: 'lab\n' });
  assert.equal(refused.status, 1);
  assert.match(refused.err, /not done: n4 has more of the log\nTry: skein cluster recover on n4/);
  assert.equal(asked('cluster.recover').length, 0);
});

test('--off goes with the recovery, or is a word after it; --follow follows', async () => {
  serve();
  const sure = ['--yes-i-lose-what-only-they-knew', 'lab'];
  const first = await runCli(agent.socket, ['cluster', 'recover', '--off', 'n1,n2', ...sure]);
  assert.match(first.err, /You say that these are off, and stay so until they left: n1, n2/);
  assert.deepEqual(asked('cluster.recover')[0]?.params, { cluster_name: 'lab', off: ['n1', 'n2'] });
  serve({ ...look, refusal: 'n3 leads', unseen: [{ name: 'n1', word: false }] });
  const later = await runCli(agent.socket, ['cluster', 'recover', '--off', 'n1']);
  assert.equal(later.status, 0, later.err);
  assert.deepEqual(asked('recover.word')[0]?.params, { node: 'n1' });
  const unknown = await runCli(agent.socket, ['cluster', 'recover', '--off', 'n1,n4']);
  assert.match(unknown.err, /n3 leads/);
  const followed = await runCli(agent.socket, ['cluster', 'recover', '--follow', ...sure]);
  assert.match(followed.out, /n3 follows n3. The old log is in/);
});
