/**
 * One member: its disk and its image, which outlive processes, and the process that runs the real replica on them.
 * Opening it checks that the disk kept every promise of the life before. A member that ends itself for any other reason
 * than a disk error that was injected has broken an invariant, and the run ends.
 */
import {
  bootstrapLog,
  type Configuration,
  ConsensusError,
  LogExistsError,
  type MemberId,
  openLogStore,
  openReplica,
  type ReplicaApi,
  type ReplicaStatus,
} from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import { type SimClock, SimProcess } from './clock.ts';
import { type DiskOperation, diskError, SimDisk } from './disk.ts';
import { emptyStable, entryHash, KvMachine, type Stable } from './kv.ts';
import { lastIndex, WatchedLog } from './watched-log.ts';
import type { World } from './world.ts';

/** How a process ends: the host loses power; the process is killed; it ends itself on a disk error. */
export type Ending = 'power' | 'kill' | 'disk';

export type Answer<T> =
  | { readonly type: 'ok'; readonly value: T }
  | { readonly type: 'refused'; readonly error: ConsensusError }
  /** No answer: the process died or took too long. */
  | { readonly type: 'silence' };

/** What runs once a member is open. */
export interface Running {
  readonly replica: ReplicaApi;
  readonly log: WatchedLog;
  readonly machine: KvMachine;
}

interface Life {
  readonly env: SimProcess;
  readonly rate: number;
  running: Running | null;
  /** Whoever waits for an answer of this process. */
  readonly waiting: Set<() => void>;
}

export class Member {
  readonly id: MemberId;
  readonly stable: Stable = emptyStable();
  readonly disk = new SimDisk();
  /** As of its last event; null while it is not open. */
  status: ReplicaStatus | null = null;
  /** Removed for good, or never to be restarted. */
  destroyed = false;
  /** The disk does nothing before this moment. */
  stalled_until_ms = 0;
  /** Writes and syncs that fail. */
  error_rate = 0;
  /** What happened to its log at rest; null: nothing, or nothing that its next start minded. */
  damage: string | null = null;
  /** Its log was found damaged: it listens and does not count. */
  faulty = false;
  readonly #world: World;
  readonly #configuration: Configuration;
  #founded = false;
  #log: WatchedLog | null = null;
  #life: Life | null = null;
  /** The last life ended in a power cut: what was last written may not be noted as durable. */
  #torn = false;

  constructor(world: World, id: MemberId, configuration: Configuration) {
    this.#world = world;
    this.#configuration = configuration;
    this.id = id;
  }

  get up(): boolean {
    return this.#life !== null;
  }

  get env(): SimProcess | null {
    return this.#life?.env ?? null;
  }

  get running(): Running | null {
    return this.#life?.running ?? null;
  }

  /** What its clock shows, which gains or loses a little. */
  get now_ms(): number {
    return this.#life?.env.now_ms() ?? 0;
  }

  start(): void {
    if (this.#life !== null || this.destroyed) return;
    const w = this.#world;
    const { clock_drift, event_cost_ms } = w.knobs;
    const draws = w.draws.fork();
    const rate = 1 + draws.range(-clock_drift, clock_drift);
    const env = new SimProcess(this.id, w.clock, {
      rate,
      cost_ms: w.calm ? 0 : event_cost_ms,
      knobs: draws,
      log: (level, message, fields) => {
        w.clock.stir(env);
        w.watch.line(this, level, message, fields);
      },
      fatal: (reason, cause) => this.#fatal(reason, cause),
    });
    const life: Life = { env, rate, running: null, waiting: new Set() };
    this.#life = life;
    w.note(this, 'starts');
    env.after(0, () => {
      this.#open(life).catch((error: unknown) => {
        if (this.#life !== life) return;
        if (isInjected(error)) this.end('disk');
        else w.oracle.fail(`member ${this.id} cannot be opened: ${String(error)}`);
      });
    });
  }

