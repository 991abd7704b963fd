/**
 * A majority lost for good: the survivor refuses while it need not be so, goes on alone when told, and what was lost
 * comes back only as it is let in: it neither leads nor holds the master address beside the recovered cluster.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { labPowerOff, labPowerOn } from '../../cli/lab/faults.ts';
import { joinVia } from './leave-support.ts';
import {
  assertCommits,
  cli,
  cliOk,
  holdsMasterIp,
  type Lab,
  leaderOf,
  othersThan,
  rowOf,
  rows,
  sameState,
  sleep,
  statusOf,
  submitAndWait,
  suiteLab,
  waitForVoters,
  waitUntil,
} from './support.ts';
import { addGuest, fakeGuestOp, GuestWatch, guestProcesses } from './support-guest.ts';

const sure = '--yes-i-lose-what-only-they-knew';

/** Looks, until stopped, who of `names` leads or holds the master address. */
function watchMasters(lab: Lab, names: readonly string[]): { stop(): Promise<readonly string[]> } {
  const seen = new Set<string>();
  let stopped = false;
  const look = async () => {
    while (!stopped) {
      for (const name of names) if (await holdsMasterIp(lab, name)) seen.add(`${name} held the master IP`);
      await sleep(50);
    }
  };
  const looking = look();
  return {
    async stop() {
      stopped = true;
      await looking;
      return [...seen];
    },
  };
}

async function standsDown(lab: Lab, name: string): Promise<void> {
  await waitUntil(async () => {
    const status = await statusOf(lab, name);
    return (
      status?.role === 'none' && status.warnings.some((text) => /was recovered without this host/.test(text))
    );
  }, `${name} to stand down`);
}

describe('cluster recover', { timeout: 300_000 }, () => {
  const started = suiteLab({ nodes: 3 });
  let lab: Lab;
  let survivor = '';
  let lost: readonly string[] = [];
  const recover = (...args: string[]) =>
    cli(lab, survivor, ['cluster', 'recover', ...args], { timeout_ms: 120_000 });

  test('with a majority it is refused, and nothing changes', async () => {
    lab = started();
    const leader = await leaderOf(lab);
    [survivor = ''] = othersThan(lab, leader);
    lost = othersThan(lab, survivor);
    for (const [name, node] of [
      ['here', survivor],
      ['gone', lost[0] ?? ''],
    ] as const)
      assert.equal((await submitAndWait(lab, survivor, fakeGuestOp(name, node))).status, 'success');
    await sameState(lab);
    const refused = await recover(sure, 'lab');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, new RegExp(`not done: .*${leader}`));
    await assertCommits(lab, survivor);
    assert.deepEqual((await statusOf(lab, survivor))?.raft_members.length, 3);
  });

  test('without one it says what will be lost, and goes on only for the name of the cluster', async () => {
    await Promise.all(lost.map((name) => labPowerOff(lab, name)));
    const asked = await waitUntil(async () => {
      const now = await recover();
      return now.code === 13 ? now : null;
    }, 'the survivor to miss its leader');
    for (const name of lost) assert.match(asked.stderr, new RegExp(`${name}, a voter, since 2`));
    assert.match(
      asked.stderr,
      /Here: the log ends at entry \d+ of term \d+, of 2.*Z; known to be committed: to \d+/,
    );
    assert.match(asked.stderr, new RegExp(`gone on ${lost[0]}`));
    assert.match(asked.stderr, /no terminal to ask on/);
    const wrong = await recover(sure, 'other');
    assert.match(wrong.stderr, /this is cluster lab, not other/);
    assert.equal((await statusOf(lab, survivor))?.role === 'leader', false);

    const done = JSON.parse((await recoverOk()).stdout) as { generation: number; copy: string };
    for (const part of ['log', 'state', 'member.json']) assert.ok(existsSync(join(done.copy, part)), part);
    await assertCommits(lab, survivor);
    const row = await rowOf(lab, survivor, 'cluster', 'lab');
    assert.equal(row.generation, done.generation);
    await waitUntil(() => holdsMasterIp(lab, survivor), 'the survivor to hold the master IP');
    const warnings = (await statusOf(lab, survivor))?.warnings.join('\n') ?? '';
    assert.match(warnings, new RegExp(`not seen since the cluster was recovered: ${lost.join(', ')};`));
    await waitUntil(
      async () => (await statusOf(lab, survivor))?.guests.some(({ name }) => name === 'here'),
      'its own guest to run',
    );
  });

  async function recoverOk(): Promise<{ readonly stdout: string }> {
    const result = await cli(lab, survivor, ['--json', 'cluster', 'recover', sure, 'lab'], {
      timeout_ms: 120_000,
    });
    assert.equal(result.code, 0, result.stderr);
    return result;
  }

  test('the lost majority comes back together and stands down', async () => {
    const term = (await statusOf(lab, survivor))?.term;
    const watch = watchMasters(lab, lost);
    await Promise.all(lost.map((name) => labPowerOn(lab, name)));
    for (const name of lost) await standsDown(lab, name);
    await assertCommits(lab, survivor);
    assert.deepEqual(await watch.stop(), []);
    const status = await statusOf(lab, survivor);
    assert.deepEqual([status?.role, status?.term], ['leader', term], 'the recovered side was not disturbed');
    for (const name of lost) {
      const outside = await cli(lab, name, ['node', 'list']);
      assert.match(outside.stderr, new RegExp(`recovered without this host on 2.* by ${survivor}`));
      const left = await cli(lab, name, ['node', 'leave']);
      assert.match(left.stderr, /cluster recover --follow|--force/);
      const joined = await cli(lab, name, ['cluster', 'init', 'new', '--primary-ip', '192.0.2.9']);
      assert.notEqual(joined.code, 0);
    }
    // Started anew, it remembers: it does not have to hear of it again.
    const [first = ''] = lost;
    await labPowerOff(lab, first);
    await labPowerOn(lab, first);
    await standsDown(lab, first);
    const epoch = (await rowOf(lab, survivor, 'instance', 'gone')).epoch;
    assert.equal(epoch, 1, 'silence was no reason to start its guest elsewhere');
  });

  test('one leaves, is said to be off, and joins anew; the other follows: three voters again', async () => {
    const [first = '', second = ''] = lost;
    await cliOk(lab, first, ['node', 'leave', '--force']);
    const early = await cli(lab, survivor, ['node', 'remove', '-f', first]);
    assert.match(early.stderr + early.stdout, /owns 1 instances \(gone\)/);
    await cliOk(lab, survivor, ['cluster', 'recover', '--off', first]);
    const change = await waitUntil(async () => {
      const { log } = await lab.node(survivor).call('instance.why', { instance: 'gone' });
      return log.length > 1 ? log.at(-1) : null;
    }, 'the word to have its guest started elsewhere');
    assert.deepEqual([change.from, change.to, change.evidence.kind], [first, survivor, 'word']);
    await cliOk(lab, survivor, ['node', 'remove', '-f', first]);
    await cliOk(lab, second, ['cluster', 'recover', '--follow', sure, 'lab'], { timeout_ms: 120_000 });
    await sameState(lab, [survivor, second]);
    await joinVia(lab, survivor, first, 3);
    await waitForVoters(lab, 3, second);
    await sameState(lab);
    for (const { name } of lab.nodes) await assertCommits(lab, name);
    // It is a majority that counts again, and any majority.
    await labPowerOff(lab, survivor);
    await leaderOf(lab, { among: lost });
    await assertCommits(lab, second);
  });
});

