/**
 * The state of one member (thesis, figure 3.1) and the few ways in which it may change.
 * Each of them asserts what must hold: terms only grow, one vote a term, a committed prefix stays. What the state
 * changes *for* is decided elsewhere: election.ts, follower.ts, leader.ts.
 */
import { ConfigHistory } from './config-history.ts';
import { isVoter } from './configuration.ts';
import type { CoreInitial, CoreOptions } from './core-api.ts';
import { ElectionTimer } from './election-timer.ts';
import { EntryLog } from './entry-log.ts';
import { InvariantError, invariant } from './invariant.ts';
import { Outbox } from './outbox.ts';
import type { Progress } from './progress.ts';
import type { QuorumRounds } from './quorum-rounds.ts';
import type { Relaying } from './relay.ts';
import type { Relays } from './relay-plan.ts';
import type { Configuration, Entry, HardState, MemberId, Role, SnapshotMeta } from './types.ts';

/** What exists only while this member leads. */
export interface Leadership {
  /** The other members that the leader feeds itself: all voters among them. */
  readonly progress: Map<MemberId, Progress>;
  readonly relays: Relays;
  readonly rounds: QuorumRounds;
  heartbeat_elapsed: number;
  uncommitted_bytes: number;
  transfer: { readonly to: MemberId; elapsed: number; told: boolean } | null;
  /**
   * Heirs that were told to campaign, and whose transfer was then given up: they may still do so, and win at once. With
   * the last round and the last entry as of then.
   */
  readonly told: Map<MemberId, { readonly round: number; readonly last_index: number }>;
}

export class CoreState {
  readonly options: CoreOptions;
  readonly id: MemberId;
  readonly log: EntryLog;
  readonly outbox: Outbox;
  readonly timer: ElectionTimer;
  configs: ConfigHistory;
  /** What a follower gets when the log no longer reaches it. */
  image: SnapshotMeta;
  role: Role = 'follower';
  leader: MemberId = 0;
  /** Ticks since this core was made. */
  now = 0;
  /** Ticks since a leader was heard or a vote given. */
  silent_ticks = 0;
  /** Answers of the campaign under way. */
  votes = new Map<MemberId, boolean>();
  leadership: Leadership | null = null;
  /** Whom this member feeds for the leader. */
  relaying: Relaying | null = null;
  /** The newest round of this term that came with a duty or through a relay. */
  relayed_round = 0;
  /** Members known to have damaged storage, and why; this one among them. A number that is here never leaves. */
  readonly faulty = new Map<MemberId, string>();
  #term: number;
  #vote: MemberId;
  #commit: number;
  #handed: number;
  #applied: number;

