import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LogExistsError, LogMissingError } from './log-errors.ts';
import { bootstrapLog, openLogStore } from './log-store.ts';
import { diskError, MemoryDisk } from './memory-disk.ts';
import type { Configuration, Entry, HardState, LogStore, SnapshotMeta } from './types.ts';

const alone: Configuration = {
  voters: [1],
  voters_outgoing: [],
  learners: [],
  learners_next: [],
  auto_leave: false,
};
const small = { segment_bytes: 9000, reserve_bytes: 4096 };

function entry(index: number, term = 1, size = 100): Entry {
  const data = new Uint8Array(size).fill((index * 31 + term) & 0xff);
  return { index, term, kind: index % 7 === 0 ? 'config' : 'command', data };
}

function entries(from: number, to: number, term = 1, size = 100): readonly Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term, size));
}

const hs = (term: number, vote = 0, commit = 0): HardState => ({ term, vote, commit });
const meta = (index: number, term = 1): SnapshotMeta => ({ index, term, configuration: alone });
const indices = (store: LogStore) => store.initial.entries.map((e) => e.index);

async function fresh(faults = {}): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await bootstrapLog(disk, alone);
  disk.faults = faults;
  return disk;
}

async function reopen(disk: MemoryDisk): Promise<LogStore> {
  return openLogStore(
    disk.afterCrash(() => 0),
    small,
  );
}

test('a new log is empty and carries its configuration', async () => {
  const store = await openLogStore(await fresh(), small);
  assert.deepEqual(store.initial, { hard_state: hs(0), snapshot: meta(0, 0), entries: [] });
  await store.close();
});

test('bootstrap refuses where a log is; opening refuses where none is', async () => {
  await assert.rejects(openLogStore(new MemoryDisk(), small), LogMissingError);
  const disk = await fresh();
  await assert.rejects(bootstrapLog(disk, alone), LogExistsError);
  await (await openLogStore(disk, small)).close();
});

test('bootstrap that crashed at any call is done over', async () => {
  for (const share of [0, 0.5, 1]) await bootstrapSweep(share);
});

async function bootstrapSweep(share: number): Promise<void> {
  for (let n = 1; ; n++) {
    const disk = new MemoryDisk();
    disk.faults = { before: (_operation, _name, count) => (count === n ? disk.powerOff() : undefined) };
    const died = await bootstrapLog(disk, alone).then(
      () => false,
      () => true,
    );
    const next = disk.afterCrash(() => share);
    await bootstrapLog(next, alone).catch((error) =>
      assert.ok(error instanceof LogExistsError, String(error)),
    );
    const store = await openLogStore(next, small);
    assert.deepEqual(store.initial.snapshot, meta(0, 0));
    await store.close();
    if (!died) {
      assert.ok(n > 8);
      break;
    }
  }
}

test('what append resolved for is found after a crash, over many segments', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, small);
  for (let i = 1; i <= 60; i += 3) await store.append(hs(2, 3, i - 1), entries(i, i + 2, 2, 400));
  const again = await reopen(disk);
  assert.deepEqual(again.initial.hard_state, hs(2, 3, 57));
  assert.deepEqual(again.initial.entries, entries(1, 60, 2, 400));
  await again.append(null, [entry(61, 2)]);
  await again.close();
});

test('overlapping appends share a sync', async () => {
  let syncs = 0;
  const count = (operation: string) => {
    if (operation === 'sync') syncs += 1;
  };
  const disk = await fresh({ before: count });
  const store = await openLogStore(disk, small);
  syncs = 0;
  await store.append(null, [entry(1)]);
  assert.equal(syncs, 1);
  await Promise.all(entries(2, 50).map((e) => store.append(null, [e])));
  assert.equal(syncs, 2);
  assert.equal((await reopen(disk)).initial.entries.length, 50);
});

test('an entry that exists is replaced, with all after it', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, small);
  await Promise.all([
    store.append(hs(1), entries(1, 20)),
    store.append(hs(2), entries(11, 12, 2)),
    store.append(null, entries(12, 14, 3)),
  ]);
  const again = await reopen(disk);
  assert.deepEqual(again.initial.entries, [...entries(1, 10), entry(11, 2), ...entries(12, 14, 3)]);
});

test('holes, terms that fall and votes that change are refused', async () => {
  const wrong: ((store: LogStore) => Promise<void>)[] = [
    (s) => s.append(null, [entry(12)]),
    (s) => s.append(null, [entry(11), entry(13)]),
    (s) => s.append(null, [entry(11, 3), entry(12, 2)]),
    (s) => s.append(hs(1, 2), []),
    (s) => s.append(hs(2, 9), []),
    (s) => s.compact(meta(11), 0),
    (s) => s.reset(meta(50, 2), hs(1, 1)),
  ];
  for (const act of wrong) {
    const disk = await fresh();
    const store = await openLogStore(disk, small);
    await store.append(hs(2, 4, 3), entries(1, 10));
    await assert.rejects(act(store), /log store: /);
    await assert.rejects(store.append(null, [entry(11)]), /log store: /);
    const again = await reopen(disk);
    assert.deepEqual([again.initial.hard_state, indices(again).length], [hs(2, 4, 3), 10]);
  }
});

