/** The keeper as a real process, with `sleep` for guests and this process for the agent. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootTimeMs } from './boot-clock.ts';
import { isDead, KeeperHarness, until } from './keeper-harness.ts';
import { procStat } from './proc-stat.ts';

async function withKeeper(body: (harness: KeeperHarness) => Promise<void>): Promise<void> {
  const harness = await KeeperHarness.start();
  try {
    await body(harness);
  } catch (error) {
    throw new Error(`${(error as Error).stack}\nkeeper said:\n${harness.log}`, { cause: error });
  } finally {
    await harness.close();
  }
}

const long_ms = 60_000;

test('agent killed: guests live on, the next agent finds them; the keeper killed: they die', () =>
  withKeeper(async (harness) => {
    const first = await harness.agent();
    first.client.setLease(bootTimeMs() + long_ms, 1000, false);
    const { pid } = await first.client.spawn(harness.spec('web'));
    assert.equal((await first.client.spawn(harness.spec('web'))).pid, pid, 'the same tag joins');
    await assert.rejects(
      first.client.spawn(harness.spec('web', { tag: 'web:2' })),
      /runs with tag 'web:1', wanted 'web:2'/,
    );
    process.kill(first.pid, 'SIGKILL');
    const second = await harness.agent();
    assert.notEqual(second.pid, first.pid);
    assert.deepEqual(
      second.client.processes_at_start.map((p) => [p.name, p.tag, p.pid, p.frozen]),
      [['guest/web', 'web:1', pid, false]],
    );
    assert.equal(isDead(pid), false);
    await second.client.spawn(harness.spec('db')); // the lease outlives the agent
    harness.keeper.kill('SIGKILL');
    await until('the guest dies with its keeper', () => isDead(pid));
  }));

test('nothing protected starts without a lease; unprotected may', () =>
  withKeeper(async (harness) => {
    const { client } = await harness.agent();
    await assert.rejects(client.spawn(harness.spec('web')), /no lease yet/);
    client.setLease(bootTimeMs() - 1, 1000, false);
    await assert.rejects(client.spawn(harness.spec('web')), /ran out/);
    const { pid } = await client.spawn(harness.spec('file', { protected: false }));
    assert.equal(isDead(pid), false);
    client.setLease(bootTimeMs() + long_ms * 1000, 1000, false);
    await assert.rejects(client.spawn(harness.spec('web')), /ran out/, 'a deadline days ahead is a fault');
  }));

test('lease expiry kills what runs, freezes what is proven paused, thaws it under a fresh lease only', () =>
  withKeeper(async (harness) => {
    const { client } = await harness.agent();
    const deadline_ms = bootTimeMs() + 700;
    client.setLease(deadline_ms, 400, false);
    const running = await client.spawn(harness.spec('running'));
    const paused = await client.spawn(harness.spec('paused'));
    const plain = await client.spawn(harness.spec('plain', { protected: false }));
    await client.setPaused('guest/paused', true);
    const fenced = await new Promise<{ frozen: readonly string[]; killed: readonly string[] }>((resolve) =>
      client.onFenced(resolve),
    );
    assert.ok(bootTimeMs() >= deadline_ms + 200, 'not before deadline + K/2');
    assert.deepEqual(fenced, { frozen: ['guest/paused'], killed: ['guest/running'] });
    await until('killed', () => isDead(running.pid));
    assert.equal(isDead(paused.pid), false);
    assert.equal(isDead(plain.pid), false);
    const frozen = (await client.list()).find((p) => p.name === 'guest/paused');
    assert.equal(frozen?.frozen, true);

    client.setLease(bootTimeMs() - 5, 400, false);
    assert.equal(
      (await client.list()).find((p) => p.name === 'guest/paused')?.frozen,
      true,
      'a dead lease thaws nothing',
    );
    const thawed = new Promise<readonly string[]>((resolve) => client.onThawed(resolve));
    client.setLease(bootTimeMs() + long_ms, 400, false);
    assert.deepEqual(await thawed, ['guest/paused']);
    assert.equal((await client.list()).find((p) => p.name === 'guest/paused')?.frozen, false);
  }));

test('a proof taken back behind the fence kills: a resume may wait in the monitor', () =>
  withKeeper(async (harness) => {
    const { client } = await harness.agent();
    client.setLease(bootTimeMs() + 300, 200, false);
    const { pid } = await client.spawn(harness.spec('web'));
    await client.setPaused('guest/web', true);
    await new Promise<unknown>((resolve) => client.onFenced(resolve));
    assert.equal(isDead(pid), false);
    await client.setPaused('guest/web', false);
    await until('killed', () => isDead(pid));
  }));

test('a keeper stopped past the deadline acts before it serves a line', () =>
  withKeeper(async (harness) => {
    const { client } = await harness.agent();
    const deadline_ms = bootTimeMs() + 300;
    client.setLease(deadline_ms, 200, false);
    const { pid } = await client.spawn(harness.spec('web'));
    harness.keeper.kill('SIGSTOP');
    await until('stopped', () => procStat(harness.keeper.pid ?? 0)?.state === 'T');
    await until('past the fence', () => bootTimeMs() > deadline_ms + 200);
    const fenced = new Promise<{ killed: readonly string[] }>((resolve) => client.onFenced(resolve));
    client.setLease(bootTimeMs() + long_ms, 200, false); // waits in the pipe
    harness.keeper.kill('SIGCONT');
    assert.deepEqual((await fenced).killed, ['guest/web']);
    await until('killed', () => isDead(pid));
  }));

test('a program that cannot be executed is an error with its words; kill proves; exits are told', () =>
  withKeeper(async (harness) => {
    const { client } = await harness.agent();
    client.setLease(bootTimeMs() + long_ms, 1000, false);
    await assert.rejects(
      client.spawn(harness.spec('bad', { argv: ['/no/such/program'] })),
      /guest\/bad could not be started.*no\/such\/program/s,
    );
    await assert.rejects(client.spawn(harness.spec('bad2', { cwd: '/no/such/directory' })), /bad2/);
    await assert.rejects(client.spawn(harness.spec('bad3', { argv: [] })), /expected a list of words/);
    const exits: string[] = [];
    client.onExit((exit) => exits.push(`${exit.name} ${exit.code} ${exit.signal} ${exit.log_tail}`));
    await client.spawn(harness.spec('short', { argv: ['sh', '-c', 'echo last words; exec sleep 0.05; '] }));
    await until('exit told', () => exits.includes('guest/short 0 null last words'));
    const forked = await client.spawn(
      harness.spec('forked', { argv: ['sh', '-c', 'trap "" TERM; sleep 3601 & echo $!; wait'] }),
    );
    await until('child pid logged', () => /^\d+/.test(readFileSync(join(harness.dir, 'forked.log'), 'utf8')));
    const child = Number(readFileSync(join(harness.dir, 'forked.log'), 'utf8'));
    await client.kill('guest/forked', 5000);
    assert.ok(isDead(forked.pid) && isDead(child), 'the whole group is gone when kill answers');
    assert.deepEqual(await client.list(), []);
    await client.kill('guest/forked', 5000);
  }));

test('boot rises with the boot id only; one keeper a directory', async () => {
  const harness = await KeeperHarness.start();
  try {
    const { client } = await harness.agent();
    assert.equal(client.boot, 1);
    const rival = await KeeperHarness.start({}, harness.dir);
    const status = await new Promise((resolve) => rival.keeper.once('exit', resolve));
    assert.equal(status, 70);
    assert.match(rival.log, /already serves this data directory/);
    await rival.close(false);
  } finally {
    await harness.close(false);
  }
  const again = await KeeperHarness.start({}, harness.dir);
  try {
    assert.equal((await again.agent()).client.boot, 1);
  } finally {
    await again.close(false);
  }
  writeFileSync(join(harness.dir, 'boot-id'), 'boot-two\n');
  const rebooted = await KeeperHarness.start({}, harness.dir);
  try {
    assert.equal((await rebooted.agent()).client.boot, 2);
  } finally {
    await rebooted.close();
  }
});

test('SIGTERM ends the agent, then the guests, and leaves nothing', () =>
  withKeeper(async (harness) => {
    const { client, pid: agent } = await harness.agent();
    client.setLease(bootTimeMs() + long_ms, 1000, false);
    const { pid } = await client.spawn(harness.spec('web'));
    const status = new Promise((resolve) => harness.keeper.once('exit', resolve));
    harness.keeper.kill('SIGTERM');
    assert.equal(await status, 0);
    assert.ok(isDead(pid) && isDead(agent));
  }));
