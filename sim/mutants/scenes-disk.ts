/** Replicas and their disks: writes that are overtaken, snapshots that come late, terms that never reached the log. */
import assert from 'node:assert/strict';
import { Cluster, type ListMachine, type Member } from '../../src/consensus/test-replicas.ts';
import { decodeFrame } from '../../src/consensus/wire.ts';
import { group, patience, type Scenes } from './scene.ts';

const patience_ms = 60_000;
/** So that a member which lags by a few entries needs a snapshot. */
const often = { compaction: { every_entries: 5, keep_entries: 1 } };

const never = () => new Promise<never>(() => undefined);

async function propose(cluster: Cluster, at: number, values: readonly string[]): Promise<void> {
  for (const value of values) await cluster.propose(at, value);
}

const numbered = (text: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `${text} ${i}`);

/** The machine's image is replaced when `release` is called, not before. */
function holdRestore(machine: ListMachine): { begun: () => boolean; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const restore = machine.restore.bind(machine);
  let begun = false;
  machine.restore = async (meta, chunks) => {
    begun = true;
    await promise;
    await restore(meta, chunks);
  };
  return { begun: () => begun, release: resolve };
}

const appliedBy = ({ replica }: Member) => replica.status().applied;

export const disk_scenes: Scenes = {
  // The append ABA race: another leader's entries take the place of some whose write is still under way.
  'a write whose entries were replaced': (seed) => {
    const cluster = group(seed, 5);
    const { commit } = cluster.status(1);
    cluster.stalled.add(3);
    cluster.cut = (m) => m.from === 1 && m.to !== 3;
    cluster.propose(1, 'never committed');
    cluster.settle();
    assert.equal(cluster.status(3).last_index, commit + 1);
    const apart = (id: number) => id === 1 || id === 3;
    cluster.cut = (m) => apart(m.from) || apart(m.to);
    const committed = () => cluster.leader() > 1 && cluster.status(cluster.leader()).commit > commit;
    cluster.crash(1);
    cluster.ticksUntil(committed, 'others lead and commit', 4 * patience);
    cluster.cut = () => false;
    cluster.core(cluster.leader()).peer(3, true);
    cluster.settle();
    assert.ok(
      cluster.status(3).commit > commit,
      'it knows that an entry is committed which it has not on disk',
    );
    cluster.syncOne(3);
    // It applies what its disk has, or the cluster says so.
    cluster.pump(3);
    assert.equal(cluster.status(3).applied, commit, 'what it has applied');
    cluster.stalled.delete(3);
    cluster.sync(3);
    cluster.ticks(patience);
    assert.equal(cluster.status(3).applied, cluster.status(cluster.leader()).commit);
  },

  // The state of a term arrives while the disk still writes that the term has begun, and the power goes.
  'a term that never reached the log': async (seed) => {
    const cluster = await Cluster.of(3, seed, often);
    await propose(cluster, 1, ['before']);
    cluster.network.isolate(3);
    await cluster.wait(cluster.replica(1).transferLeadership(2));
    await cluster.settled(2);
    await propose(cluster, 2, numbered('after', 20));
    const late = cluster.member(3);
    const { term } = cluster.replica(2).status();
    assert.ok(late.replica.status().term < term, 'it has heard of the later term');
    late.disk.faults.before = (_operation, name) => (name.startsWith('segment-') ? never() : undefined);
    cluster.network.heal();
    cluster.network.reset(2, 3, 10);
    const restored = () => late.machine.stable.image.meta.term === term;
    await cluster.until(restored, patience_ms, 'its image is of the later term');
    const image = late.machine.stable.image.meta;
    const again = await cluster.restart(cluster.kill(3));
    assert.ok(again.replica.status().term >= image.term, 'it begins in a term before that of its image');
    await propose(cluster, 2, ['last']);
    await cluster.same(['before', ...numbered('after', 20), 'last']);
    await cluster.end();
  },

  // The one that sends a snapshot is lost, and its successor has all entries: log and commit pass the snapshot by.
  'a log that outgrew its snapshot': async (seed) => {
    const cluster = await Cluster.of(3, seed, often);
    // Its image is never written, so its log goes back to the beginning.
    cluster.member(2).machine.flush = never;
    cluster.network.isolate(3);
    await propose(cluster, 1, numbered('value', 20));
    const late = cluster.member(3);
    const restore = holdRestore(late.machine);
    cluster.network.heal();
    await cluster.until(restore.begun, patience_ms, 'a snapshot is being installed');
    cluster.kill(1);
    await cluster.settled(2);
    await propose(cluster, 2, ['one more', 'and one']);
    const { last_index } = cluster.replica(2).status();
    await cluster.until(() => late.replica.status().commit >= last_index, patience_ms, 'it has all entries');
    restore.release();
    await cluster.until(() => appliedBy(late) >= last_index, patience_ms, 'it has applied all');
    await cluster.clock.run(100);
    const again = await cluster.restart(cluster.kill(3));
    assert.ok(again.replica.status().last_index >= last_index, 'what it had acknowledged is gone');
    await propose(cluster, 2, ['last']);
    await cluster.same([...numbered('value', 20), 'one more', 'and one', 'last']);
    for (const node of cluster.all) assert.equal(node.fatal_reason, null, cluster.trace(node.name));
  },

  // Its disk stands still, so that the leader takes it for one that needs a snapshot; then it is quicker than that.
  'a snapshot of what is over': async (seed) => {
    const cluster = await Cluster.of(3, seed, often);
    const late = cluster.member(3);
    const disk = Promise.withResolvers<void>();
    late.disk.faults.before = (_operation, name) => (name.startsWith('segment-') ? disk.promise : undefined);
    await propose(cluster, 1, numbered('value', 12));
    let offered = false;
    let held = true;
    cluster.network.filter = (_from, to, bytes) => {
      const { type } = decodeFrame(bytes);
      offered ||= to === 3 && type === 'snapshot-offer';
      return !(held && to === 3 && type === 'snapshot-chunk');
    };
    cluster.network.reset(1, 3, 10);
    await cluster.until(() => offered, patience_ms, 'a snapshot is offered');
    disk.resolve();
    await propose(cluster, 1, numbered('later', 3));
    const { last_index } = cluster.replica(1).status();
    await cluster.until(() => appliedBy(late) >= last_index, patience_ms, 'it has applied all');
    held = false;
    await cluster.clock.run(5000);
    const values = [...numbered('value', 12), ...numbered('later', 3)];
    assert.deepEqual(late.machine.values, values, 'what it had applied');
    await propose(cluster, 1, ['last']);
    await cluster.same([...values, 'last']);
    await cluster.end();
  },
};
