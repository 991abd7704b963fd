import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compactor } from './compactor.ts';
import { configurationOf } from './configuration.ts';
import type { LogStore, SnapshotMeta, StateMachine } from './types.ts';

const nobody = configurationOf([]);

/** A state machine that knows nothing of configurations, and a log that remembers what it was told. */
function parts(index: () => number): {
  machine: StateMachine;
  log: LogStore;
  told: [SnapshotMeta, number][];
} {
  const told: [SnapshotMeta, number][] = [];
  const machine: StateMachine = {
    durable: { index: 0, term: 0, configuration: nobody },
    apply: () => [],
    configuration: () => undefined,
    flush: async () => ({ index: index(), term: 1, configuration: nobody }),
    snapshot: () => {
      throw new Error('not asked for');
    },
    restore: async () => undefined,
  };
  const log: LogStore = {
    initial: { hard_state: { term: 0, vote: 0, commit: 0 }, snapshot: machine.durable, entries: [] },
    append: async () => undefined,
    compact: async (meta, keep) => {
      told.push([meta, keep]);
    },
    reset: async () => undefined,
    close: async () => undefined,
  };
  return { machine, log, told };
}

const limits = { every_entries: 100, every_bytes: 1000, keep_entries: 10 };

test('the boundary carries the configuration of its index, whatever the machine says', async () => {
  let index = 0;
  const { machine, log, told } = parts(() => index);
  const start = { index: 0, term: 0, configuration: configurationOf([1]) };
  const compactor = new Compactor(machine, log, limits, start);
  compactor.configurationChanged(20, configurationOf([1, 2]));
  compactor.configurationChanged(40, configurationOf([1, 2, 3]));
  for (index of [19, 20, 39, 45]) await compactor.run(Number.POSITIVE_INFINITY, false);
  assert.deepEqual(
    told.map(([meta]) => meta.configuration.voters),
    [[1], [1, 2], [1, 2], [1, 2, 3]],
  );
});

test('it is due by count, by bytes, and sooner on a full disk; never twice at a time', async () => {
  const { machine, log } = parts(() => 1);
  const compactor = new Compactor(machine, log, limits, { index: 0, term: 0, configuration: nobody });
  compactor.applied(99, 999);
  assert.deepEqual([compactor.isDue(false), compactor.isDue(true)], [false, true]);
  compactor.applied(1, 0);
  assert.equal(compactor.isDue(false), true);
  const running = compactor.run(Number.POSITIVE_INFINITY, false);
  compactor.applied(1, 5000);
  assert.equal(compactor.isDue(false), false);
  await running;
  await compactor.idle();
  assert.equal(compactor.isDue(false), true);
});

test('entries that a snapshot under way will need are kept, on a full disk they are not', async () => {
  const { machine, log, told } = parts(() => 500);
  const compactor = new Compactor(machine, log, limits, { index: 0, term: 0, configuration: nobody });
  await compactor.run(Number.POSITIVE_INFINITY, false);
  await compactor.run(100, false);
  await compactor.run(100, true);
  assert.deepEqual(
    told.map(([, keep]) => keep),
    [10, 400, 0],
  );
});
