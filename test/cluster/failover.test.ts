/**
 * The loss of a node with real guests on it: nothing starts elsewhere before the lease rules allow it, never beside
 * the old copy (oracle O1 on real processes), the count goes on from the disk, and what may not move waits.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { labCut, labHeal, labPowerOff, labPowerOn } from '../../cli/lab/faults.ts';
import { oobProgram } from '../../cli/lab/layout.ts';
import { scaled_ha } from '../../src/config/defaults.ts';
import { horizonMs } from '../../src/config/horizon.ts';
import {
  cliOk,
  type Lab,
  leaderOf,
  othersThan,
  rowOf,
  rows,
  sameState,
  suiteLab,
  waitUntil,
} from './support.ts';
import { addGuest, countOnConsole, GuestWatch, guestProcesses, runsOnce } from './support-guest.ts';

const horizon_ms = horizonMs(scaled_ha, scaled_ha);
/** L + K: until then the old copy may still be running by right. */
const soonest_ms = scaled_ha.lease_ms + scaled_ha.guard_slack_ms;

interface OwnerChange {
  readonly epoch: number;
  readonly from: string;
  readonly to: string;
  readonly evidence: { readonly kind: string; readonly text: string };
}

async function lastChange(lab: Lab, via: string, instance: string): Promise<OwnerChange> {
  const { log } = await lab.node(via).call('instance.why', { instance });
  const last = log.at(-1);
  assert.ok(last, `${instance} has a log of owners`);
  return last;
}

async function epochOf(lab: Lab, via: string, instance: string): Promise<number> {
  return Number((await rowOf(lab, via, 'instance', instance)).epoch);
}

/** A node that was lost is given nothing until it has been calm. */
async function allWell(lab: Lab, via: string): Promise<void> {
  await waitUntil(
    async () => (await rows(lab, via, 'node')).every((row) => row.health === 'member'),
    'all nodes to be members in good standing',
  );
}

/** No two copies could execute at any look, and the new one began after the old one's last moment. */
function assertNeverTwice(watch: GuestWatch, old_pid: number): void {
  assert.deepEqual(watch.doubles, []);
  const old = watch.runs.find(({ pid }) => pid === old_pid);
  const next = watch.runs.find(({ pid }) => pid !== old_pid);
  assert.ok(old && next, `both copies were seen: ${JSON.stringify(watch.runs)}`);
  assert.ok(
    old.last_running_ms < next.first_ms,
    `the old copy could execute until ${old.last_running_ms}, the new one was there at ${next.first_ms}`,
  );
}

