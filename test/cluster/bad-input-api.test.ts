/**
 * The agents' sockets with what no client should send: wrong JSON, garbage, lines without end, wrong types for every
 * method, the same id twice, more jobs than a submission may have. The connection may be lost, the agent may not; no
 * entry of it is in the log; and who behaves is served meanwhile.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { ApiCallError } from '../../src/node/api-client.ts';
import { cleanUpOf, withHookedLab } from './jobs-support.ts';
import { assertCommits, type Lab, patience_ms, sameState, statusOf } from './support.ts';

interface Heard {
  readonly lines: readonly { id?: unknown; result?: unknown; error?: { code: string; message: string } }[];
  readonly closed: boolean;
}

/** Sends bytes as they are; resolves when `enough` lines have come, or the other side has closed. */
function talk(
  socket_path: string,
  parts: readonly (string | Buffer)[],
  enough: number,
  half_close = false,
): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socket_path });
    let text = '';
    const lines = () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Heard['lines'][number]);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`after ${patience_ms / 1000} s only this came: ${text.slice(0, 500)}`));
    }, patience_ms);
    const end = (closed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ lines: lines(), closed });
    };
    socket.on('connect', () => {
      for (const part of parts) socket.write(part);
      if (half_close) socket.end();
    });
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('utf8');
      if (enough > 0 && lines().length >= enough) end(false);
    });
    // A connection that the agent cuts while we still write to it.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET') end(true);
      else reject(error);
    });
    socket.on('close', () => end(true));
  });
}

const noop = { OP_ID: 'OP_TEST_DELAY', duration: 0 };
const request_id = 'bad-input-api-0001';
const job = (ops: unknown, more: Readonly<Record<string, unknown>> = {}) => ({
  request_id,
  jobs: [{ ops, ...more }],
});

type Wrong = readonly [method: string, params: unknown, code: string, says: RegExp];