test('compaction drops whole segments and keeps what was asked for', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, small);
  for (let i = 1; i <= 100; i++) await store.append(null, [entry(i, 1, 800)]);
  const before = (await disk.list()).length;
  await store.compact(meta(90), 5);
  const names = await disk.list();
  assert.ok(names.length < before / 2, names.join());
  const again = await reopen(disk);
  assert.deepEqual(again.initial.snapshot, meta(90));
  assert.deepEqual(indices(again), [91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
  await assert.rejects(again.append(null, [entry(90)]), /within the snapshot/);
});

test('an installed snapshot replaces the log', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, small);
  await store.append(hs(3, 2), entries(1, 5));
  await store.reset(meta(1000, 3), hs(3, 2, 1000));
  await store.append(null, [entry(1001, 3)]);
  const again = await reopen(disk);
  assert.deepEqual(again.initial, {
    hard_state: hs(3, 2, 1000),
    snapshot: meta(1000, 3),
    entries: [entry(1001, 3)],
  });
});

test('either copy of the newest hard state is enough', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, small);
  for (let term = 1; term <= 5; term++) await store.append(hs(term, 1), []);
  // The power goes right after the sync, before anything else is noted.
  let synced = false;
  disk.faults = {
    before: (operation) => {
      if (synced) disk.powerOff();
      synced ||= operation === 'sync';
    },
  };
  await store.append(hs(6, 2), []);
  for (const damage of [0, 4096, 8192]) {
    const copy = disk.afterCrash(() => 0);
    assert.equal(copy.size('segment-0000000001'), 8192 + 6 * 76);
    const offset = damage < 8192 ? damage + 20 : copy.size('segment-0000000001') - 1;
    copy.flipBit('segment-0000000001', offset, 1);
    assert.deepEqual((await openLogStore(copy, small)).initial.hard_state, hs(6, 2), String(damage));
  }
});

test('a torn last batch is dropped as a whole, with a warning', async () => {
  for (const share of [0.01, 0.3, 0.6, 0.99]) {
    const disk = await fresh();
    const store = await openLogStore(disk, small);
    await store.append(hs(1), entries(1, 3));
    disk.faults = { before: (operation) => (operation === 'sync' ? disk.powerOff() : undefined) };
    await assert.rejects(store.append(hs(2), entries(4, 9)));
    const warnings: string[] = [];
    const again = await openLogStore(
      disk.afterCrash(() => share),
      { ...small, warn: (m) => void warnings.push(m) },
    );
    assert.deepEqual(indices(again), [1, 2, 3], String(share));
    assert.equal(warnings.filter((m) => m.includes('cut off')).length, 1);
    await again.append(null, [entry(4)]);
    await again.close();
  }
});

test('after a failed write or sync the store refuses everything', async () => {
  for (const fail of ['write', 'sync'] as const) {
    const disk = await fresh();
    const store = await openLogStore(disk, small);
    await store.append(null, [entry(1)]);
    disk.faults = {
      before: (operation) => {
        if (operation === fail) throw diskError('EIO', operation);
      },
    };
    const waiting = [store.append(null, [entry(2)]), store.compact(meta(1), 0)];
    for (const result of await Promise.allSettled(waiting)) assert.equal(result.status, 'rejected');
    disk.faults = {};
    await assert.rejects(store.append(null, [entry(2)]), /EIO/);
    await store.close();
    assert.deepEqual(
      indices(
        await openLogStore(
          disk.afterCrash(() => 0),
          small,
        ),
      ),
      [1],
    );
  }
});

test('on a full disk the reserve is enough to go on and to compact', async () => {
  const disk = await fresh({ capacity_bytes: 80_000 });
  const store = await openLogStore(disk, { segment_bytes: 12_000, reserve_bytes: 30_000 });
  let index = 0;
  while (!store.underPressure()) {
    index += 1;
    await store.append(null, [entry(index, 1, 500)]);
    assert.ok(index < 1000);
  }
  await store.append(null, [entry(index + 1)]);
  await store.compact(meta(index), 0);
  assert.equal(store.underPressure(), false);
  assert.ok(disk.size('reserve') === 30_000);
  assert.deepEqual(indices(await reopen(disk)), [index + 1]);
});

test('on a disk that stays full the store fails and loses nothing', async () => {
  const disk = await fresh({ capacity_bytes: 40_000 });
  const store = await openLogStore(disk, { segment_bytes: 12_000, reserve_bytes: 8000 });
  let acknowledged = 0;
  await assert.rejects(async () => {
    for (;;) {
      await store.append(null, [entry(acknowledged + 1, 1, 500)]);
      acknowledged += 1;
    }
  }, /ENOSPC/);
  assert.ok(acknowledged > 10);
  assert.equal((await reopen(disk)).initial.entries.length, acknowledged);
});

/** What the script below was promised, and what it asked for last. */
interface Promised {
  readonly hard_state: HardState;
  readonly snapshot: number;
  readonly entries: readonly Entry[];
}

