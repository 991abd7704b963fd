/**
 * A follower's log is damaged on its disk while its agent is down: it comes back faulty, is given a new member number and
 * votes again, without an operator; its guest runs on.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  assertCommits,
  cliOk,
  findAgent,
  keeperPid,
  killAgent,
  type Lab,
  leaderOf,
  othersThan,
  rowOf,
  rows,
  sameState,
  statusOf,
  suiteLab,
  waitForVoters,
  waitUntil,
} from './support.ts';
import { addGuest, guestProcesses } from './support-guest.ts';

/** Changes the middle byte of what the largest segment holds; the agent must be down. */
function damageLog(lab: Lab, name: string): void {
  const dir = join(lab.node(name).data_dir, 'log');
  const [largest] = readdirSync(dir)
    .filter((file) => /^segment-/.test(file))
    .map((file) => ({ path: join(dir, file), content: readFileSync(join(dir, file)) }))
    .map(({ path, content }) => ({ path, content, used: content.findLastIndex((byte) => byte !== 0) }))
    .sort((a, b) => b.used - a.used);
  assert.ok(largest && largest.used > 1_000, 'a segment with something in it');
  const { content, path } = largest;
  const at = Math.floor(largest.used / 2);
  content[at] = (content[at] ?? 0) ^ 0xff;
  writeFileSync(path, content);
}

/** Its keeper would start the agent again at once: it is held meanwhile. */
async function damageWhileDown(lab: Lab, name: string): Promise<void> {
  const keeper = keeperPid(lab, name);
  process.kill(keeper, 'SIGSTOP');
  try {
    await killAgent(lab, name);
    damageLog(lab, name);
  } finally {
    process.kill(keeper, 'SIGCONT');
  }
}

// The long lease: the agent starts twice, and a slow machine must not lose the guest meanwhile for silence alone.
describe('a damaged log', { timeout: 400_000 }, () => {
  const started = suiteLab({ hypervisor: 'kvm', lease: 'default' });

  test('of a follower: a full voter again, by itself; its guest runs on', async (t) => {
    const lab = started();
    const [name = ''] = othersThan(lab, await leaderOf(lab));
    await addGuest(lab, 'n1', 'web1', name);
    await sameState(lab);
    const before = await rowOf(lab, 'n1', 'node', name);
    const guest = guestProcesses(lab, 'web1').map(({ pid, start_ticks }) => `${pid} ${start_ticks}`);
    assert.equal(guest.length, 1);

    const begun_ms = Date.now();
    await damageWhileDown(lab, name);
    const leader = await leaderOf(lab, { among: othersThan(lab, name) });
    const after = await waitUntil(async () => {
      const row = await rowOf(lab, leader, 'node', name);
      return row.member !== before.member && row.voter === true ? row : null;
    }, `${name} to vote under a new number`);
    t.diagnostic(`${name} votes again after ${Date.now() - begun_ms} ms, as member ${after.member}`);
    assert.deepEqual([after.uuid, after.boot, after.name], [before.uuid, before.boot, before.name]);
    await waitForVoters(lab, 3, leader);
    await sameState(lab);
    const status = await waitUntil(async () => {
      const found = await statusOf(lab, name);
      return found?.lease_valid ? found : null;
    }, 'its lease');
    assert.equal(status.member, after.member);
    assert.deepEqual(
      status.warnings.filter((text) => text.includes('damaged')),
      [],
    );
    assert.deepEqual(
      guestProcesses(lab, 'web1').map(({ pid, start_ticks }) => `${pid} ${start_ticks}`),
      guest,
    );

    const told = await cliOk(lab, name, ['raft', 'status']);
    assert.match(told, new RegExp(`^ *${after.member} ${name} +voter +0 +- votes$`, 'm'));
    assert.doesNotMatch(told, /FAULTY/);

    // Its vote counts: with it and one of the others the cluster goes on.
    const [other = ''] = othersThan(lab, leader, name);
    const agent = findAgent(lab, other);
    assert.ok(agent);
    const keeper = keeperPid(lab, other);
    process.kill(keeper, 'SIGSTOP');
    process.kill(agent.pid, 'SIGSTOP');
    try {
      await assertCommits(lab, leader);
    } finally {
      process.kill(agent.pid, 'SIGCONT');
      process.kill(keeper, 'SIGCONT');
    }
    const voting = (await rows(lab, leader, 'node')).filter((row) => row.voter === true);
    assert.equal(voting.length, 3);
  });
});