  constructor(options: CoreOptions, initial: CoreInitial) {
    const { hard_state, snapshot, entries } = initial;
    this.options = options;
    this.id = options.id;
    this.log = new EntryLog(snapshot, entries);
    this.configs = new ConfigHistory(snapshot, entries);
    this.image = snapshot;
    this.outbox = new Outbox(hard_state, initial.fault);
    if (initial.fault !== undefined) this.faulty.set(this.id, initial.fault);
    this.timer = new ElectionTimer(options.election_ticks, options.random);
    // A snapshot may have been installed before this member had heard of its term: then it has not voted in it either.
    const behind = snapshot.term > hard_state.term;
    this.#term = behind ? snapshot.term : hard_state.term;
    this.#vote = behind ? 0 : hard_state.vote;
    this.#applied = Math.max(initial.applied, snapshot.index);
    this.#handed = this.#applied;
    this.#commit = Math.max(hard_state.commit, this.#applied);
    invariant(this.#commit <= this.log.lastIndex, () => {
      return `log ends at ${this.log.lastIndex}, before what was committed (${hard_state.commit}) or applied (${this.#applied})`;
    });
    invariant(this.#term >= this.log.lastTerm, () => {
      return `term ${this.#term} behind the log's last, ${this.log.lastTerm}`;
    });
    this.configs.forget(this.#commit);
  }

  get term(): number {
    return this.#term;
  }

  get vote(): MemberId {
    return this.#vote;
  }

  get commit(): number {
    return this.#commit;
  }

  get applied(): number {
    return this.#applied;
  }

  get hard_state(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.#commit };
  }

  get configuration(): Configuration {
    return this.configs.current;
  }

  /** The leadership; only for a leader. */
  get lead(): Leadership {
    if (this.leadership === null)
      throw new InvariantError(`member ${this.id} is ${this.role} and does not lead`);
    return this.leadership;
  }

  /** Whether an entry of the current term is committed (thesis, section 3.6.2; needed for reads and for changes). */
  get ownTermCommitted(): boolean {
    return this.log.matches(this.#commit, this.#term);
  }

  /** Whether this member only listens: what it acknowledged before may be lost, and its vote with it. */
  get listensOnly(): boolean {
    return this.faulty.has(this.id);
  }

  /**
   * Whether this member may campaign: it votes in the configuration in effect, or its removal is not committed yet and it
   * may be the only one able to finish that (thesis, section 4.2.2, figure 4.6).
   */
  get promotable(): boolean {
    if (this.listensOnly) return false;
    return isVoter(this.configuration, this.id) || isVoter(this.configs.committed(this.#commit), this.id);
  }

  /** No leader is known, or it was silent for an election timeout. */
  get leaderIsLost(): boolean {
    return this.leader === 0 || this.silent_ticks >= this.options.election_ticks;
  }

  enterTerm(term: number): void {
    invariant(term > this.#term, () => `term ${term} entered from term ${this.#term}`);
    this.#term = term;
    this.#vote = 0;
    this.relayed_round = 0;
  }

  voteFor(id: MemberId): void {
    invariant(this.#vote === 0 || this.#vote === id, () => {
      return `vote for ${id} in term ${this.#term}, already given to ${this.#vote}`;
    });
    this.#vote = id;
  }

  /** No effect when `index` is committed already. True when it was not. */
  commitTo(index: number): boolean {
    if (index <= this.#commit) return false;
    invariant(index <= this.log.lastIndex, () => {
      return `commit ${index} beyond the last entry ${this.log.lastIndex}: acknowledged entries were lost`;
    });
    this.#commit = index;
    this.configs.forget(index);
    return true;
  }

  /** Appends to the log, replacing what contradicts. True when the configuration in effect changed. */
  append(entries: readonly Entry[]): boolean {
    const first = entries[0];
    if (first === undefined) return false;
    invariant(first.index > this.#commit, () => {
      return `entry ${first.index} of term ${first.term} would replace a committed one (commit ${this.#commit})`;
    });
    invariant(entries.at(-1)!.term <= this.#term, () => {
      return `entry of term ${entries.at(-1)!.term} in term ${this.#term}`;
    });
    this.log.append(entries);
    return this.configs.appended(entries);
  }

  /** Committed entries that are durable here and were not handed out. */
  takeCommitted(): Entry[] {
    const upto = this.#committable;
    if (upto <= this.#handed) return [];
    const entries = this.log.slice(this.#handed + 1, upto);
    invariant(
      entries.length === upto - this.#handed,
      () => `entries ${this.#handed + 1}..${upto} have a gap`,
    );
    this.#handed = upto;
    return entries;
  }

  hasCommitted(): boolean {
    return this.#committable > this.#handed;
  }

  appliedTo(index: number): void {
    invariant(index <= this.#handed, () => `applied ${index}, handed out only up to ${this.#handed}`);
    this.#applied = Math.max(this.#applied, index);
  }

  /** Log store and state machine now stand at `meta`. */
  restore(meta: SnapshotMeta): void {
    this.log.restore(meta);
    this.configs = new ConfigHistory(meta, this.log.slice(meta.index + 1, this.log.lastIndex));
    this.#commit = meta.index;
    this.#handed = meta.index;
    this.#applied = meta.index;
    this.image = meta;
  }

  get #committable(): number {
    return Math.min(this.#commit, this.log.durable);
  }
}
