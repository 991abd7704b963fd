import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConsensusError } from './api.ts';
import { configurationOf } from './configuration.ts';
import { bootstrapLog, openLogStore } from './log-store.ts';
import { diskError, MemoryDisk } from './memory-disk.ts';
import { bytes, Cluster, election_ms, timing } from './test-replicas.ts';
import type { Configuration } from './types.ts';

function refused(
  code: ConsensusError['code'],
  outcome: ConsensusError['outcome'],
): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ConsensusError, String(error));
    assert.deepEqual([error.code, error.outcome], [code, outcome]);
    return true;
  };
}

test('a group of one elects itself and answers proposals in order', async () => {
  const c = await Cluster.of(1);
  const answers = ['a', 'b', 'c'].map((value) => c.replica(1).propose(bytes(value)));
  const results = await c.wait(Promise.all(answers));
  assert.deepEqual(
    results.map((r) => String(r.result).slice(0, 2)),
    ['a@', 'b@', 'c@'],
  );
  assert.equal(results[2]!.index, results[0]!.index + 2);
  await c.end();
});

test('three members replicate; who does not lead says who does', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'x');
  await c.same(['x']);
  await assert.rejects(c.replica(2).propose(bytes('y')), (error) => {
    assert.ok(error instanceof ConsensusError);
    assert.deepEqual([error.code, error.outcome, error.leader], ['not-leader', 'not-proposed', 1]);
    return true;
  });
  await assert.rejects(
    c.replica(1).propose(new Uint8Array(3 * 1024 * 1024)),
    /3145728 bytes; at most 2097152/,
  );
  await c.end();
});

test('proposals of one turn share one write', async () => {
  const c = await Cluster.of(3);
  let syncs = 0;
  c.member(1).disk.faults = {
    before: (operation) => {
      if (operation === 'sync') syncs += 1;
    },
  };
  await c.wait(Promise.all(Array.from({ length: 200 }, (_, i) => c.replica(1).propose(bytes(String(i))))));
  assert.ok(syncs <= 2, `${syncs} syncs`);
  await c.end();
});

test('a follower that restarts from disk catches up and loses nothing', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  const dead = c.kill(3);
  await c.propose(1, 'b');
  await c.restart(dead);
  await c.same(['a', 'b']);
  await c.end();
});

test('all restart from disk at once', async () => {
  const c = await Cluster.of(3);
  for (const value of ['a', 'b', 'c']) await c.propose(1, value);
  const dead = [1, 2, 3].map((id) => c.kill(id));
  for (const member of dead) await c.restart(member);
  const leader = await c.settled();
  await c.propose(leader.id, 'd');
  await c.same(['a', 'b', 'c', 'd']);
  await c.end();
});

test('a dead leader is replaced within a few ticks, every time', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const c = await Cluster.of(3, seed);
    await c.propose(1, 'a');
    c.kill(1);
    const from = c.clock.now_ms();
    const leader = await c.settled(0, 400);
    const took = c.clock.now_ms() - from;
    assert.ok(took <= 3 * timing.tick_ms, `${took} ms with seed ${seed}`);
    await c.propose(leader.id, 'b');
    await c.same(['a', 'b']);
    await c.end();
  }
});

test('a connection that closes by accident costs no election', async () => {
  const c = await Cluster.of(3);
  const { term } = c.replica(1).status();
  c.network.reset(1, 2, 100);
  await c.clock.run(3 * election_ms);
  assert.deepEqual([c.replica(1).status().role, c.replica(1).status().term], ['leader', term]);
  assert.equal(c.replica(2).status().leader, 1);
  await c.end();
});

test('a minority refuses, and what it had accepted is answered as unknown', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  c.network.isolate(1);
  const lost = c.replica(1).propose(bytes('lost'));
  lost.catch(() => undefined);
  const read = c.replica(1).readIndex();
  read.catch(() => undefined);
  await assert.rejects(c.wait(read), refused('not-leader', 'not-proposed'));
  await assert.rejects(c.wait(lost), refused('lost', 'unknown'));
  await assert.rejects(c.replica(1).propose(bytes('b')), refused('not-leader', 'not-proposed'));
  const leader = await c.settled();
  assert.notEqual(leader.id, 1);
  await c.propose(leader.id, 'b');
  c.network.heal();
  await c.same(['a', 'b']);
  await c.end();
});

