/** A real child for an agent, with the keeper's clock in the test's hand. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AgentProcess, agent_start_timeout_ms, agent_timeout_ms } from './agent-process.ts';
import { until } from './keeper-harness.ts';

function setUp(script: string) {
  const clock = { now_ms: 1000 };
  const seen = { lines: [] as unknown[], gone: 0, logs: [] as string[], before: 0 };
  const agent = new AgentProcess({
    argv: [process.execPath, '-e', script],
    env: process.env,
    now_ms: () => clock.now_ms,
    beforeInput: () => {
      seen.before += 1;
    },
    onLine: (line) => seen.lines.push(line),
    onGone: () => {
      seen.gone += 1;
    },
    log: (message) => seen.logs.push(message),
  });
  agent.start();
  return { agent, clock, seen };
}

const greet = `const s = new (require('node:net').Socket)({ fd: Number(process.env.SKEIN_KEEPER_FD) }); s.write('{"type":"hello"}\\n');`;

test('silent past its time: ended and started again; forgiven when the keeper itself stood still', async () => {
  const { agent, clock, seen } = setUp(`${greet} s.on('data', () => {});`);
  try {
    assert.equal(agent.silentAtMs(), 1000 + agent_start_timeout_ms);
    await until('hello', () => seen.lines.length === 1);
    assert.ok(seen.before >= 1, 'asked before the line was read');
    clock.now_ms += agent_timeout_ms + 1;
    agent.forgive();
    agent.check();
    assert.equal(seen.gone, 0);
    clock.now_ms += agent_timeout_ms;
    agent.check();
    assert.equal(seen.gone, 1);
    await until('the next one greets', () => seen.lines.length === 2);
    assert.ok(seen.logs.includes('agent is silent, is ended'));
  } finally {
    await agent.stop(2000);
  }
});

test('a closed pipe or nonsense on it ends the agent', async () => {
  for (const act of ['s.end();', `s.write('no json\\n');`]) {
    const { agent, seen } = setUp(`${greet} ${act} setInterval(() => {}, 1000);`);
    try {
      await until('ended and started again', () => seen.gone >= 2);
    } finally {
      await agent.stop(2000);
    }
  }
});

test('a program that does not exist is tried again with a back-off, not at once', async () => {
  const seen: string[] = [];
  const agent = new AgentProcess({
    argv: ['/no/such/agent'],
    env: process.env,
    now_ms: () => 0,
    beforeInput: () => undefined,
    onLine: () => undefined,
    onGone: () => undefined,
    log: (message, fields) => void seen.push(`${message} ${fields?.restart_in_ms ?? ''}`),
  });
  agent.start();
  await until('two tries', () => seen.includes('agent ended 200'));
  await agent.stop(1000);
  assert.ok(seen.includes('agent ended 100'));
});

test('a full disk is said once, however often the agent ends on it; what comes after is said again', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'skein-agent-'));
  const starts = join(dir, 'starts');
  writeFileSync(starts, '');
  const script = `const fs = require('node:fs'); fs.appendFileSync(${JSON.stringify(starts)}, '.');
    process.exit(fs.statSync(${JSON.stringify(starts)}).size <= 3 ? 71 : 3);`;
  const seen: string[] = [];
  const agent = new AgentProcess({
    argv: [process.execPath, '-e', script],
    env: process.env,
    now_ms: () => 0,
    most_restart_delay_ms: 20,
    beforeInput: () => undefined,
    onLine: () => undefined,
    onGone: () => undefined,
    log: (message, fields) => void seen.push(`${message} ${fields?.code ?? ''}`),
  });
  agent.start();
  try {
    await until('an end for another reason', () => seen.includes('agent ended 3'));
    const first = seen.slice(0, seen.indexOf('agent ended 3') + 1);
    assert.equal(first.length, 3, first.join('; '));
    assert.equal(first[0], 'agent ended 71');
    assert.match(first[1] ?? '', /disk .* is full/);
  } finally {
    await agent.stop(1000);
    rmSync(dir, { recursive: true });
  }
});
