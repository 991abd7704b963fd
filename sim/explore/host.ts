/**
 * One member while it is stepped: a core and its disk, driven as a replica drives them. Readys are taken at once after
 * each input; what they want written waits until an input says that it is durable.
 * It checks every promise in the moment in which it leaves (thesis, figure 3.1): against the disk, not against the core.
 * The first breach found stays in `breach`. A host is stepped and thrown away; member.ts keeps what it came to.
 */
import type { Core, CoreInitial, CoreOptions } from '../../src/consensus/core-api.ts';
import type {
  CoreStatus,
  Entry,
  HardState,
  MemberId,
  MemberProgress,
  Message,
  Ready,
} from '../../src/consensus/types.ts';
import type { Input } from './inputs.ts';
import { entryText, messageText } from './names.ts';

export type CoreFactory = (options: CoreOptions, initial: CoreInitial) => Core;

/** What is being written, and what may leave once it is durable. */
export interface Write {
  readonly seq: number;
  readonly hard_state: HardState | null;
  readonly entries: readonly Entry[];
  readonly after: readonly Message[];
}

/** What one input brought about, as others see it. */
export interface Outcome {
  readonly sent: Message[];
  readonly committed: Entry[];
  readonly reads: { readonly context: number; readonly index: number }[];
  readonly reads_failed: number[];
  /** A proposal, transfer, change or read was taken. */
  accepted: boolean;
}

/** How far a host may lag behind its core. */
export interface Lag {
  /** A write becomes durable by an input of its own; else at once, and a crash loses nothing that was written. */
  readonly lazy_sync: boolean;
  /** Committed entries are applied by an input of their own, not at once. */
  readonly lazy_apply: boolean;
}

export interface HostOptions extends Lag {
  readonly createCore: CoreFactory;
  /** No two histories are taken for one state. For replays. */
  readonly apart: boolean;
}

/** Three ticks make an election timeout, one a heartbeat interval; appends carry one command at most. */
export function coreOptions(id: MemberId): CoreOptions {
  return {
    id,
    election_ticks: 3,
    heartbeat_ticks: 1,
    max_append_bytes: 1,
    max_inflight: 64,
    max_inflight_bytes: 1024,
    max_uncommitted_bytes: 1 << 20,
    random: () => 0.5,
  };
}

/** With {@link coreOptions} every election timer has run out after this many ticks. */
const most_ticks = 6;

export class Host {
  readonly id: MemberId;
  readonly #options: HostOptions;
  readonly core: Core;
  disk: { hard_state: HardState; entries: readonly Entry[] };
  writes: readonly Write[] = [];
  /** The log in memory. */
  log: readonly Entry[];
  /** The hard state last handed out for writing. */
  hard_state: HardState;
  /** Entries handed out for applying. */
  handed: number;
  breach: string | null = null;
  outcome: Outcome = nothing();
  readonly #initial: CoreInitial;

  constructor(id: MemberId, initial: CoreInitial, options: HostOptions) {
    this.id = id;
    this.#options = options;
    this.#initial = initial;
    this.core = options.createCore(coreOptions(id), initial);
    this.disk = { hard_state: initial.hard_state, entries: initial.entries };
    this.log = initial.entries;
    this.hard_state = initial.hard_state;
    this.handed = initial.applied;
    const status = this.core.status();
    if (status.term < initial.hard_state.term) {
      this.#broken(`starts in term ${status.term}, its disk has term ${initial.hard_state.term}`);
    }
    this.#drain(status);
  }

  get progress(): readonly MemberProgress[] {
    return this.core.progress();
  }

  get status(): CoreStatus {
    return this.core.status();
  }