describe('node loss', { timeout: 480_000 }, () => {
  const started = suiteLab({ hypervisor: 'kvm' });
  let lab: Lab;
  let steady: string;
  let home: string;

  before(async () => {
    lab = started();
    steady = await leaderOf(lab);
    [home = ''] = othersThan(lab, steady);
    await addGuest(lab, steady, 'web1', home);
    await addGuest(lab, steady, 'local1', home, { template: 'file' });
    await addGuest(lab, steady, 'idle1', home, { start: false });
  });

  test('its host is cut off: started elsewhere after T, by then the old copy is held; healed, the host cleans up', async (t) => {
    const { pid, node } = await runsOnce(lab, steady, 'web1');
    assert.equal(node, home);
    const counted = await countOnConsole(lab, steady, 'web1');
    const epoch = await epochOf(lab, steady, 'web1');
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());

    const cut_ms = Date.now();
    await labCut(lab, home);
    t.after(() => labHeal(lab, home));
    const moved = await waitUntil(() => watch.runs.find((run) => run.node !== home), 'a copy elsewhere');
    const old = watch.runs.find((run) => run.pid === pid);
    assert.ok(old);
    t.diagnostic(
      `after the cut: old copy could execute until ${old.last_running_ms - cut_ms} ms, new process at ${moved.first_ms - cut_ms} ms (T ${horizon_ms})`,
    );
    assert.ok(
      moved.not_before_ms - cut_ms >= soonest_ms,
      `started ${moved.first_ms - cut_ms} ms after the cut`,
    );
    assertNeverTwice(watch, pid);
    const change = await lastChange(lab, steady, 'web1');
    assert.equal(change.evidence.kind, 'horizon');
    const silent = /not heard for (\d+) ms .*T is (\d+) ms/.exec(change.evidence.text);
    assert.ok(silent, change.evidence.text);
    // More than the configured T for a while after joining: the node may still hold what it was first told.
    assert.ok(Number(silent[2]) >= horizon_ms, change.evidence.text);
    assert.ok(Number(silent[1]) >= Number(silent[2]), change.evidence.text);
    assert.equal(change.from, home);
    assert.equal(change.epoch, epoch + 1);
    assert.match(await cliOk(lab, steady, ['instance', 'why', 'web1']), /horizon/);

    const counts = await countOnConsole(lab, steady, 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);
    // The other kinds: one waits for its node, one is meant to be down.
    assert.equal((await rowOf(lab, steady, 'instance', 'local1')).pnode, home);
    assert.equal((await rowOf(lab, steady, 'instance', 'idle1')).pnode, home);
    assert.deepEqual(guestProcesses(lab, 'idle1'), []);
    const local = guestProcesses(lab, 'local1');
    assert.equal(local.length, 1, 'a guest that nobody may start elsewhere is left alone');
    assert.equal(local[0]?.held, false);

    await labHeal(lab, home);
    await allWell(lab, steady);
    const only = await runsOnce(lab, steady, 'web1');
    assert.equal(only.pid, moved.pid, 'the new copy runs on, and it is the only one');
    assert.deepEqual(watch.doubles, []);
    assert.equal((await runsOnce(lab, steady, 'local1')).pid, local[0]?.pid, 'it was never disturbed');
    await sameState(lab);
  });

  test('its host loses power: horizon; what is local waits and starts when the host is back; what is down stays down', async (t) => {
    await allWell(lab, steady);
    // Back to where the local one is.
    await cliOk(lab, steady, ['instance', 'failover', '-f', '-n', home, 'web1'], { timeout_ms: 120_000 });
    const { pid, node } = await runsOnce(lab, steady, 'web1');
    assert.equal(node, home);
    const counted = await countOnConsole(lab, steady, 'web1');
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());
    const off_ms = Date.now();
    await labPowerOff(lab, home);
    const moved = await waitUntil(() => watch.runs.find((run) => run.node !== home), 'a copy elsewhere');
    assert.ok(moved.not_before_ms - off_ms >= soonest_ms, 'a dead host is not known to be dead before T');
    await runsOnce(lab, steady, 'web1');
    assertNeverTwice(watch, pid);
    assert.equal((await lastChange(lab, steady, 'web1')).evidence.kind, 'horizon');
    const counts = await countOnConsole(lab, steady, 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);

    const lost = await rowOf(lab, steady, 'instance', 'local1');
    assert.equal(lost.pnode, home);
    assert.notEqual(lost.status, 'running', 'nobody claims that a guest of a lost node runs');
    assert.deepEqual(guestProcesses(lab, 'local1'), []);
    const local_epoch = Number(lost.epoch);

    await labPowerOn(lab, home);
    const local = await runsOnce(lab, steady, 'local1');
    assert.equal(local.node, home);
    assert.ok((await epochOf(lab, steady, 'local1')) > local_epoch, 'a new boot owns it under a new epoch');
    const back = await lastChange(lab, steady, 'local1');
    assert.equal(back.evidence.kind, 'boot');
    assert.equal((await runsOnce(lab, steady, 'web1')).pid, moved.pid, 'what has moved stays where it is');
    const idle = await rowOf(lab, steady, 'instance', 'idle1');
    assert.equal(idle.admin_state, 'down');
    assert.deepEqual(guestProcesses(lab, 'idle1'), [], 'nobody starts what is meant to be down');
    await allWell(lab, steady);
    await sameState(lab);
  });

  test('its host is off and on again before T: evidence boot, at once, on its own node under a new epoch', async (t) => {
    await allWell(lab, steady);
    await cliOk(lab, steady, ['instance', 'failover', '-f', '-n', home, 'web1'], { timeout_ms: 120_000 });
    const { pid, node } = await runsOnce(lab, steady, 'web1');
    assert.equal(node, home);
    const epoch = await epochOf(lab, steady, 'web1');
    const counted = await countOnConsole(lab, steady, 'web1');
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());
    const off_ms = Date.now();
    await labPowerOff(lab, home);
    await labPowerOn(lab, home);
    const on_ms = Date.now();
    const again = await waitUntil(() => watch.runs.find((run) => run.pid !== pid), 'it to be started again');
    const change = await lastChange(lab, steady, 'web1');
    t.diagnostic(`host back after ${on_ms - off_ms} ms, guest's process after ${again.first_ms - off_ms} ms`);
    if (on_ms - off_ms < horizon_ms - 1_000) {
      assert.equal(again.node, home);
      assert.equal(change.evidence.kind, 'boot');
      assert.equal(change.to, home);
    } else t.diagnostic('this machine was too slow to have the host back before T');
    assert.equal((await runsOnce(lab, steady, 'web1')).pid, again.pid);
    assert.ok((await epochOf(lab, steady, 'web1')) > epoch);
    assertNeverTwice(watch, pid);
    const counts = await countOnConsole(lab, steady, 'web1');
    assert.ok((counts[0] ?? 0) > (counted.at(-1) ?? 0), `${counts[0]} follows ${counted.at(-1)}`);
    await sameState(lab);
  });

  test('its host loses power, and its out-of-band program says so: started elsewhere without waiting for T', async (t) => {
    await allWell(lab, steady);
    const leader = await leaderOf(lab);
    const oob = oobProgram(lab.record.dir);
    await cliOk(lab, leader, ['cluster', 'modify', '--node-parameters', `oob_program=${oob}`]);
    const { pid, node } = await runsOnce(lab, leader, 'web1');
    const target = node === leader ? othersThan(lab, leader)[0]! : node;
    if (node === leader)
      await cliOk(lab, leader, ['instance', 'failover', '-f', '-n', target, 'web1'], { timeout_ms: 120_000 });
    const before_off = await runsOnce(lab, leader, 'web1');
    t.diagnostic(`web1 was process ${pid} on ${node}, is ${before_off.pid} on ${before_off.node}`);
    const watch = new GuestWatch(lab, 'web1');
    t.after(async () => watch.stop());
    const off_ms = Date.now();
    await labPowerOff(lab, target);
    t.after(() => labPowerOn(lab, target));
    const died_ms = Date.now();
    const moved = await waitUntil(() => watch.runs.find((run) => run.node !== target), 'a copy elsewhere');
    t.diagnostic(
      `power gone after ${died_ms - off_ms} ms, new process after ${moved.first_ms - off_ms} ms (T ${horizon_ms})`,
    );
    assertNeverTwice(watch, before_off.pid);
    const change = await lastChange(lab, leader, 'web1');
    assert.deepEqual([change.evidence.kind, change.from], ['power', target]);
    assert.match(await cliOk(lab, leader, ['instance', 'why', 'web1']), /says that n\d has no power/);
    await runsOnce(lab, leader, 'web1');
    await labPowerOn(lab, target);
    await allWell(lab, leader);
    await sameState(lab);
  });
});
