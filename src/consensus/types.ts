/**
 * The vocabulary of `consensus/`: what the core, the log store, the replica and their users say to each other.
 * Nothing here has behaviour. Terms are those of Ongaro, "Consensus: Bridging Theory and Practice" (2014).
 */

/** A member's number: a positive integer given once and never used again. 0 means "nobody". */
export type MemberId = number;

/** `empty` is a leader's first entry of its term, `config` carries an encoded {@link Configuration}. */
export type EntryKind = 'empty' | 'command' | 'config';

export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** What must be durable before a message that depends on it leaves (thesis, figure 3.1). */
export interface HardState {
  readonly term: number;
  /** Whom this member voted for in `term`; 0 if nobody. */
  readonly vote: MemberId;
  /** A hint only: it may lag behind what is really committed. */
  readonly commit: number;
}

/** Who counts. A joint configuration has a non-empty `voters_outgoing` (thesis, section 4.3). All lists are sorted. */
export interface Configuration {
  readonly voters: readonly MemberId[];
  readonly voters_outgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learners_next: readonly MemberId[];
  /** The leader leaves the joint configuration by itself once it is committed. */
  readonly auto_leave: boolean;
}

export type MemberChange =
  | { readonly type: 'add-voter'; readonly id: MemberId }
  | { readonly type: 'add-learner'; readonly id: MemberId }
  | { readonly type: 'remove'; readonly id: MemberId };

/** What a snapshot stands for: the state after applying every entry up to and including `index`. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: number;
  /**
   * Present on everything that a member with damaged storage says, with the reason (at most 200 characters kept): nothing
   * that it says counts for a commit, a read round, the lead's keeping or a vote.
   */
  readonly faulty?: string;
}

/**
 * What was found damaged in a member's storage (Alagappan et al., FAST 2018). Such a member may have lost what it had
 * acknowledged: it follows and applies, and neither votes nor counts until it was removed and added under a new number.
 */
export interface StorageFault {
  /** The damaged file, or `state image`. */
  readonly file: string;
  /** Where in the file, in bytes; 0 when all of it is. */
  readonly offset: number;
  /** The first log index that the damage may touch; 0: unknown. */
  readonly index: number;
  /** The end of the longest prefix of the log that passed every check; it lies in the files set aside. */
  readonly good_to: number;
  /** Term and vote, if a whole copy was found that nothing newer contradicts. For the report: the vote is not used again. */
  readonly hard_state: HardState | null;
  readonly reason: string;
}

/** A learner and those below it, as the leader wants them fed (docs/design/relays.md). */
export interface RelayBranch {
  readonly id: MemberId;
  readonly below: readonly RelayBranch[];
}

/** How far a learner is that a relay feeds: durable up to `match`, and the last heartbeat round that it answered. */
export interface RelayReport {
  readonly id: MemberId;
  readonly match: number;
  readonly round: number;
}

export type Message =
  | (Envelope & {
      readonly type: 'vote';
      /** A pre-vote asks without raising anybody's term (thesis, section 9.6). */
      readonly pre: boolean;
      readonly last_index: number;
      readonly last_term: number;
      /** Set on a leadership transfer: voters answer although they hear a leader (thesis, section 4.2.3). */
      readonly transfer: boolean;
    })
  | (Envelope & { readonly type: 'vote-reply'; readonly pre: boolean; readonly granted: boolean })
  | (Envelope & {
      readonly type: 'append';
      readonly prev_index: number;
      readonly prev_term: number;
      readonly entries: readonly Entry[];
      readonly commit: number;
      /** From a relay, not the leader: all entries are committed. The answer goes to the relay. */
      readonly relayed?: true;
    })
  | (Envelope & {
      readonly type: 'append-reply';
      readonly ok: boolean;
      /** ok: the last index known to match. Not ok: the rejected `prev_index`. */
      readonly index: number;
      /** Not ok: where the follower's log may agree (fast back-off, thesis section 3.5). */
      readonly hint_index: number;
      readonly hint_term: number;
    })
  | (Envelope & {
      readonly type: 'heartbeat';
      readonly commit: number;
      readonly round: number;
      /** The receiver is a relay or hangs below one: who leads, and whom to feed. */
      readonly relay?: { readonly leader: MemberId; readonly below: readonly RelayBranch[] };
    })
  | (Envelope & {
      readonly type: 'heartbeat-reply';
      readonly round: number;
      /** From a relay: those below it, as it heard them last. */
      readonly reports?: readonly RelayReport[];
    })
  /** The leader's log no longer reaches back far enough: the replica must send this snapshot in chunks. */
  | (Envelope & { readonly type: 'snapshot'; readonly meta: SnapshotMeta })
  | (Envelope & { readonly type: 'timeout-now' });

/** What the core wants done. Take it, do it in order, then tell the core. */
export interface Ready {
  /** Counts up; hand it back with `synced(seq)`. */
  readonly seq: number;
  /** Changed since the last one: persist together with `entries`, in one synced write. */
  readonly hard_state: HardState | null;
  /** Append to the log store, first dropping everything from `entries[0].index` on. */
  readonly entries: readonly Entry[];
  /** May leave at once. */
  readonly messages: readonly Message[];
  /** May leave only when `hard_state` and `entries` of this and all earlier Readys are durable. */
  readonly messages_after_sync: readonly Message[];
  /** Newly committed *and locally durable*: apply in order. */
  readonly committed: readonly Entry[];
  /** Reads whose quorum round is over: they may be answered once `index` is applied. */
  readonly reads: readonly { readonly context: number; readonly index: number }[];
  /** Reads that will never be answered here (leadership lost). */
  readonly reads_failed: readonly number[];
}