describe('three of five voters lost', { timeout: 300_000 }, () => {
  const started = suiteLab({ nodes: 5 });

  test('the survivor that knows most is recovered; the other stands down, and is a member again when it follows', async () => {
    const lab = started();
    const leader = await leaderOf(lab);
    const [one = '', two = '', ...rest] = othersThan(lab, leader);
    const lost = [leader, ...rest];
    await submitAndWait(lab, one, fakeGuestOp('there', two));
    await sameState(lab);
    await Promise.all(lost.map((name) => labPowerOff(lab, name)));
    const recovered = await waitUntil(async () => {
      for (const name of [one, two]) {
        const { code, stderr } = await cli(lab, name, ['cluster', 'recover', sure, 'lab'], {
          timeout_ms: 120_000,
        });
        if (code === 0) return name;
        assert.match(stderr, /not done: .*(leads|hears a leader|has more of the log)/);
      }
      return null;
    }, 'one of the two to be recovered');
    const other = recovered === one ? two : one;
    await standsDown(lab, other);
    await cliOk(lab, other, ['cluster', 'recover', '--follow', sure, 'lab'], { timeout_ms: 120_000 });
    await sameState(lab, [recovered, other]);
    await waitUntil(async () => {
      const nodes = await rows(lab, other, 'node');
      return nodes.every((row) => lost.includes(String(row.name)) || row.health === 'member');
    }, 'both to be members in good standing');
    await waitUntil(
      async () =>
        (await statusOf(lab, two))?.guests.some(({ name, state }) => name === 'there' && state === 'running'),
      'the guest of a survivor to run where it was',
    );
    assert.equal((await rowOf(lab, other, 'instance', 'there')).pnode, two);
    await assertCommits(lab, other);
    // A follower is a member like any other: it is started anew as one.
    await labPowerOff(lab, other);
    await assertCommits(lab, recovered);
    await labPowerOn(lab, other);
    await sameState(lab, [recovered, other]);
  });
});

describe('a lost majority that was up while the recovered host was down', { timeout: 300_000 }, () => {
  const started = suiteLab({ nodes: 3, hypervisor: 'kvm' });

  test('gives up the lead, and the guest that it took over before the recovered host runs it', async (t) => {
    const lab = started();
    const survivor = 'n3';
    const lost = othersThan(lab, survivor);
    const runsOn = (name: string) =>
      guestProcesses(lab, 'here').some(({ node, held }) => node === name && !held);
    await addGuest(lab, 'n1', 'here', survivor);
    await sameState(lab);
    await Promise.all(lost.map((name) => labPowerOff(lab, name)));
    await waitUntil(async () => {
      const { code } = await cli(lab, survivor, ['cluster', 'recover', sure, 'lab'], { timeout_ms: 120_000 });
      return code === 0;
    }, 'the survivor to be recovered');
    await labPowerOff(lab, survivor);
    await Promise.all(lost.map((name) => labPowerOn(lab, name)));
    const old_leader = await leaderOf(lab, { among: lost });
    await waitUntil(() => lost.some(runsOn), 'the old majority, which cannot know, to fail the guest over');
    await waitUntil(() => holdsMasterIp(lab, old_leader), 'its leader to hold the master IP');

    const watch = new GuestWatch(lab, 'here');
    t.after(async () => watch.stop());
    await labPowerOn(lab, survivor);
    for (const name of lost) await standsDown(lab, name);
    await waitUntil(() => runsOn(survivor), 'the recovered host to run its guest');
    assert.deepEqual(watch.doubles, []);
    assert.deepEqual(lost.filter(runsOn), []);
    for (const name of lost) assert.equal(await holdsMasterIp(lab, name), false, name);
    await waitUntil(() => holdsMasterIp(lab, survivor), 'the recovered host to hold the master IP');
    await assertCommits(lab, survivor);
  });
});
