/**
 * kill -9 of agents, keepers and whole hosts, with a real guest on one of them: the cluster goes on, what was promised
 * is kept, and no guest ever runs twice.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { labPowerOff, labPowerOn } from '../../cli/lab/faults.ts';
import { isAlive } from '../../cli/lab/proc.ts';
import {
  assertCommits,
  findAgent,
  keeperProcess,
  killAgent,
  killHard,
  type Lab,
  leaderOf,
  othersThan,
  rowOf,
  rows,
  sameState,
  statusOf,
  suiteLab,
  waitUntil,
} from './support.ts';
import { addGuest, countOnConsole, GuestWatch, runsOnce, tailConsole } from './support-guest.ts';
import { MasterIpWatch } from './support-master-ip.ts';

describe('kill -9', { timeout: 480_000 }, () => {
  const started = suiteLab({ hypervisor: 'kvm' });
  let lab: Lab;
  /** The host of the guest at the start; it does not lead. */
  let home: string;

  before(async () => {
    lab = started();
    const [first = ''] = othersThan(lab, await leaderOf(lab));
    home = first;
    await addGuest(lab, 'n1', 'web1', home);
  });

  test("the leader's agent: another commits and answers on the master IP; the guest runs on; the agent comes back", async (t) => {
    const leader = await leaderOf(lab);
    const guest = await runsOnce(lab, 'n1', 'web1');
    const before_term = (await statusOf(lab, leader))?.term ?? 0;
    const watch = new MasterIpWatch(lab);
    t.after(() => watch.stop());
    await watch.answeredBy(leader);
    const console = await tailConsole(lab, home, 'web1');
    t.after(async () => console.stop());
    await waitUntil(() => console.counts.length >= 1, 'web1 to count');
    const { boots } = console;

    const killed_ms = Date.now();
    await killAgent(lab, leader);
    const next = await leaderOf(lab, { among: othersThan(lab, leader) });
    await assertCommits(lab, next);
    const answer = await watch.answeredBy(next, killed_ms);
    t.diagnostic(`${next} answered on the master IP ${answer.at_ms - killed_ms} ms after the kill`);

    await waitUntil(
      async () => (await statusOf(lab, leader))?.leader === next,
      `${leader}'s agent to be started again and to follow ${next}`,
    );
    assert.ok(((await statusOf(lab, next))?.term ?? 0) > before_term, 'a new term began');
    assert.deepEqual(watch.names(answer.at_ms), [next], 'nobody else answers on the master IP from then on');
    const seen = console.counts.length;
    await waitUntil(() => console.counts.length > seen, 'web1 to count on');
    assert.equal(console.boots, boots, 'the guest was not started again');
    assert.deepEqual(await runsOnce(lab, 'n1', 'web1'), guest, 'it is the same process');
    for (const [at, number] of console.counts.entries())
      if (at > 0) assert.equal(number, (console.counts[at - 1] ?? 0) + 1, 'it counts without a gap');
    await sameState(lab);
  });

  test("a follower's agent: no election, and it catches up with what it missed", async () => {
    const leader = await leaderOf(lab);
    const [follower = ''] = othersThan(lab, leader);
    const term = (await statusOf(lab, leader))?.term;
    await killAgent(lab, follower);
    const job = await assertCommits(lab, leader);
    await waitUntil(() => statusOf(lab, follower), `${follower}'s agent to be started again`);
    const row = await waitUntil(
      () => rowOf(lab, follower, 'job', String(job)),
      `${follower} to know job ${job}`,
    );
    assert.equal(row.status, 'success');
    assert.equal((await statusOf(lab, leader))?.term, term, 'the lead was never in doubt');
    await sameState(lab);
  });

  test("the keeper of the guest's host: its guest dies with it, and comes back once", async (t) => {
    const { node, pid } = await runsOnce(lab, 'n1', 'web1');
    const counted = await countOnConsole(lab, node, 'web1');
    const agent = findAgent(lab, node);
    assert.ok(agent, 'the host has an agent');
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());
    await killHard(keeperProcess(lab, node));
    await waitUntil(
      () => watch.latest.pid === pid && watch.latest.last_ms < Date.now() - 500,
      'the guest to die',
    );
    await waitUntil(() => !isAlive(agent), 'the agent without its keeper to end');
    const [other = ''] = othersThan(lab, node);
    await assertCommits(lab, other);

    await labPowerOn(lab, node);
    const again = await runsOnce(lab, node, 'web1');
    assert.notEqual(again.pid, pid);
    const counts = await countOnConsole(lab, node, 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);
    assert.equal(watch.runs.length, 2, `one process before and one after: ${JSON.stringify(watch.runs)}`);
    assert.deepEqual(watch.doubles, []);
    await sameState(lab);
  });

  test('all agents at once: they find together again; the guest ends up running once', async (t) => {
    const counted = await countOnConsole(lab, 'n1', 'web1');
    const job = await assertCommits(lab, 'n2');
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());
    await Promise.all(lab.nodes.map(({ name }) => killAgent(lab, name)));
    await leaderOf(lab);
    await assertCommits(lab, 'n3');
    assert.equal((await rowOf(lab, 'n1', 'job', String(job))).status, 'success');
    await runsOnce(lab, 'n2', 'web1');
    const counts = await countOnConsole(lab, 'n1', 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);
    assert.deepEqual(watch.doubles, []);
    await sameState(lab);
  });

  test('everything, then on again from disk: same state everywhere, every ended job still there, the guest runs once', async (t) => {
    const counted = await countOnConsole(lab, 'n1', 'web1');
    const known: number[] = [];
    for (const { name } of lab.nodes) known.push(await assertCommits(lab, name));
    const epoch = Number((await rowOf(lab, 'n1', 'instance', 'web1')).epoch);
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());
    await Promise.all(lab.nodes.map(({ name }) => labPowerOff(lab, name)));
    await waitUntil(() => watch.latest.last_ms < Date.now() - 300, 'the guest to be gone');
    await Promise.all(lab.nodes.map(({ name }) => labPowerOn(lab, name)));
    await leaderOf(lab);
    for (const { name } of lab.nodes) {
      const jobs = await waitUntil(() => rows(lab, name, 'job'), `${name} to answer`);
      for (const id of known)
        assert.equal(jobs.find((job) => job.id === id)?.status, 'success', `job ${id} on ${name}`);
    }
    await runsOnce(lab, 'n1', 'web1');
    const row = await rowOf(lab, 'n1', 'instance', 'web1');
    assert.ok(Number(row.epoch) > epoch, 'a new boot owns it under a new epoch');
    const counts = await countOnConsole(lab, 'n2', 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);
    assert.deepEqual(watch.doubles, []);
    await sameState(lab);
  });
});