  /** Ends the process, as `how` says. */
  end(how: Ending): void {
    const life = this.#life;
    if (life === null) return;
    const w = this.#world;
    w.watch.ends(this);
    w.note(this, `ends: ${how}`);
    if (how === 'disk') w.marks.hit('disk error ended a member');
    this.#life = null;
    this.status = null;
    life.env.stop();
    // The image may hold more than was flushed: nothing keeps a data base from writing early.
    const ahead =
      life.running !== null && this.stable.writing === null && w.draws.chance(w.knobs.image_ahead);
    if (this.stable.writing !== null && w.draws.chance(0.5)) this.stable.image = this.stable.writing;
    else if (ahead) this.stable.image = life.running!.machine.image();
    this.stable.writing = null;
    w.network.leave(this.id, how !== 'power');
    // One fault at a time: damage right behind a power cut may look as a write that the cut tore, which nobody was
    // promised (docs/design/storage-faults.md).
    if (how === 'power' && this.damage === null) this.disk.crash(w.draws);
    this.#torn = how === 'power' && this.damage === null;
    this.disk.astray = null;
    for (const tell of [...life.waiting]) tell();
    // What was under way when the faults ended still kills; nothing stays down then.
    if (w.calm) w.clock.after(100, () => this.start());
  }

  /** Closes it as an orderly shutdown does; its process ends when that is done. */
  stop(): void {
    const life = this.#life;
    if (life === null || life.running === null) return;
    const { replica } = life.running;
    life.env.after(0, () => {
      replica.close().then(
        () => {
          if (this.#life === life) this.end('kill');
        },
        (error: unknown) => {
          if (this.#life !== life) return;
          if (isInjected(error)) this.end('disk');
          else this.#world.oracle.fail(`member ${this.id} cannot be closed: ${String(error)}`);
        },
      );
    });
  }

  /** Gone for good. */
  destroy(): void {
    this.destroyed = true;
    this.end('power');
  }

  /** Bytes are on their way to its disk and not synced. */
  get writing(): boolean {
    return this.#life?.running != null && this.disk.dirty;
  }

  /** One place of its log rots. @returns whether it did */
  rot(draws: Knobs): boolean {
    if (this.#torn && this.running === null) return false;
    this.damage = this.disk.rot(draws);
    return this.damage !== null;
  }

  /** Its next write to the log goes to another sector of the same file, once. */
  misdirect(draws: Knobs, may: () => boolean, done: () => void): void {
    this.disk.astray = (name, offset, size) => {
      if (this.running === null || !may()) return null;
      const sectors = Math.floor(size / 512);
      const to = draws.integer(0, sectors) * 512 + (offset % 512);
      if (to === offset) return null;
      this.disk.astray = null;
      this.damage = `${name}: a write for ${offset} went to ${to}`;
      done();
      return to;
    };
  }

  /** Its faults end. */
  calm(): void {
    this.stalled_until_ms = 0;
    this.error_rate = 0;
    this.disk.astray = null;
    this.disk.capacity_bytes = Number.POSITIVE_INFINITY;
    this.env?.thaw();
  }

  /** Asks something of the running member, as an event of its process. */
  ask<T>(question: (running: Running) => Promise<T>, timeout_ms: number): Promise<Answer<T>> {
    const life = this.#life;
    if (life === null) return Promise.resolve({ type: 'silence' });
    return new Promise((resolve) => {
      const end = (answer: Answer<T>) => {
        if (!life.waiting.delete(silence)) return;
        this.#world.clock.stir(life.env);
        cancel();
        resolve(answer);
      };
      const silence = () => end({ type: 'silence' });
      const cancel = this.#world.clock.after(timeout_ms, silence);
      life.waiting.add(silence);
      life.env.after(0, () => {
        if (life.running === null) return silence();
        this.#world.clock.stir(life.env);
        question(life.running).then(
          (value) => end({ type: 'ok', value }),
          (error: unknown) => {
            if (error instanceof ConsensusError) end({ type: 'refused', error });
            else this.#world.oracle.fail(`member ${this.id} answered with ${String(error)}`);
          },
        );
      });
    });
  }

  async #open(life: Life): Promise<void> {
    const w = this.#world;
    const { env } = life;
    const disk = this.disk.attach((operation) => this.#before(env, operation));
    if (!this.#founded) {
      await bootstrapLog(disk, this.#configuration).catch((error: unknown) => {
        // A life before this one got further than it lived to say.
        if (!(error instanceof LogExistsError)) throw error;
      });
      this.#founded = true;
    }
    const { segment_bytes, reserve_bytes, timing, compact_every, compact_keep, chunk_bytes, flow } = w.knobs;
    const warn = (message: string, fields: Record<string, unknown>) =>
      w.watch.line(this, 'warn', message, fields);
    const store = await openLogStore(disk, { segment_bytes, reserve_bytes, warn });
    const log = new WatchedLog(store, {
      entry: (entry, hash, before) => w.oracle.entry(this.id, entry, hash, before),
      replaced: (index, slot) => w.watch.replaced(this, index, slot),
      boundary: (meta) => w.oracle.boundary(this.id, meta),
    });
    this.#judgeStart(log);
    this.#log = log;
    w.watch.opens(this, log, this.stable.image.meta.index > lastIndex(log.given));
    const machine = new KvMachine(this.stable, {
      applied: (entry, state_hash) => {
        w.clock.stir(env);
        const term = Math.max(log.given.term, this.status?.term ?? 0);
        w.oracle.applied(this.id, entry, entryHash(entry), state_hash, term);
        w.watch.applied(this, entry, term);
      },
      image: (image, restored) => w.oracle.image(this.id, image, restored),
      unreadable: (index) =>
        w.oracle.fail(`member ${this.id} was given a snapshot of ${index} that is no state`),
      write_ms: () => (w.knobs.image_write_ms > 0 ? w.draws.exponential(w.knobs.image_write_ms) : 0),
      sleep: (delay_ms) => sleep(w.clock, env, delay_ms),
    });
    const transport = w.network.join(env);
    const limits = {
      compaction: { every_entries: compact_every, keep_entries: compact_keep },
      transfer: { chunk_bytes, ...w.knobs.transfer },
      ...flow,
    };
    const replica = openReplica({ id: this.id, timing, limits }, { log, machine, transport, env });
    life.running = { replica, log, machine };
    w.clock.stir(env);
  }

  /** What a start finds is what was promised; or it is damaged, says so, and there is a reason. */
  #judgeStart(log: WatchedLog): void {
    const w = this.#world;
    const { fault } = log.initial;
    if (fault !== undefined) {
      if (this.damage === null)
        w.oracle.fail(`member ${this.id} finds damage where none was done: ${fault.reason}`);
      if (!this.faulty) w.marks.hit('damage of the log found at a start');
      this.faulty = true;
      return;
    }
    if (this.faulty) w.oracle.fail(`member ${this.id} has forgotten that its log was damaged`);
    const broken = this.#log?.broken(log.initial) ?? null;
    if (broken !== null)
      w.oracle.fail(`the disk of member ${this.id} broke a promise: ${broken} (${this.damage ?? 'sound'})`);
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

  #fatal(reason: string, cause: unknown): void {
    if (isInjected(cause)) this.end('disk');
    else this.#world.oracle.fail(`member ${this.id} ended itself: ${reason}`);
  }
}

/** Whoever waited for this goes on: more happens than a timer's end. */
function sleep(clock: SimClock, env: SimProcess, delay_ms: number): Promise<void> {
  return new Promise((resolve) => {
    env.after(delay_ms, () => {
      clock.stir(env);
      resolve();
    });
  });
}

function isInjected(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'ENOSPC');
}