const wrong_params: readonly Wrong[] = [
  ['query', {}, 'invalid', /query: .*resource/],
  ['query', { resource: 'planet' }, 'invalid', /resource/],
  ['query', { resource: 7 }, 'invalid', /resource/],
  ['query', { resource: 'instance', names: 'web' }, 'invalid', /names/],
  ['query', { resource: 'instance', names: [7] }, 'invalid', /names/],
  ['query', { resource: 'instance', names: Array(10_001).fill('x') }, 'invalid', /names/],
  ['query', { resource: 'instance', stale: 'yes' }, 'invalid', /stale/],
  ['query', { resource: 'node', names: ['__proto__'] }, 'not-found', /"__proto__" does not exist/],
  ['query', { resource: 'node', names: ['constructor'] }, 'not-found', /"constructor" does not exist/],
  ['submit', {}, 'invalid', /request_id/],
  ['submit', { request_id, jobs: [] }, 'invalid', /jobs/],
  ['submit', { request_id: 'short', jobs: [{ ops: [noop] }] }, 'invalid', /request_id/],
  ['submit', { request_id: 'x'.repeat(129), jobs: [{ ops: [noop] }] }, 'invalid', /request_id/],
  ['submit', { request_id, jobs: Array(1_001).fill({ ops: [noop] }) }, 'invalid', /jobs/],
  ['submit', job([]), 'invalid', /ops/],
  ['submit', job('OP_TEST_DELAY'), 'invalid', /ops/],
  ['submit', job(Array(101).fill(noop)), 'invalid', /ops/],
  ['submit', job([{}]), 'invalid', /OP_ID/],
  ['submit', job([{ OP_ID: 'rm -rf' }]), 'invalid', /OP_ID/],
  ['submit', job([{ OP_ID: 'OP_NO_SUCH' }]), 'invalid', /OP_NO_SUCH is not known; known: OP_/],
  ['submit', job([{ OP_ID: 'OP_TEST_DELAY' }]), 'invalid', /duration is missing: expected a number/],
  ['submit', job([{ ...noop, duration: 'long' }]), 'invalid', /duration is "long": expected a number/],
  ['submit', job([{ ...noop, duration: -1 }]), 'invalid', /duration is -1: expected/],
  ['submit', job([{ ...noop, duration: 1e9 }]), 'invalid', /duration is 1000000000: expected/],
  ['submit', job([{ ...noop, colour: 'red' }]), 'invalid', /unknown parameter "colour"/],
  ['submit', job([{ ...noop, dry_run: true }]), 'invalid', /dry_run is true: expected false/],
  ['submit', job([noop, { ...noop, duration: null }]), 'invalid', /duration is null/],
  ['submit', job([{ OP_ID: 'OP_INSTANCE_REMOVE' }]), 'invalid', /instance_name/],
  ['submit', job([noop], { priority: 100 }), 'invalid', /priority/],
  ['submit', job([noop], { priority: 'high' }), 'invalid', /priority/],
  ['submit', job([noop], { depends: [{ job: 'x', states: [] }] }), 'invalid', /depends/],
  ['submit', job([noop], { depends: [{ job: 1, states: ['sometime'] }] }), 'invalid', /states/],
  [
    'submit',
    job([noop], { depends: [{ job: 4711, states: [] }] }),
    'invalid',
    /depends on job 4711: expected/,
  ],
  ['submit', job([noop], { depends: [{ job: -1, states: [] }] }), 'invalid', /-1/],
  ['submit', job([noop], { reason: ['because'] }), 'invalid', /reason/],
  ['job.watch', {}, 'invalid', /job/],
  ['job.watch', { job: 0 }, 'invalid', /job/],
  ['job.watch', { job: 4711 }, 'not-found', /job 4711 does not exist/],
  ['job.cancel', { job: '1' }, 'invalid', /job/],
  ['job.cancel', { job: 1.5 }, 'invalid', /job/],
  ['job.cancel', { job: 4711 }, 'not-found', /job 4711/],
  ['job.priority', { job: 1 }, 'invalid', /priority/],
  ['job.priority', { job: 4711, priority: 0 }, 'not-found', /job 4711/],
  ['job.priority', { job: 1, priority: 99 }, 'invalid', /priority/],
  ['job.archive', { jobs: [] }, 'invalid', /jobs/],
  ['job.archive', { jobs: [4711] }, 'not-found', /job 4711/],
  ['job.why', { job: null }, 'invalid', /job/],
  ['token.create', {}, 'invalid', /expires_s/],
  ['token.create', { expires_s: 1, master_capable: true, vm_capable: true }, 'invalid', /expires_s/],
  [
    'token.create',
    { expires_s: 60, group: 'nosuch', master_capable: true, vm_capable: true },
    'not-found',
    /group "nosuch"/,
  ],
  ['token.revoke', { id: '' }, 'invalid', /id/],
  ['token.revoke', { id: 'nosuch' }, 'not-found', /nosuch/],
  ['events', { since: -1 }, 'invalid', /since/],
  ['events', { since: 'now' }, 'invalid', /since/],
  ['instance.console', { instance: '', attach: false }, 'invalid', /instance/],
  ['instance.console', { instance: 'nosuch', attach: true }, 'not-found', /"nosuch" does not exist/],
  ['instance.console', { instance: 'nosuch' }, 'invalid', /attach/],
  ['instance.why', { instance: 7 }, 'invalid', /instance/],
  ['raft.transfer', { to: 'nosuch' }, 'not-found', /node "nosuch"/],
  ['raft.transfer', { to: 7 }, 'invalid', /to/],
  ['cluster.init', {}, 'exists', /member of cluster lab already/],
  ['cluster.join', { token: 'x' }, 'exists', /member of cluster lab already/],
  ['no.such.method', {}, 'invalid', /unknown method "no.such.method"/],
  ['toString', {}, 'invalid', /unknown method "toString"/],
]; // prettier-ignore

