/**
 * One log on one disk that decays: after some life a byte of what was synced is flipped, or a power cut spoils the
 * sectors that were being written, then or in the next life. In between its beginning is let go of, as after an image was written. The log must
 * then be what was promised, or say that it is damaged; a power cut alone must never make it damaged.
 */
import {
  bootstrapLog,
  configurationOf,
  type DiskLogStore,
  type Entry,
  type HardState,
  type LogDisk,
  openLogStore,
} from '../../src/consensus/index.ts';
import { Knobs } from '../kit/knobs.ts';
import { SimDisk } from '../raft/disk.ts';
import { termAt, WatchedLog } from '../raft/watched-log.ts';

const lives = 4;
const options = { segment_bytes: 9000, reserve_bytes: 0 };

function broken(what: string, detail: string): Error {
  return new Error(`rot: ${what}: ${detail}`);
}

function watch(store: DiskLogStore): WatchedLog {
  const nothing = () => undefined;
  return new WatchedLog(store, { entry: nothing, replaced: nothing, boundary: nothing });
}

/** Appends, now and then over a tail, now and then of a later term. @param compacts how often, from 0 to 1 */
async function live(log: WatchedLog, knobs: Knobs, before: HardState, compacts: number): Promise<HardState> {
  let state = before;
  let last = log.given.base.index + log.given.slots.length;
  const pending: Promise<void>[] = [];
  for (let n = knobs.integer(1, 12); n > 0; n--) {
    const kept_from = log.given.base.index;
    if (last > kept_from && knobs.chance(compacts)) {
      const index = knobs.integer(kept_from + 1, last);
      const meta = { index, term: termAt(log.given, index) ?? 0, configuration: configurationOf([1]) };
      pending.push(log.compact(meta, knobs.pick([0, 0, 3])));
    }
    if (knobs.chance(0.3)) state = { term: state.term + 1, vote: knobs.integer(0, 3), commit: state.commit };
    const first = knobs.chance(0.2) ? Math.max(log.given.base.index + 1, last) : last + 1;
    const length = knobs.integer(0, 3);
    const entries = Array.from(
      { length },
      (_, i): Entry => ({
        index: first + i,
        term: state.term,
        kind: 'command',
        data: new Uint8Array(knobs.integer(0, 900)).fill(knobs.integer(1, 255)),
      }),
    );
    if (length > 0) last = first + length - 1;
    pending.push(log.append(state, entries));
    if (knobs.chance(0.6)) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
  return state;
}

async function flip(disk: LogDisk, knobs: Knobs): Promise<string> {
  const names = (await disk.list()).filter((name) => name.startsWith('segment-'));
  const name = knobs.pick(names);
  const content = await disk.read(name);
  const at = knobs.integer(0, content.length - 1);
  const file = await disk.open(name);
  await file.write(at, new Uint8Array([content[at]! ^ (1 << knobs.integer(0, 7))]));
  await file.sync();
  await file.close();
  return `${name} at ${at} of ${content.length}`;
}

async function decay(knobs: Knobs): Promise<void> {
  const disk = new SimDisk();
  const world = disk.attach(() => null);
  await bootstrapLog(world, configurationOf([1]));
  let log = watch(await openLogStore(world, options));
  let state: HardState = { term: 1, vote: 1, commit: 0 };
  for (let life = 0; life < lives; life++) {
    state = await live(log, knobs, state, 0.1);
    // Whether or not it is closed, what was promised is on the disk: no call is under way.
    if (knobs.chance(0.5)) await log.close();
    const where = life === lives - 1 ? await flip(world, knobs) : '';
    if (where === '') disk.crash(knobs);
    const next = watch(await openLogStore(world, options));
    const wrong = log.broken(next.initial);
    const faulty = next.initial.fault !== undefined;
    if (where === '' && faulty) throw broken('damage without any', next.initial.fault?.reason ?? '');
    if (wrong !== null && !faulty)
      throw broken(where === '' ? 'a promise was lost' : 'damage unnoticed', `${wrong} ${where}`);
    log = next;
  }
}

interface Lived {
  readonly disk: SimDisk;
  readonly log: WatchedLog;
}

/** A life that ends while something is being written. @param compacts as of `live` */
async function cutOff(knobs: Knobs, compacts: number): Promise<Lived> {
  const disk = new SimDisk();
  let left = Number.POSITIVE_INFINITY;
  const world = disk.attach(() => (left-- > 0 ? null : new Promise(() => undefined)));
  await bootstrapLog(world, configurationOf([1]));
  const log = watch(await openLogStore(world, options));
  const state = await live(log, knobs, { term: 1, vote: 1, commit: 0 }, 0);
  left = knobs.integer(0, compacts > 0 ? 24 : 8);
  // Its end is not waited for: it may never come.
  void live(log, knobs, state, compacts);
  for (let turn = 0; turn < 400; turn++) await null;
  return { disk, log };
}

/** Another start of it; nothing may be lost or damaged. */
async function next({ disk, log }: Lived): Promise<Lived> {
  const again = watch(
    await openLogStore(
      disk.attach(() => null),
      options,
    ),
  );
  const { fault } = again.initial;
  if (fault !== undefined) throw broken('damage without any', fault.reason);
  const wrong = log.broken(again.initial);
  if (wrong !== null) throw broken('a promise was lost', wrong);
  return { disk, log: again };
}

/** The power goes, and the sector under way is spoilt whole; again and again. */
async function powerCuts(knobs: Knobs, compacts: number): Promise<void> {
  let now = await cutOff(knobs, compacts);
  for (let life = 0; life < lives; life++) {
    now.disk.crash(knobs);
    now = await next(now);
    await live(now.log, knobs, { ...now.log.initial.hard_state, commit: 0 }, 0);
  }
}

/** Only the process ends: the next finds all that it wrote, synced or not, relies on it, and then the power goes. */
async function killThenPowerCut(knobs: Knobs): Promise<void> {
  const killed = await next(await cutOff(knobs, 0));
  killed.disk.crash(knobs);
  await next(killed);
}

/** @throws Error for a breach */
export async function rotOnce(seed: number): Promise<void> {
  const knobs = new Knobs(seed);
  for (let n = 0; n < 5; n++) {
    await decay(knobs);
    await powerCuts(knobs, 0);
    await powerCuts(knobs, 1);
    await killThenPowerCut(knobs);
  }
}
