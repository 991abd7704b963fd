// The agent's small parts: each is one idea, and a few cases.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Node } from '../config/model.ts';
import { init, node } from '../config/test-fixtures.ts';
import type { HypervisorDriver } from '../drivers/types.ts';
import { parseAgentOptions, UsageError } from './agent-options.ts';
import type { ClusterEvent } from './api-types.ts';
import { readJson, writeDurableJson } from './durable-file.ts';
import { endGuests } from './end-guests.ts';
import { watchEventLoop } from './event-loop-watch.ts';
import { createEventLog } from './events.ts';
import { type MemberFile, readMemberFile, removeMemberFile, writeMemberFile } from './member-file.ts';
import { nodeVersionWarning } from './node-version.ts';
import { createRealMeasures, recordsIn } from './real-host.ts';
import { createTestEnv } from './test-env.ts';
import { within } from './within.ts';

test('an event loop that lags three times running is noticed, one long pause is not', async () => {
  const env = createTestEnv();
  let lag_ms = 0;
  const stalled: number[] = [];
  const stop = watchEventLoop({
    now_ms: env.now_ms,
    after: (delay_ms, fn) => env.after(delay_ms + lag_ms, fn),
    stalled: (late_ms) => stalled.push(late_ms),
  });
  const late = async (ms: number) => {
    lag_ms = ms;
    await env.advance(500 + ms);
  };
  await late(0);
  // The delay of a look is set when the one before it is over.
  for (const ms of [60_000, 0, 1_001, 1_001, 900, 1_001, 1_001]) await late(ms);
  assert.deepEqual(stalled, []);
  for (const ms of [1_500, 1_500, 1_500, 1_500]) await late(ms);
  assert.ok(stalled.length >= 1 && stalled.every((ms) => ms > 1_000));
  stop();
  assert.equal(env.timers, 0);
});

test('Node releases with known holes are warned of', () => {
  for (const bad of ['v24.22.0', 'v24.9.9', 'v26.12.0', 'v26.10.0', 'v25.9.0', 'v22.30.0'])
    assert.match(nodeVersionWarning(bad) ?? '', new RegExp(`${bad}.*24\\.22\\.1 or 26\\.12\\.1`));
  for (const good of ['v24.22.1', 'v24.23.0', 'v26.12.1', 'v26.13.0-nightly', 'v27.0.0', 'v28.1.0'])
    assert.equal(nodeVersionWarning(good), null, good);
});

test('a wait is bounded, and leaves no timer', async () => {
  const env = createTestEnv();
  assert.equal(await within(env.after, Promise.resolve(3), 100, 'it'), 3);
  const late = assert.rejects(within(env.after, new Promise(() => undefined), 100, 'listing'), {
    message: 'listing took more than 100 ms',
  });
  await env.advance(100);
  await late;
  assert.equal(env.timers, 0);
});

test('agent options: defaults, and each bad value is named', () => {
  const options = parseAgentOptions(['--name', 'n1', '--listen', '/ip4/192.0.2.7/tcp/1820'], {});
  assert.equal(options.master_ip_script, '/etc/ganeti/scripts/master-ip-setup');
  assert.deepEqual([options.data_dir, options.test_hooks], ['/var/lib/skein', false]);
  assert.equal(parseAgentOptions([], { SKEIN_MASTER_IP_SCRIPT: '/x/y' }).master_ip_script, '/x/y');
  assert.equal(parseAgentOptions([], {}).listen.length, 2);
  for (const bad of [
    '/ip4/192.0.2.7/tcp/70000',
    '/ip4/192.0.2.7/tcp/0',
    '/ip4/::1/tcp/1820',
    '/ip6/192.0.2.7/tcp/1',
    '/ip4/300.1.1.1/tcp/1',
    '192.0.2.7:1820',
  ])
    assert.throws(
      () => parseAgentOptions(['--listen', bad], {}),
      (error: Error) => error instanceof UsageError && error.message.includes(bad),
    );
  for (const bad of ['499', '60001', 'soon', '1.5'])
    assert.throws(() => parseAgentOptions(['--election-ms', bad], {}), new RegExp(`--election-ms ${bad}`));
  assert.throws(() => parseAgentOptions(['--no-such'], {}), UsageError);
  assert.throws(() => parseAgentOptions(['stray'], {}), UsageError);
});