describe('bad input: the API', () => {
  const cleaning = cleanUpOf(after);
  let lab: Lab;
  let pids: readonly (number | undefined)[] = [];
  const agents = () => Promise.all(lab.nodes.map(async ({ name }) => (await statusOf(lab, name))?.pid));
  const socketOf = (name: string) => lab.node(name).socket;

  before(async () => {
    lab = await withHookedLab(cleaning);
    await assertCommits(lab, 'n1');
    pids = await agents();
  });

  async function unchanged(act: () => Promise<void>): Promise<void> {
    const hash = (await sameState(lab)).split(':')[1];
    await act();
    assert.equal((await sameState(lab)).split(':')[1], hash, 'the state has changed');
    assert.deepEqual(await agents(), pids, 'an agent has ended');
  }

  test('every method with wrong parameters', { timeout: 120_000 }, () =>
    unchanged(async () => {
      for (const [at, [method, params, code, says]] of wrong_params.entries()) {
        const name = lab.nodes[at % lab.nodes.length]?.name ?? 'n1';
        const line = `${JSON.stringify({ id: at, method, params })}\n`;
        const { lines } = await talk(socketOf(name), [line], 1);
        const context = `${name}: ${line.slice(0, 160)} -> ${JSON.stringify(lines).slice(0, 400)}`;
        assert.equal(lines[0]?.id, at, context);
        assert.equal(lines[0]?.error?.code, code, context);
        assert.match(lines[0]?.error?.message ?? '', says, context);
      }
    }),
  );

  test('what is no request ends the connection, and says why', { timeout: 60_000 }, () =>
    unchanged(async () => {
      const not_requests = [
        '{"id":1,"method":',
        'null',
        '[]',
        '"x"',
        '7',
        '{}',
        '{"id":{},"method":"status"}',
        '{"id":1}',
        '{"id":1,"method":7}',
        '{"id":1,"method":"status","params":[]}',
        '{"id":1,"method":"status","params":"x"}',
        'GET / HTTP/1.1',
        '\u0000\u0001\u0002',
        `${'['.repeat(100_000)}`,
      ];
      for (const [at, text] of not_requests.entries()) {
        const name = lab.nodes[at % lab.nodes.length]?.name ?? 'n1';
        const { lines, closed } = await talk(socketOf(name), [`${text}\n`], 0);
        assert.ok(closed, text.slice(0, 80));
        assert.equal(lines[0]?.error?.code, 'invalid', text.slice(0, 80));
        assert.match(lines[0]?.error?.message ?? '', /^not a request: /, text.slice(0, 80));
      }
    }),
  );

  test('binary garbage, with and without newlines', { timeout: 60_000 }, () =>
    unchanged(async () => {
      for (const { name } of lab.nodes) {
        const { closed } = await talk(socketOf(name), [randomBytes(64 * 1024), '\n'], 0);
        assert.ok(closed);
      }
    }),
  );

  test('a line of 2 MiB is refused while it comes, not kept', { timeout: 60_000 }, () =>
    unchanged(async () => {
      for (const end of ['', '\n']) {
        const line = `{"id":1,"method":"status","params":{"x":"${'y'.repeat(2 * 1024 * 1024)}"}}${end}`;
        const { lines, closed } = await talk(socketOf('n2'), [line], 0);
        assert.ok(closed);
        // The refusal may be lost with the connection, which ends while we still write; an answer may not come.
        for (const heard of lines) assert.match(heard.error?.message ?? '', /1048576 bytes at most/);
      }
    }),
  );

  test('half a line and then nothing: no request, no answer', { timeout: 60_000 }, () =>
    unchanged(async () => {
      const half = `{"id":1,"method":"submit","params":${JSON.stringify(job([noop]))}`;
      const { lines } = await talk(socketOf('n3'), [half], 0, true);
      assert.deepEqual(lines, []);
    }),
  );

  test('a request in pieces, cut inside of a character, is one request', { timeout: 60_000 }, async () => {
    const bytes = Buffer.from(
      `${JSON.stringify({ id: 'é', method: 'query', params: { resource: 'node', names: ['né'] } })}\n`,
    );
    const cut = bytes.indexOf(0xc3) + 1;
    const socket = connect({ path: socketOf('n1') });
    try {
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.setNoDelay(true);
      await new Promise((resolve) => socket.write(bytes.subarray(0, cut), resolve));
      // Another connection's answer shows that the agent has had its turn since.
      await talk(socketOf('n1'), ['{"id":1,"method":"status"}\n'], 1);
      const answer = new Promise<string>((resolve) =>
        socket.once('data', (data: Buffer) => resolve(data.toString('utf8'))),
      );
      socket.write(bytes.subarray(cut));
      const line = JSON.parse(await answer) as Heard['lines'][number];
      assert.equal(line.id, 'é');
      assert.match(line.error?.message ?? '', /node "né" does not exist/);
    } finally {
      socket.destroy();
    }
  });

  test('two requests under one id at a time: the second is refused, the first goes on', async () => {
    const watch = `${JSON.stringify({ id: 5, method: 'events', params: {} })}\n`;
    const { lines } = await talk(
      socketOf('n1'),
      [watch, '{"id":5,"method":"status"}\n{"id":6,"method":"status"}\n'],
      2,
    );
    const by_id = new Map(lines.map((line) => [line.id, line]));
    assert.match(by_id.get(5)?.error?.message ?? '', /id 5 is in use/);
    assert.ok(by_id.get(6)?.result);
  });

  test('more than 64 calls at a time on one connection: the rest is refused', async () => {
    const watches = Array.from({ length: 65 }, (_, id) => `${JSON.stringify({ id, method: 'events' })}\n`);
    const { lines } = await talk(socketOf('n2'), watches, 1);
    assert.equal(lines[0]?.id, 64);
    assert.match(lines[0]?.error?.message ?? '', /more than 64 calls at a time/);
  });

  test('test methods exist only with test hooks', async () => {
    const plain = await lab.node('n1').call('test.crash', { job: 1_000_000, entry: null, moment: 'before' });
    assert.deepEqual(plain.seen, []);
    await assert.rejects(
      lab.node('n1').call('test.crash', { job: 0, entry: null, moment: 'before' }),
      (error) => error instanceof ApiCallError && error.code === 'invalid',
    );
  });

  test('after all that the cluster works on every node', async () => {
    for (const { name } of lab.nodes) await assertCommits(lab, name);
    assert.deepEqual(await agents(), pids);
  });
});
