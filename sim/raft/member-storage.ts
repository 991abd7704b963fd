/**
 * What of a member outlives its processes: its disk, its image, and the faults of both. Opening the log checks that the
 * disk kept every promise of the life before; what it lost without having been damaged ends the run.
 */
import {
  bootstrapLog,
  type Configuration,
  diskSpool,
  LogExistsError,
  type MemberId,
  openLogStore,
  type SnapshotSpool,
} from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { SimClock, SimProcess } from './clock.ts';
import { type DiskOperation, diskError, SimDisk } from './disk.ts';
import { emptyStable, type KvMachine, type Stable } from './kv.ts';
import { type LogEvents, WatchedLog } from './watched-log.ts';
import type { World } from './world.ts';

export class MemberStorage {
  readonly stable: Stable = emptyStable();
  readonly disk = new SimDisk();
  /** The disk does nothing before this moment. */
  stalled_until_ms = 0;
  /** Writes and syncs that fail. */
  error_rate = 0;
  /** What happened to its log at rest; null: nothing, or nothing that its next start minded. */
  damage: string | null = null;
  /** Its log was found damaged: it listens and does not count. */
  faulty = false;
  readonly #world: World;
  readonly #id: MemberId;
  readonly #configuration: Configuration;
  #founded = false;
  /** As the last life knew it. */
  #log: WatchedLog | null = null;
  /** The last life ended in a power cut: what was last written may not be noted as durable. */
  #torn = false;

  constructor(world: World, id: MemberId, configuration: Configuration) {
    this.#world = world;
    this.#id = id;
    this.#configuration = configuration;
  }

  /** The log, and where snapshots wait, for the process `env`. @throws whatever opening a log store does, errors that were injected too */
  async open(
    env: SimProcess,
    events: LogEvents,
  ): Promise<{ readonly log: WatchedLog; readonly spool: SnapshotSpool }> {
    const w = this.#world;
    const disk = this.disk.attach((operation) => this.#before(env, operation));
    if (!this.#founded) {
      await bootstrapLog(disk, this.#configuration).catch((error: unknown) => {
        // A life before this one got further than it lived to say.
        if (!(error instanceof LogExistsError)) throw error;
      });
      this.#founded = true;
    }
    const { segment_bytes, reserve_bytes, chunk_bytes } = w.knobs;
    const warn = (message: string, fields: Record<string, unknown>) =>
      w.watch.line(w.member(this.#id), 'warn', message, fields);
    const store = await openLogStore(disk, { segment_bytes, reserve_bytes, warn });
    const log = new WatchedLog(store, events);
    this.#judgeStart(log);
    this.#log = log;
    // A few chunks a file, so that most snapshots take several.
    return { log, spool: diskSpool(disk, 4 * chunk_bytes) };
  }

  /** A process ended. @param machine its state machine; null: it was not open */
  ended(power_cut: boolean, machine: KvMachine | null): void {
    const { draws, knobs } = this.#world;
    const { stable } = this;
    // The image may hold more than was flushed: nothing keeps a data base from writing early.
    const ahead = machine !== null && stable.writing === null && draws.chance(knobs.image_ahead);
    if (stable.writing !== null && draws.chance(0.5)) stable.image = stable.writing;
    else if (ahead) stable.image = machine.image();
    stable.writing = null;
    // One fault at a time: damage right behind a power cut may look as a write that the cut tore, which nobody was
    // promised (docs/design/storage-faults.md).
    this.#torn = power_cut && this.damage === null;
    if (this.#torn) this.disk.crash(draws);
    this.disk.astray = null;
  }

  /** One place of the log rots. @param open whether a process has it open @returns whether it did */
  rot(draws: Knobs, open: boolean): boolean {
    if (this.#torn && !open) return false;
    this.damage = this.disk.rot(draws);
    return this.damage !== null;
  }

  /** The next write to the log goes to another sector of the same file, once, in a moment in which it `may`. */
  misdirect(draws: Knobs, may: () => boolean, done: () => void): void {
    this.disk.astray = (name, offset, size) => {
      if (!may()) return null;
      const sectors = Math.floor(size / 512);
      const to = draws.integer(0, sectors) * 512 + (offset % 512);
      if (to === offset) return null;
      this.disk.astray = null;
      this.damage = `${name}: a write for ${offset} went to ${to}`;
      done();
      return to;
    };
  }

  /** Its faults end. What is damaged stays so. */
  calm(): void {
    this.stalled_until_ms = 0;
    this.error_rate = 0;
    this.disk.astray = null;
    this.disk.capacity_bytes = Number.POSITIVE_INFINITY;
  }

  /** What a start finds is what was promised; or it is damaged, says so, and there is a reason. */
  #judgeStart(log: WatchedLog): void {
    const w = this.#world;
    const { fault } = log.initial;
    if (fault !== undefined) {
      if (this.damage === null)
        w.oracle.fail(`member ${this.#id} finds damage where none was done: ${fault.reason}`);
      if (!this.faulty) w.marks.hit('damage of the log found at a start');
      this.faulty = true;
      return;
    }
    if (this.faulty) w.oracle.fail(`member ${this.#id} has forgotten that its log was damaged`);
    const broken = this.#log?.broken(log.initial) ?? null;
    if (broken !== null)
      w.oracle.fail(`the disk of member ${this.#id} broke a promise: ${broken} (${this.damage ?? 'sound'})`);
    if (this.damage !== null) w.marks.hit('damage of the log without effect');
    this.damage = null;
  }

  #before(env: SimProcess, operation: DiskOperation): Promise<void> | null {
    const w = this.#world;
    if (env.state === 'stopped') return new Promise(() => undefined);
    w.clock.stir(env);
    if (operation === 'list' || operation === 'read' || operation === 'open') return null;
    if (this.error_rate > 0 && w.draws.chance(this.error_rate)) {
      w.faults.hit('disk error');
      throw diskError('EIO', operation);
    }
    const { sync_ms, slow_ms, slow } = w.knobs.disk;
    let wait_ms = Math.max(0, this.stalled_until_ms - w.clock.now_ms);
    if (operation === 'sync' || operation === 'directory') {
      if (sync_ms > 0) wait_ms += w.draws.exponential(sync_ms);
      if (slow > 0 && w.draws.chance(slow) && !w.calm) wait_ms += w.draws.exponential(slow_ms);
    }
    return wait_ms === 0 ? null : sleep(w.clock, env, wait_ms);
  }
}

/** Whoever waited for this goes on: more happens than a timer's end. */
export function sleep(clock: SimClock, env: SimProcess, delay_ms: number): Promise<void> {
  return new Promise((resolve) => {
    env.after(delay_ms, () => {
      clock.stir(env);
      resolve();
    });
  });
}

/** Whether a disk failed because it was told to. */
export function isInjected(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'ENOSPC');
}
