/**
 * One member: its storage, which outlives processes, and the process that runs the real replica on it. A member that ends
 * itself for any other reason than a disk error that was injected has broken an invariant, and the run ends.
 */
import {
  type Configuration,
  ConsensusError,
  type MemberId,
  openReplica,
  type ReplicaApi,
  type ReplicaStatus,
} from '../../src/consensus/index.ts';
import { SimProcess } from './clock.ts';
import { entryHash, KvMachine } from './kv.ts';
import { isInjected, MemberStorage, sleep } from './member-storage.ts';
import { lastIndex, termAt, type WatchedLog } from './watched-log.ts';
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
  /** It is being closed in order: it answers nothing any more. */
  closing: boolean;
  /** Whoever waits for an answer of this process. */
  readonly waiting: Set<() => void>;
}

export class Member {
  readonly id: MemberId;
  readonly storage: MemberStorage;
  /** As of its last event; null while it is not open. */
  status: ReplicaStatus | null = null;
  /** Removed for good, or never to be restarted. */
  destroyed = false;
  readonly #world: World;
  #life: Life | null = null;

  constructor(world: World, id: MemberId, configuration: Configuration) {
    this.#world = world;
    this.id = id;
    this.storage = new MemberStorage(world, id, configuration);
  }

  get up(): boolean {
    return this.#life !== null;
  }

  get env(): SimProcess | null {
    return this.#life?.env ?? null;
  }

  get closing(): boolean {
    return this.#life?.closing === true;
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
    const life: Life = { env, rate, running: null, closing: false, waiting: new Set() };
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
    this.storage.ended(how === 'power', life.running?.machine ?? null);
    w.network.leave(this.id, how !== 'power');
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
      life.closing = true;
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
    return this.#life?.running != null && this.storage.disk.dirty;
  }

  /** Its faults end. */
  calm(): void {
    this.storage.calm();
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
    const { log, spool } = await this.storage.open(env, {
      entry: (entry, hash, before) => w.oracle.entry(this.id, entry, hash, before),
      replaced: (index, slot) => w.watch.replaced(this, index, slot),
      boundary: (meta) => w.oracle.boundary(this.id, meta),
    });
    const { stable } = this.storage;
    w.watch.opens(this, log, stable.image.meta.index > lastIndex(log.given));
    const machine = new KvMachine(stable, {
      applied: (entry, state_hash) => {
        w.clock.stir(env);
        const term = Math.max(log.given.term, this.status?.term ?? 0);
        w.oracle.applied(this.id, entry, entryHash(entry), state_hash, term);
        if (termAt(log.promised, entry.index) !== entry.term)
          w.oracle.fail(`entry ${entry.index} is applied by member ${this.id} before it is on disk there`);
        w.watch.applied(this, entry, term);
      },
      image: (image, restored) => w.oracle.image(this.id, image, restored),
      unreadable: (index) =>
        w.oracle.fail(`member ${this.id} was given a snapshot of ${index} that is no state`),
      write_ms: () => (w.knobs.image_write_ms > 0 ? w.draws.exponential(w.knobs.image_write_ms) : 0),
      sleep: (delay_ms) => sleep(w.clock, env, delay_ms),
    });
    const transport = w.network.join(env);
    const { timing, compact_every, compact_keep, chunk_bytes, flow, relays } = w.knobs;
    const limits = {
      compaction: { every_entries: compact_every, keep_entries: compact_keep },
      transfer: { chunk_bytes, ...w.knobs.transfer },
      ...flow,
      ...(relays === null ? {} : { relays }),
    };
    const replica = openReplica({ id: this.id, timing, limits }, { log, machine, transport, env, spool });
    life.running = { replica, log, machine };
    w.clock.stir(env);
  }

  #fatal(reason: string, cause: unknown): void {
    if (isInjected(cause)) this.end('disk');
    else this.#world.oracle.fail(`member ${this.id} ended itself: ${reason}`);
  }
}