type Step =
  | { readonly type: 'append'; readonly back: number; readonly count: number; readonly term_up: boolean }
  | { readonly type: 'compact'; readonly keep: number }
  | { readonly type: 'reset'; readonly ahead: number };

function after(state: Promised, step: Step): Promised {
  const last = state.entries.at(-1)?.index ?? state.snapshot;
  switch (step.type) {
    case 'append': {
      const term = state.hard_state.term + (step.term_up ? 1 : 0);
      const from = Math.max(state.snapshot + 1, last + 1 - step.back);
      const kept = state.entries.filter((e) => e.index < from);
      const added = entries(from, from + step.count - 1, term, 300);
      return {
        ...state,
        hard_state: hs(term, term % 3),
        entries: step.count === 0 ? state.entries : [...kept, ...added],
      };
    }
    case 'compact':
      return { ...state, snapshot: last, entries: [] };
    case 'reset':
      return { ...state, snapshot: last + step.ahead, entries: [] };
    default:
      return step satisfies never;
  }
}

async function perform(store: LogStore, state: Promised, step: Step, next: Promised): Promise<void> {
  switch (step.type) {
    case 'append': {
      const from = Math.max(
        state.snapshot + 1,
        (state.entries.at(-1)?.index ?? state.snapshot) + 1 - step.back,
      );
      return store.append(
        next.hard_state,
        step.count === 0 ? [] : next.entries.filter((e) => e.index >= from),
      );
    }
    case 'compact':
      return store.compact(
        meta(next.snapshot, state.entries.at(-1)?.term ?? state.hard_state.term),
        step.keep,
      );
    case 'reset':
      return store.reset(meta(next.snapshot, next.hard_state.term), next.hard_state);
    default:
      return step satisfies never;
  }
}

/** Crashes at the n-th disk call of the script, reopens, and checks against what had been promised. False: no crash. */
async function crashAt(steps: readonly Step[], n: number, keep: () => number): Promise<boolean> {
  const disk = await fresh();
  const store = await openLogStore(disk, small);
  const from = disk.count;
  disk.faults = { before: (_o, _n, count) => (count - from === n ? disk.powerOff() : undefined) };
  let promised: Promised = { hard_state: hs(0), snapshot: 0, entries: [] };
  let asked = promised;
  for (const step of steps) {
    asked = after(promised, step);
    try {
      await perform(store, promised, step, asked);
    } catch (error) {
      assert.match(String(error), /power is off/);
      break;
    }
    promised = asked;
  }
  const crashed = disk.count - from >= n;
  const { hard_state, snapshot, entries: found } = (await openLogStore(disk.afterCrash(keep), small)).initial;
  const shown = { term: hard_state.term, vote: hard_state.vote, snapshot: snapshot.index, entries: found };
  const fits = [promised, asked].some(
    (p) => snapshot.index === p.snapshot && JSON.stringify(found) === JSON.stringify(p.entries),
  );
  assert.ok(fits, `call ${n}: promised ${JSON.stringify(promised)}, found ${JSON.stringify(shown)}`);
  const terms = [promised, asked].some(
    (p) => hard_state.term === p.hard_state.term && hard_state.vote === p.hard_state.vote,
  );
  assert.ok(terms, `call ${n}: ${JSON.stringify(hard_state)}`);
  return crashed;
}

const script: readonly Step[] = [
  { type: 'append', back: 0, count: 3, term_up: true },
  { type: 'append', back: 1, count: 4, term_up: true },
  { type: 'append', back: 0, count: 20, term_up: false },
  { type: 'append', back: 0, count: 0, term_up: true },
  { type: 'append', back: 0, count: 20, term_up: false },
  { type: 'compact', keep: 5 },
  { type: 'append', back: 3, count: 6, term_up: true },
  { type: 'reset', ahead: 40 },
  { type: 'append', back: 0, count: 2, term_up: false },
  { type: 'append', back: 2, count: 40, term_up: true },
  { type: 'compact', keep: 0 },
  { type: 'append', back: 0, count: 1, term_up: false },
];

test('crash at every disk call: nothing promised is lost, nothing half done is seen', async () => {
  for (const share of [0, 0.4, 0.999, 1]) {
    let n = 1;
    while (await crashAt(script, n, () => share)) n += 1;
    assert.ok(n > 60, `only ${n} calls`);
  }
});

test('property: opening after a crash at random', async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        back: fc.nat(6),
        count: fc.nat(15),
        term_up: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('compact' as const), keep: fc.nat(20) }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant('reset' as const), ahead: fc.integer({ min: 1, max: 50 }) }),
    },
  );
  const shares = fc.array(fc.constantFrom(0, 0.1, 0.5, 0.9, 1), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      fc.integer({ min: 1, max: 200 }),
      shares,
      async (steps, n, list) => {
        let at = 0;
        await crashAt(steps, n, () => list[at++ % list.length] ?? 0);
      },
    ),
    { numRuns: 300, seed: 20260101 },
  );
});