  /**
   * What would be found on disk after a crash now. The commit index lags, as the hard state's does.
   * @param kept how many of the writes under way reached it
   */
  afterCrash(kept: number): CoreInitial {
    const disk = this.writes.slice(0, kept).reduce(written, this.disk);
    return { ...this.#initial, hard_state: disk.hard_state, entries: disk.entries };
  }

  /** Feeds one input (any but a crash, which ends this host) and does what the core wants done. */
  step(input: Exclude<Input, { type: 'crash' }>): Outcome {
    this.outcome = nothing();
    const before = this.core.status();
    try {
      this.#feed(input, before);
      this.#drain(before);
    } catch (error) {
      this.#broken(`core: ${error instanceof Error ? error.message : String(error)}`);
    }
    return this.outcome;
  }

  #feed(input: Exclude<Input, { type: 'crash' }>, before: CoreStatus): void {
    const { core, outcome } = this;
    switch (input.type) {
      case 'timeout':
        for (let ticks = 0; ticks < most_ticks; ticks++) {
          core.tick();
          // A campaign says something, silence does not.
          if (this.#drain(before)) break;
        }
        break;
      case 'silence':
        for (let ticks = 0; ticks < coreOptions(this.id).election_ticks; ticks++) core.tick();
        break;
      case 'heartbeat':
        core.tick();
        break;
      case 'deliver':
        core.step(input.message);
        break;
      case 'sync':
        this.#sync();
        break;
      case 'propose':
        outcome.accepted = core.propose([payload(input.payload)]).ok;
        break;
      case 'apply':
        core.applied(this.handed);
        break;
      case 'transfer':
        outcome.accepted = core.transfer(input.to).ok;
        break;
      case 'change':
        outcome.accepted = core.proposeChange(input.changes).ok;
        break;
      case 'read':
        outcome.accepted = core.requestRead(input.context);
        break;
    }
  }

  /** Takes all Readys. False when there were none. */
  #drain(before: CoreStatus): boolean {
    let any = false;
    for (let ready = this.core.ready(); ready !== null; ready = this.core.ready()) {
      any = true;
      this.#take(ready, before);
      if (!this.#options.lazy_sync) this.#sync();
    }
    const now = this.core.status();
    if (now.term < before.term) this.#broken(`term fell from ${before.term} to ${now.term}`);
    if (now.commit < before.commit) this.#broken(`commit fell from ${before.commit} to ${now.commit}`);
    return any;
  }

  #take(ready: Ready, before: CoreStatus): void {
    const { seq, hard_state, entries, messages } = ready;
    // What waits already, and will leave sooner, need not wait twice: under way it would be one anyhow.
    const waits = new Set(this.writes.flatMap((write) => write.after.map(messageText)));
    const after = ready.messages_after_sync.filter((message) => !waits.has(messageText(message)));
    if (hard_state !== null) this.hard_state = hard_state;
    const first = entries[0];
    if (first !== undefined) {
      const { role, term } = this.core.status();
      const leads = role === 'leader' && before.role === 'leader' && term === before.term;
      if (leads && first.index <= this.log.length) this.#broken(`leader replaces its entry ${first.index}`);
      this.log = [...this.log.slice(0, first.index - 1), ...entries];
    }
    for (const message of messages) this.#send(message);
    const last = this.writes.at(-1);
    if (hard_state !== null || entries.length > 0) {
      this.writes = [...this.writes, { seq, hard_state, entries, after }];
    } else if (last !== undefined) {
      // Nothing to write, but it may not overtake what is being written: it rides along.
      this.writes = [...this.writes.slice(0, -1), { ...last, seq, after: [...last.after, ...after] }];
    } else {
      this.core.synced(seq);
      for (const message of after) this.#send(message);
    }
    this.#hand(ready.committed);
    this.outcome.reads.push(...ready.reads);
    this.outcome.reads_failed.push(...ready.reads_failed);
  }

  #hand(committed: readonly Entry[]): void {
    for (const entry of committed) {
      if (entry.index !== this.handed + 1) this.#broken(`entry ${entry.index} applied after ${this.handed}`);
      const durable = this.disk.entries[entry.index - 1];
      if (durable === undefined || entryText(durable) !== entryText(entry)) {
        this.#broken(`entry ${entryText(entry)} applied before it is on disk`);
      }
      this.handed = entry.index;
      this.outcome.committed.push(entry);
    }
    if (!this.#options.lazy_apply) this.core.applied(this.handed);
  }

  #sync(): void {
    const [write, ...rest] = this.writes;
    if (write === undefined) return;
    this.writes = rest;
    this.disk = written(this.disk, write);
    this.core.synced(write.seq);
    for (const message of write.after) this.#send(message);
  }

  #send(message: Message): void {
    const { hard_state, entries } = this.disk;
    const entered = message.type === 'vote' && message.pre ? message.term - 1 : message.term;
    const pre_granted = message.type === 'vote-reply' && message.pre && message.granted;
    let missing: string | null = null;
    if (entered > hard_state.term && !pre_granted) missing = `term ${entered}`;
    const promised = voteOf(message);
    if (promised !== null && hard_state.term === message.term && hard_state.vote !== promised) {
      missing = `the vote for @${promised}`;
    }
    if (message.type === 'append-reply' && message.ok && message.index > entries.length) {
      missing = `entry ${message.index}`;
    }
    if (missing !== null) this.#broken(`${messageText(message)}: left before ${missing} was on disk`);
    this.outcome.sent.push(message);
  }

  #broken(what: string): void {
    this.breach ??= what;
  }
}

/** Whom a message says that its sender votes for in its term; null when it says nothing of that. */
export function voteOf(m: Message): MemberId | null {
  if (m.type === 'vote' && !m.pre) return m.from;
  return m.type === 'vote-reply' && !m.pre && m.granted ? m.to : null;
}

/** Two bytes: with another command it is more than one append may carry. */
function payload(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function written(disk: Host['disk'], { hard_state, entries }: Write): Host['disk'] {
  const first = entries[0];
  return {
    hard_state: hard_state ?? disk.hard_state,
    entries: first === undefined ? disk.entries : [...disk.entries.slice(0, first.index - 1), ...entries],
  };
}

function nothing(): Outcome {
  return { sent: [], committed: [], reads: [], reads_failed: [], accepted: false };
}