test('a read is never confirmed by a leader that another has replaced', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  const before = await c.wait(c.replica(1).readIndex());
  assert.ok(before.index >= c.member(1).machine.meta.index);
  c.network.cut(2, 1);
  c.network.cut(3, 1);
  c.network.cut(1, 2);
  c.network.cut(1, 3);
  const stale = c.replica(1).readIndex();
  let answered: unknown = null;
  stale.then(
    (value) => {
      answered = value;
    },
    (error: unknown) => {
      answered = error;
    },
  );
  await c.until(() => c.leaders().some((m) => m.id !== 1), 20_000, 'no successor');
  const leader = c.leaders().find((m) => m.id !== 1)!;
  await c.propose(leader.id, 'b');
  c.network.heal();
  await c.until(() => answered !== null, 20_000, 'no answer');
  assert.ok(answered instanceof ConsensusError, String(answered));
  const fresh = await c.wait(leader.replica.readIndex());
  await c.wait(leader.replica.waitApplied(fresh.index, 1000));
  assert.deepEqual(leader.machine.values, ['a', 'b']);
  await c.end();
});

test('membership goes from 1 to 3 to 2, and the one removed disturbs nobody', async () => {
  const c = await Cluster.of(3);
  const seen: Configuration[] = [];
  c.replica(2).on('configuration', (configuration) => seen.push(configuration));
  await c.wait(c.replica(1).changeMembers([{ type: 'remove', id: 3 }]));
  assert.deepEqual(c.replica(1).status().configuration.voters, [1, 2]);
  await c.until(() => seen.length > 0, 1000, 'no event');
  const { term } = c.replica(1).status();
  await c.clock.run(5 * election_ms);
  assert.deepEqual([c.replica(1).status().role, c.replica(1).status().term], ['leader', term]);
  await assert.rejects(
    c.replica(1).changeMembers([
      { type: 'remove', id: 9 },
      { type: 'remove', id: 1 },
      { type: 'remove', id: 2 },
    ]),
    {
      code: 'config-refused',
    },
  );
  await c.propose(1, 'a');
  await c.end();
});

test('a leader that removes itself hands over', async () => {
  const c = await Cluster.of(3);
  await c.wait(c.replica(1).changeMembers([{ type: 'remove', id: 1 }]));
  await c.until(() => c.leaders().some((m) => m.id !== 1), 2 * election_ms, 'no successor');
  await c.end();
});

test('the lead can be handed over', async () => {
  const c = await Cluster.of(3);
  await c.wait(c.replica(1).transferLeadership(3));
  await c.settled(3);
  await c.wait(c.replica(3).transferLeadership());
  const next = await c.settled();
  assert.notEqual(next.id, 3);
  await c.end();
});

test('a new learner that the log no longer reaches gets a snapshot, over a bad link too', async () => {
  const transfer = { chunk_bytes: 512, resend_ms: 200, give_up_ms: 5000 };
  const compaction = { every_entries: 50, keep_entries: 5 };
  for (const loss of [0, 0.2]) {
    const c = new Cluster(7, { transfer: { ...transfer, window: 4 }, compaction });
    await c.found(1);
    await c.settled(1);
    const values = Array.from({ length: 400 }, (_, i) => `value ${i}`);
    for (let i = 0; i < values.length; i += 40) {
      await c.wait(Promise.all(values.slice(i, i + 40).map((v) => c.replica(1).propose(bytes(v)))));
    }
    c.network.loss = loss;
    const learner = await c.found(2, configurationOf([]));
    await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
    await c.until(() => learner.machine.values.length === 400, 60_000, 'the learner did not catch up');
    assert.equal(learner.machine.restores, 1);
    c.network.loss = 0;
    await c.propose(1, 'last');
    await c.same([...values, 'last']);
    const dead = c.kill(2);
    await c.restart(dead);
    await c.same([...values, 'last']);
    assert.deepEqual(c.replica(2).status().configuration.learners, [2]);
    await c.end();
  }
});

test('a damaged snapshot is never restored', async () => {
  const c = new Cluster(3, {
    transfer: { chunk_bytes: 256, resend_ms: 200, give_up_ms: 2000 },
    compaction: { every_entries: 20, keep_entries: 2 },
  });
  await c.found(1);
  await c.settled(1);
  for (let i = 0; i < 50; i++) await c.propose(1, `value ${i}`);
  let damaged = 0;
  c.network.filter = (_from, to, frame) => {
    const at = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).indexOf('value 3');
    if (to !== 2 || at < 0 || damaged > 0) return true;
    frame[at] = 0x56;
    damaged += 1;
    return true;
  };
  const learner = await c.found(2, configurationOf([]));
  await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
  await c.until(() => learner.machine.values.length === 50, 60_000, 'the learner did not catch up');
  assert.equal(damaged, 1);
  assert.ok(c.member(2).node.lines.some((line) => line.includes('its hash is wrong')));
  await c.same(Array.from({ length: 50 }, (_, i) => `value ${i}`));
  await c.end();
});