export interface CoreStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: number;
  /** 0 when unknown. */
  readonly leader: MemberId;
  readonly commit: number;
  readonly applied: number;
  readonly last_index: number;
  readonly configuration: Configuration;
  /** The members, this one included, that are known here to have damaged storage, and why: they neither vote nor count. */
  readonly faulty: readonly { readonly id: MemberId; readonly reason: string }[];
}

/** What a leader knows of one member. */
export interface MemberProgress {
  readonly id: MemberId;
  readonly match: number;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly learner: boolean;
  /** Heard within an election timeout, and not faulty. */
  readonly active: boolean;
  /** Its storage is damaged: `match` counts for nothing. */
  readonly faulty: boolean;
  /** The learner that feeds it: then `match` is what was reported a few heartbeats ago. Absent: the leader does. */
  readonly via?: MemberId;
}

/** Durable log. Implementations sync before resolving; a rejected promise is fatal for the replica. */
export interface LogStore {
  /** What was found on disk when the store was opened. */
  readonly initial: {
    readonly hard_state: HardState;
    /** The snapshot boundary: entries up to here are only in the state machine's image. */
    readonly snapshot: SnapshotMeta;
    readonly entries: readonly Entry[];
    /** Present when this log took the place of one that was damaged: the member must neither vote nor count. */
    readonly fault?: StorageFault;
  };
  /** Appends in one synced write; drops everything from `entries[0].index` on first. Calls may overlap: one sync serves all that wait. */
  append(hard_state: HardState | null, entries: readonly Entry[]): Promise<void>;
  /** Entries up to `meta.index` are in a durable image: they may be dropped, keeping `keep_entries` behind it where they exist. */
  compact(meta: SnapshotMeta, keep_entries: number): Promise<void>;
  /** An installed snapshot replaces the whole log. */
  reset(meta: SnapshotMeta, hard_state: HardState): Promise<void>;
  close(): Promise<void>;
}

/** The replicated state machine, as the replica sees it. `apply` is called in index order, never twice for an index in one life. */
export interface StateMachine {
  /** The highest index contained in the durable image when it was opened, with the term and configuration as of it. */
  readonly durable: SnapshotMeta;
  /** Applies committed entries; returns one result per entry (undefined for `empty` and `config`). Must not fail: a bad command has a result that says so. */
  apply(entries: readonly Entry[]): readonly unknown[];
  /** Called after `apply` for `config` entries too, so that the image can carry the configuration. */
  configuration(index: number, configuration: Configuration): void;
  /** Makes everything applied so far durable; resolves to what is durable. */
  flush(): Promise<SnapshotMeta>;
  /**
   * A consistent copy of the state as of now, in chunks of at most `chunk_bytes`. Cheap to begin. `chunks` may be iterated
   * more than once, also at the same time, and gives the same bytes each time, whatever is applied meanwhile.
   */
  snapshot(chunk_bytes: number): { readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> };
  /** Replaces the state by the chunks of a snapshot; verifies its hash; durable when it resolves. Rejects, with the old state kept, if they are bad; with an error that has a `code` (as those of the system have) if the disk failed, which is fatal. */
  restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Datagram-like transport between members: may lose, never corrupts (authenticated below), keeps order per pair while a connection lasts. */
export interface Transport {
  /** Queues bytes; drops them when the peer is down or its queue is full. Never throws. */
  send(to: MemberId, bytes: Uint8Array): void;
  onMessage(handler: (from: MemberId, bytes: Uint8Array) => void): void;
  /** Called with `true` when a connection to a peer is up, `false` at once when it closed. */
  onPeer(handler: (peer: MemberId, up: boolean) => void): void;
}

/** Time and chance, handed in so that a simulation can own both. */
export interface ReplicaEnv {
  /** Milliseconds on a clock that only goes forward and counts suspended time. */
  now_ms(): number;
  /** Calls `fn` once, in `delay_ms` at the earliest; returns a function that cancels it. */
  after(delay_ms: number, fn: () => void): () => void;
  /** Uniform in [0, 1). */
  random(): number;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>): void;
  /** Ends the process: an invariant is broken or the disk failed (`cause`). Never returns to the caller in production. */
  fatal(reason: string, cause?: unknown): void;
}

/** Where a snapshot waits while it arrives. Calls are made one after the other; errors carry the system's `code`. */
export interface SnapshotSpool {
  /** Empties it, also of what a former process left. */
  clear(): Promise<void>;
  /** Need not be durable. */
  append(bytes: Uint8Array): Promise<void>;
  /** All that was appended, in chunks of any size; fails rather than to give anything else. */
  read(): AsyncIterable<Uint8Array>;
}

/** The file operations of the log store; a real one in node/, a faulty one in sim/. Paths are relative to the store's directory. */
export interface LogDisk {
  list(): Promise<readonly string[]>;
  read(name: string): Promise<Uint8Array>;
  /** Creates or opens for writing at explicit offsets. */
  open(name: string): Promise<LogFile>;
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals durable. */
  syncDirectory(): Promise<void>;
}

export interface LogFile {
  write(offset: number, bytes: Uint8Array): Promise<void>;
  truncate(size: number): Promise<void>;
  /** fdatasync. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
