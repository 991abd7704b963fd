/**
 * A leader that stands still for longer than its lease and then goes on: it must not act on what it believed before.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { labFreeze, labThaw } from '../../cli/lab/faults.ts';
import { signalProcess } from '../../cli/lab/proc.ts';
import {
  assertCommits,
  findAgent,
  holdsMasterIp,
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
import { addGuest, countOnConsole, GuestWatch, runsOnce } from './support-guest.ts';
import { MasterIpWatch } from './support-master-ip.ts';

describe('frozen leaders', { timeout: 400_000 }, () => {
  const started = suiteLab({ hypervisor: 'kvm' });
  let lab: Lab;
  before(async () => {
    lab = started();
    await addGuest(lab, 'n1', 'web1', await leaderOf(lab));
  });

  test("the leader's agent is stopped: its keeper drops the master IP and holds the guest; another takes over; when it goes on it follows", async (t) => {
    const old = await leaderOf(lab);
    const others = othersThan(lab, old);
    const ip = new MasterIpWatch(lab);
    t.after(() => ip.stop());
    await ip.answeredBy(old);
    const { pid, node } = await runsOnce(lab, 'n1', 'web1');
    assert.equal(node, old, 'the guest is on the leader');
    const counted = await countOnConsole(lab, old, 'web1');
    const guests = new GuestWatch(lab, 'web1');
    t.after(async () => guests.stop());
    const agent = findAgent(lab, old);
    assert.ok(agent);

    signalProcess(agent, 'SIGSTOP');
    const stopped_ms = Date.now();
    t.after(async () => signalProcess(agent, 'SIGCONT'));
    const next = await leaderOf(lab, { among: others });
    await assertCommits(lab, next);
    await waitUntil(async () => !(await holdsMasterIp(lab, old)), `${old}'s keeper to drop the master IP`);
    const answer = await ip.answeredBy(next, stopped_ms);
    t.diagnostic(`${next} answered on the master IP ${answer.at_ms - stopped_ms} ms after the stop`);

    // Its lease is over when another host runs the guest: that is later than any promise it can remember.
    await waitUntil(
      async () => {
        const row = await rowOf(lab, next, 'instance', 'web1');
        return row.pnode !== old && row.status === 'running';
      },
      'web1 to be started elsewhere',
      120_000,
    );
    const taken_ms = (await guests.successorOf(pid)).not_before_ms;
    const first = guests.runs.find((run) => run.pid === pid);
    assert.ok(first && first.last_running_ms < taken_ms, 'the old copy stood still before the new one began');

    signalProcess(agent, 'SIGCONT');
    await waitUntil(async () => {
      assert.equal(await holdsMasterIp(lab, old), false, 'it does not take the master IP');
      return (await statusOf(lab, old))?.leader === next;
    }, `${old} to follow ${next}`);
    assert.equal(await leaderOf(lab), next);
    await runsOnce(lab, old, 'web1');
    assert.deepEqual(ip.names(answer.at_ms), [next]);
    assert.deepEqual(guests.doubles, []);
    assert.ok((first?.last_running_ms ?? 0) < taken_ms, 'the old copy did not execute again after the thaw');
    const counts = await countOnConsole(lab, old, 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);
    await sameState(lab);
  });

  test('the whole host of the leader stands still, keeper and guest too, until the guest runs elsewhere: thawed, it ends its copy and follows', async (t) => {
    // The lead goes to the guest's host, or the guest would not be at stake.
    const { node: old, pid } = await runsOnce(lab, 'n1', 'web1');
    if ((await leaderOf(lab)) !== old) await lab.node('n1').call('raft.transfer', { to: old });
    await waitUntil(async () => (await leaderOf(lab)) === old, `${old} to lead`);
    await waitUntil(
      async () => (await rows(lab, old, 'node')).every((row) => row.health === 'member'),
      'all nodes to be members again',
    );
    const others = othersThan(lab, old);
    const ip = new MasterIpWatch(lab);
    t.after(() => ip.stop());
    await ip.answeredBy(old);
    const guests = new GuestWatch(lab, 'web1');
    t.after(async () => guests.stop());

    labFreeze(lab, old);
    const frozen_ms = Date.now();
    t.after(async () => void labThaw(lab, old));
    const next = await leaderOf(lab, { among: others });
    const answer = await ip.answeredBy(next, frozen_ms);
    await waitUntil(
      async () => {
        const row = await rowOf(lab, next, 'instance', 'web1');
        return row.pnode !== old && row.status === 'running';
      },
      'web1 to be started elsewhere',
      120_000,
    );
    const copy = await guests.successorOf(pid);
    assert.notEqual(copy.node, old);
    const taken_ms = copy.not_before_ms;
    const first = guests.runs.find((run) => run.pid === pid);
    assert.ok(first && first.last_running_ms < taken_ms, 'nothing of a frozen host executes');

    const thawed_ms = Date.now();
    labThaw(lab, old);
    await waitUntil(async () => {
      const status = await statusOf(lab, old);
      return status?.leader === next && !(await holdsMasterIp(lab, old));
    }, `${old} to follow ${next} without the master IP`);
    await waitUntil(
      () => guests.runs[0] !== undefined && first.last_ms < Date.now() - 500,
      'the old copy to be gone',
    );
    // A host without a watchdog that stood still as a whole is protected by time only: the keeper's first look ends it.
    const overlap_ms = Math.max(0, first.last_running_ms - thawed_ms);
    t.diagnostic(`the old copy could execute for at most ${overlap_ms} ms after the thaw`);
    assert.ok(overlap_ms < 3_000, `${overlap_ms} ms: the keeper must fence at its first look`);
    assert.equal((await runsOnce(lab, old, 'web1')).pid, copy.pid, 'the copy that was started runs on');
    const after_thaw = ip.answers.filter(
      ({ at_ms, name, master }) => at_ms > thawed_ms && master && name !== '',
    );
    assert.ok(
      after_thaw.every(({ name }) => name === next),
      'after the thaw nobody but the new leader calls itself master to a client',
    );
    t.diagnostic(`takeover ${answer.at_ms - frozen_ms} ms after the freeze`);
    await sameState(lab);
  });
});