test('a crash between the restored image and the log is set right at the next start', async () => {
  const c = await Cluster.of(1);
  for (let i = 0; i < 20; i++) await c.propose(1, `v${i}`);
  const disk = new MemoryDisk();
  await bootstrapLog(disk, configurationOf([]));
  await c.member(1).machine.flush();
  const image = c.member(1).machine.stable.image;
  const behind = await c.open(2, disk, { image });
  await c.wait(c.replica(1).changeMembers([{ type: 'add-voter', id: 2 }]));
  await c.propose(1, 'next');
  await c.until(() => behind.machine.values.length === 21, 10_000, 'it did not go on');
  assert.equal(behind.machine.restores, 0);
  await c.end();
});

test('an image older than the log is refused, with what to do', async () => {
  const disk = new MemoryDisk();
  await bootstrapLog(disk, configurationOf([1]));
  const log = await openLogStore(disk, { reserve_bytes: 0 });
  await log.append({ term: 1, vote: 1, commit: 0 }, [
    { index: 1, term: 1, kind: 'empty', data: new Uint8Array(0) },
  ]);
  await log.compact({ index: 1, term: 1, configuration: configurationOf([1]) }, 0);
  await log.close();
  const c = new Cluster();
  const empty = { meta: { index: 0, term: 0, configuration: configurationOf([]) }, values: [] };
  await assert.rejects(c.open(1, disk, { image: empty }), /ends at index 0, .* begins after 1.*join it anew/);
  assert.match(c.all[0]!.fatal_reason ?? '', /join it anew/);
});

test('a leader that stood still steps down before it does anything else', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  const old = c.member(1);
  old.node.freeze();
  await c.until(() => [2, 3].some((id) => c.replica(id).status().established), 20_000, 'no successor');
  const next = [2, 3].map((id) => c.member(id)).find((m) => m.replica.status().established)!;
  await c.propose(next.id, 'b');
  const before = old.replica.status();
  assert.equal(before.role, 'follower', 'even its status does not claim the lead');
  await assert.rejects(old.replica.propose(bytes('c')), refused('not-leader', 'not-proposed'));
  old.node.thaw();
  await c.same(['a', 'b']);
  assert.equal(c.replica(1).status().leader, next.id);
  await c.end();
});

test('quorum_at_ms is never later than the round it speaks of', async () => {
  const c = await Cluster.of(3);
  await c.clock.run(1000);
  const fresh = c.clock.now_ms() - c.replica(1).status().quorum_at_ms;
  assert.ok(fresh >= 0 && fresh <= 2 * timing.heartbeat_ticks * timing.tick_ms, `${fresh} ms`);
  c.network.isolate(1);
  const cut_at = c.clock.now_ms();
  await c.clock.run(1000);
  assert.equal(c.replica(1).status().role, 'leader');
  assert.ok(c.replica(1).status().quorum_at_ms <= cut_at);
  assert.equal(c.replica(2).status().quorum_at_ms, 0);
  c.network.heal();
  await c.end();
});

test('a leader with a disk that hangs gives up the lead; one with a disk that fails ends', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  c.member(1).disk.faults = {
    before: (operation) => (operation === 'sync' ? c.clock.sleep(8000) : undefined),
  };
  const slow = c.replica(1).propose(bytes('b'));
  slow.catch(() => undefined);
  await c.until(() => c.leaders().some((m) => m.id !== 1), 10_000, 'no successor');
  assert.equal((await c.wait(slow)).result !== undefined, true);
  await c.same(['a', 'b']);

  const leader = await c.settled();
  leader.disk.faults = {
    before: (operation) => {
      if (operation === 'sync') throw diskError('EIO', operation);
    },
  };
  const failing = leader.replica.propose(bytes('c'));
  await assert.rejects(c.wait(failing), refused('closed', 'unknown'));
  assert.match(leader.node.fatal_reason ?? '', /log could not be written: EIO/);
  for (const { replica } of c.members.values()) await c.wait(replica.close());
});

test('no more than what is promised may wait', async () => {
  const c = await Cluster.of(3);
  const answers = Array.from({ length: 4096 }, () => c.replica(1).propose(bytes('x')));
  await assert.rejects(c.replica(1).propose(bytes('x')), refused('busy', 'not-proposed'));
  await c.wait(Promise.all(answers));
  await c.propose(1, 'y');
  await c.end();
});

test('waits have timeouts and end with the replica', async () => {
  const c = await Cluster.of(1);
  const { applied } = c.replica(1).status();
  await assert.rejects(
    c.wait(c.replica(1).waitApplied(applied + 1, 100)),
    refused('timeout', 'not-proposed'),
  );
  const never = c.replica(1).waitApplied(applied + 99, 60_000);
  const closing = c.replica(1).close();
  await assert.rejects(never, refused('closed', 'not-proposed'));
  await c.wait(closing);
  await assert.rejects(c.replica(1).propose(bytes('x')), refused('closed', 'not-proposed'));
});
