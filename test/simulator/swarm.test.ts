/**
 * The swarm, eight minutes of it with seeds that differ from run to run: whole agents and consensus alone side by side,
 * then one run of 200 hosts. The base is printed, and what fails ends with the line that replays it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ended, runSimulator, swarmSeconds } from './budgeted.ts';

const seconds = swarmSeconds();
const base = Date.now() >>> 0;
/** A run that was begun within the budget is finished: on a busy machine it may take a while. */
const grace_s = 400;
const big_hosts = 200;
const big_limit_s = 900;

/** The line in which it sums itself up. */
function assertWell({ code, signal, tail }: Ended, summed: RegExp): string {
  assert.equal(code, 0, `ended with ${signal ?? code}\n${tail.join('\n')}`);
  const line = tail.findLast((one) => summed.test(one));
  assert.ok(line !== undefined, `no line like ${summed}\n${tail.slice(-5).join('\n')}`);
  return line;
}

test('the swarm keeps every promise', { timeout: (seconds + grace_s + 30) * 2000 }, async (t) => {
  const args = (file: string, ...more: readonly string[]) => [
    file,
    '--budget',
    String(seconds),
    ...more,
    `0x${base.toString(16)}`,
  ];
  const [agents, consensus] = await Promise.all([
    runSimulator(args('sim/run-cluster.ts', '--minutes', '10', '--seed'), seconds + grace_s),
    runSimulator(args('sim/run-raft.ts', '--base'), seconds + grace_s),
  ]);
  t.diagnostic(`base 0x${base.toString(16)}; whole agents: ${assertWell(agents, /simulated hours in/)}`);
  t.diagnostic(`consensus alone: ${assertWell(consensus, /^simulated \d+ s/)}`);
});

test(`${big_hosts} hosts join, run under load and faults for a while, and come together again`, {
  timeout: (big_limit_s + 30) * 1000,
}, async (t) => {
  const ended = await runSimulator(
    [
      'sim/run-cluster.ts',
      '--nodes',
      String(big_hosts),
      '--minutes',
      '0.25',
      '--seed',
      `0x${base.toString(16)}`,
    ],
    big_limit_s,
  );
  t.diagnostic(`base 0x${base.toString(16)}: ${assertWell(ended, /simulated hours in/)}`);
});