test('member.json: written whole, read back, refused by name when it is damaged, gone when removed', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skein-member-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const records = recordsIn(dir);
  assert.equal(await readMemberFile(records), null);
  const file: MemberFile = {
    version: 1,
    cluster_uuid: 'c',
    cluster_name: 'cluster.example',
    generation: 1,
    member: 1,
    node_uuid: 'n',
    node_name: 'n1',
    peers: [],
    pending_init: init,
  };
  await writeMemberFile(records, file);
  assert.deepEqual(await readMemberFile(records), file);
  assert.deepEqual(await readdir(dir), ['member.json']);
  await writeFile(join(dir, 'member.json'), '{"version":1');
  await assert.rejects(readMemberFile(records), /member\.json is not JSON/);
  await writeFile(join(dir, 'member.json'), JSON.stringify({ ...file, member: 0 }));
  await assert.rejects(readMemberFile(records), /member\.json.*member/s);
  await removeMemberFile(records);
  await removeMemberFile(records);
  assert.equal(await readMemberFile(records), null);
});

test('a storage directory that cannot be looked at has nothing free; it is told once, and one that is missing never', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skein-measures-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const warnings: string[] = [];
  const measures = createRealMeasures((_message, { error }) => void warnings.push(String(error)));
  assert.ok((await measures.disk(dir)).total > 0);
  const nothing = { total: 0, free: 0 };
  assert.deepEqual(await measures.disk(join(dir, 'missing')), nothing);
  assert.deepEqual(warnings, []);
  await writeFile(join(dir, 'file'), '');
  assert.deepEqual(await measures.disk(join(dir, 'file', 'below')), nothing);
  assert.deepEqual(await measures.disk(join(dir, 'file', 'below')), nothing);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /ENOTDIR/);
});

test('a durable file that cannot be written leaves the old one and nothing beside it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skein-file-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'a.json');
  await writeDurableJson(path, { a: 1 });
  await assert.rejects(writeDurableJson(path, { a: 1n }));
  assert.deepEqual([await readJson(path), await readdir(dir)], [{ a: 1 }, ['a.json']]);
});

test('all guests are ended: what stays is tried again, what never ends is named', async () => {
  const env = createTestEnv();
  const guests = new Set(['web', 'db']);
  let stubborn = 2;
  const driver = {
    name: 'fake',
    list: async () => [...guests].map((name) => ({ name })),
    stop: async (name: string) => {
      if (name === 'db' && stubborn-- > 0) throw new Error('in D state');
      guests.delete(name);
    },
    cleanup: async () => undefined,
  } as unknown as HypervisorDriver;
  const deps = { env, hypervisors: new Map([['fake', driver]]) };
  const ended = endGuests(deps, 5);
  await env.advance(60_000);
  await ended;
  assert.equal(guests.size, 0);
  guests.add('db');
  stubborn = 99;
  const failed = assert.rejects(endGuests(deps, 3), /not ended: fake: in D state/);
  await env.advance(60_000);
  await failed;
});

test('events: a change is told against what was known, also right after a start', () => {
  const known: Node = { ...node, health: 'member' };
  const events = createEventLog((uuid) => uuid, { nodes: [known], instances: [], jobs: [] });
  const seen: ClusterEvent[] = [];
  const stop = events.follow(0, (event) => seen.push(event));
  events.add(5, 1, {
    table: 'nodes',
    key: known.uuid,
    value: { ...known, health: 'lost', health_reason: 'silent' },
  });
  events.add(6, 1, { table: 'nodes', key: 'n9', value: { ...known, uuid: 'n9', name: 'node9', member: 9 } });
  events.add(7, 1, { table: 'nodes', key: 'n9', value: null });
  assert.deepEqual(
    seen.map(({ index, name, text }) => [index, name, text]),
    [
      [5, 'node1', 'lost: silent'],
      [6, 'node9', 'joined as member 9'],
      [7, 'node9', 'removed'],
    ],
  );
  stop();
  events.note(8, 1, 'leader', 'node1', 'leads');
  const later: ClusterEvent[] = [];
  events.follow(6, (event) => later.push(event));
  assert.deepEqual([seen.length, later.map((event) => event.index)], [3, [7, 8]]);
});
