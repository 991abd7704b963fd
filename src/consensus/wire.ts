/**
 * Frames between replicas: MessagePack arrays in a versioned envelope `[version, type, from, to, term, …fields]`.
 * Decoding trusts nothing: every length, number and list is checked before it is used, and a bad frame is a
 * {@link WireError} that says which field, never a half-built message.
 */
import { Packr } from 'msgpackr';
import type {
  Configuration,
  Entry,
  EntryKind,
  MemberId,
  Message,
  RelayBranch,
  RelayReport,
  SnapshotMeta,
} from './types.ts';

export const wire_version = 1;
/** Limits of a frame: its bytes, entries in one append, members in one list. */
export const wire_limits = {
  frame_bytes: 24 * 1024 * 1024,
  entries: 65_536,
  members: 4096,
  /** Levels of relays below a relay. */
  relay_levels: 4,
  /** Characters of the reason that a member with damaged storage gives. */
  reason: 200,
} as const;

/** How a snapshot travels: offered, sent in chunks, and acknowledged chunk by chunk. */
export type TransferFrame =
  | {
      readonly type: 'snapshot-offer';
      readonly from: MemberId;
      readonly to: MemberId;
      readonly term: number;
      /** Chosen by the sender; all frames of one transfer carry it. */
      readonly transfer: number;
      readonly meta: SnapshotMeta;
    }
  | {
      readonly type: 'snapshot-chunk';
      readonly from: MemberId;
      readonly to: MemberId;
      readonly term: number;
      readonly transfer: number;
      /** From 0, without gaps. */
      readonly sequence: number;
      readonly data: Uint8Array;
      /** SHA-256 of all chunks together, in the last one; empty before. */
      readonly hash: Uint8Array;
    }
  | {
      readonly type: 'snapshot-ack';
      readonly from: MemberId;
      readonly to: MemberId;
      readonly term: number;
      readonly transfer: number;
      /** The chunk wanted next. */
      readonly next: number;
      readonly state: 'more' | 'busy' | 'done' | 'failed';
    };

export type Frame = Message | TransferFrame;

export class WireError extends Error {
  constructor(message: string) {
    super(`bad frame: ${message}`);
    this.name = 'WireError';
  }
}

const types = [
  'vote',
  'vote-reply',
  'append',
  'append-reply',
  'heartbeat',
  'heartbeat-reply',
  'snapshot',
  'timeout-now',
  'snapshot-offer',
  'snapshot-chunk',
  'snapshot-ack',
] as const satisfies readonly Frame['type'][];
const entry_kinds = ['empty', 'command', 'config'] as const satisfies readonly EntryKind[];
const ack_states = ['more', 'busy', 'done', 'failed'] as const;

// Shared structures are stateful between messages; frames must each stand alone.
const packer = new Packr({ useRecords: false });

/** The bytes of a frame. */
export function encodeFrame(frame: Frame): Uint8Array {
  const packed = packer.pack([
    wire_version,
    types.indexOf(frame.type),
    frame.from,
    frame.to,
    frame.term,
    ...fieldsOf(frame),
    // Only when there is a fault: a reader that does not know of it drops the frame, and so counts nothing.
    ...('faulty' in frame && frame.faulty !== undefined ? [frame.faulty.slice(0, wire_limits.reason)] : []),
  ]);
  return new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
}

function fieldsOf(frame: Frame): readonly unknown[] {
  switch (frame.type) {
    case 'vote':
      return [frame.pre, frame.last_index, frame.last_term, frame.transfer];
    case 'vote-reply':
      return [frame.pre, frame.granted];
    case 'append':
      return [
        frame.prev_index,
        frame.prev_term,
        frame.commit,
        frame.entries.map(packEntry),
        ...(frame.relayed === true ? [true] : []),
      ];
    case 'append-reply':
      return [frame.ok, frame.index, frame.hint_index, frame.hint_term];
    case 'heartbeat':
      return [frame.commit, frame.round, ...(frame.relay === undefined ? [] : [packRelay(frame.relay)])];
    case 'heartbeat-reply':
      return [frame.round, ...(frame.reports === undefined ? [] : [packReports(frame.reports)])];
    case 'snapshot':
      return [packMeta(frame.meta)];
    case 'timeout-now':
      return [];
    case 'snapshot-offer':
      return [frame.transfer, packMeta(frame.meta)];
    case 'snapshot-chunk':
      return [frame.transfer, frame.sequence, frame.data, frame.hash];
    case 'snapshot-ack':
      return [frame.transfer, frame.next, ack_states.indexOf(frame.state)];
    default:
      return frame satisfies never;
  }
}

/** Reads a frame. @throws {@link WireError} */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length > wire_limits.frame_bytes) {
    throw new WireError(`${bytes.length} bytes, at most ${wire_limits.frame_bytes} expected`);
  }
  const fields = new Fields(unpackArray(bytes, 'frame'), 'frame');
  const version = fields.number('version');
  if (version !== wire_version) throw new WireError(`version ${version}, expected ${wire_version}`);
  const type = types[fields.number('type')];
  if (type === undefined) throw new WireError('unknown type');
  const envelope = { from: fields.member('from'), to: fields.member('to'), term: fields.number('term') };
  const frame = decodeFields(type, envelope, fields);
  if (fields.left === 0 || isTransfer(frame)) {
    fields.end();
    return frame;
  }
  const faulty = fields.text('faulty', wire_limits.reason);
  fields.end();
  return { ...frame, faulty };
}

function isTransfer(frame: Frame): frame is TransferFrame {
  return frame.type === 'snapshot-offer' || frame.type === 'snapshot-chunk' || frame.type === 'snapshot-ack';
}

function decodeFields(
  type: Frame['type'],
  envelope: { from: MemberId; to: MemberId; term: number },
  f: Fields,
): Frame {
  switch (type) {
    case 'vote': {
      const pre = f.boolean('pre');
      const [last_index, last_term] = [f.number('last_index'), f.number('last_term')];
      return { ...envelope, type, pre, last_index, last_term, transfer: f.boolean('transfer') };
    }
    case 'vote-reply':
      return { ...envelope, type, pre: f.boolean('pre'), granted: f.boolean('granted') };
    case 'append': {
      const [prev_index, prev_term] = [f.number('prev_index'), f.number('prev_term')];
      const commit = f.number('commit');
      const entries = unpackEntries(
        f.list('entries', wire_limits.entries),
        prev_index,
        prev_term,
        envelope.term,
      );
      const relayed = f.nextIsTrue && f.boolean('relayed');
      const append = { ...envelope, type, prev_index, prev_term, commit, entries } as const;
      return relayed ? { ...append, relayed } : append;
    }
    case 'append-reply': {
      const [ok, index] = [f.boolean('ok'), f.number('index')];
      return {
        ...envelope,
        type,
        ok,
        index,
        hint_index: f.number('hint_index'),
        hint_term: f.number('hint_term'),
      };
    }
    case 'heartbeat': {
      const heartbeat = { ...envelope, type, commit: f.number('commit'), round: f.number('round') } as const;
      return f.nextIsList ? { ...heartbeat, relay: unpackRelay(f.list('relay', 2)) } : heartbeat;
    }
    case 'heartbeat-reply': {
      const reply = { ...envelope, type, round: f.number('round') } as const;
      if (!f.nextIsList) return reply;
      return { ...reply, reports: unpackReports(f.list('reports', 3 * wire_limits.members)) };
    }
    case 'snapshot':
      return { ...envelope, type, meta: unpackMeta(f.list('meta', 8)) };
    case 'timeout-now':
      return { ...envelope, type };
    case 'snapshot-offer':
      return { ...envelope, type, transfer: f.number('transfer'), meta: unpackMeta(f.list('meta', 8)) };
    case 'snapshot-chunk': {
      const [transfer, sequence] = [f.number('transfer'), f.number('sequence')];
      const [data, hash] = [f.bytes('data'), f.bytes('hash')];
      if (hash.length !== 0 && hash.length !== 32) throw new WireError(`hash of ${hash.length} bytes`);
      return { ...envelope, type, transfer, sequence, data, hash };
    }
    case 'snapshot-ack': {
      const [transfer, next] = [f.number('transfer'), f.number('next')];
      const state = ack_states[f.number('state')];
      if (state === undefined) throw new WireError('unknown state');
      return { ...envelope, type, transfer, next, state };
    }
    default:
      return type satisfies never;
  }
}

/** A snapshot's meta as plain arrays, for frames and for the log store's snapshot file. */
export function packMeta(meta: SnapshotMeta): readonly unknown[] {
  return [meta.index, meta.term, packConfiguration(meta.configuration)];
}

/** @throws {@link WireError} */
export function unpackMeta(value: readonly unknown[]): SnapshotMeta {
  const f = new Fields(value, 'meta');
  const [index, term] = [f.number('index'), f.number('term')];
  const configuration = unpackConfiguration(f.list('configuration', 8));
  f.end();
  return { index, term, configuration };
}

function packConfiguration(c: Configuration): readonly unknown[] {
  return [c.voters, c.voters_outgoing, c.learners, c.learners_next, c.auto_leave];
}

function unpackConfiguration(value: readonly unknown[]): Configuration {
  const f = new Fields(value, 'configuration');
  const [voters, voters_outgoing] = [f.members('voters'), f.members('voters_outgoing')];
  const [learners, learners_next] = [f.members('learners'), f.members('learners_next')];
  const auto_leave = f.boolean('auto_leave');
  f.end();
  return { voters, voters_outgoing, learners, learners_next, auto_leave };
}

function packEntry(entry: Entry): readonly unknown[] {
  return [entry.index, entry.term, entry_kinds.indexOf(entry.kind), entry.data];
}

function unpackEntries(
  list: readonly unknown[],
  prev_index: number,
  prev_term: number,
  term: number,
): readonly Entry[] {
  let last = { index: prev_index, term: prev_term };
  return list.map((item) => {
    if (!Array.isArray(item)) throw new WireError('an entry is no list');
    const f = new Fields(item, 'entry');
    const entry = { index: f.number('index'), term: f.number('term') };
    const kind = entry_kinds[f.number('kind')];
    if (kind === undefined) throw new WireError('entry of an unknown kind');
    const data = f.bytes('data');
    f.end();
    if (entry.index !== last.index + 1) throw new WireError(`entry ${entry.index} after ${last.index}`);
    if (entry.term < last.term || entry.term > term)
      throw new WireError(`entry of term ${entry.term} in ${term}`);
    last = entry;
    return { ...entry, kind, data };
  });
}

function packRelay(relay: { leader: MemberId; below: readonly RelayBranch[] }): readonly unknown[] {
  return [relay.leader, relay.below.map(packBranch)];
}

/** A leaf is its number, any other a list that begins with it. */
function packBranch({ id, below }: RelayBranch): unknown {
  return below.length === 0 ? id : [id, ...below.map(packBranch)];
}

function unpackRelay(value: readonly unknown[]): { leader: MemberId; below: readonly RelayBranch[] } {
  const f = new Fields(value, 'relay');
  const leader = f.member('leader');
  const below = f.list('below', wire_limits.members).map((branch) => unpackBranch(branch, 1));
  f.end();
  return { leader, below };
}

function unpackBranch(value: unknown, level: number): RelayBranch {
  if (level > wire_limits.relay_levels) throw new WireError(`relays in more than ${level - 1} levels`);
  const f = new Fields(Array.isArray(value) ? value : [value], 'branch');
  const id = f.member('id');
  return { id, below: f.rest('below', wire_limits.members).map((branch) => unpackBranch(branch, level + 1)) };
}

function packReports(reports: readonly RelayReport[]): readonly number[] {
  return reports.flatMap(({ id, match, round }) => [id, match, round]);
}

function unpackReports(values: readonly unknown[]): readonly RelayReport[] {
  const f = new Fields(values, 'reports');
  const reports: RelayReport[] = [];
  while (f.left > 0) reports.push({ id: f.member('id'), match: f.number('match'), round: f.number('round') });
  return reports;
}

/** Packs an array of plain values. */
export function packArray(value: readonly unknown[]): Uint8Array {
  const packed = packer.pack(value);
  return new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
}

/** Unpacks what must be an array. @throws {@link WireError} */
export function unpackArray(bytes: Uint8Array, what: string): readonly unknown[] {
  let value: unknown;
  try {
    value = packer.unpack(bytes);
  } catch (error) {
    throw new WireError(`${what} is not MessagePack: ${String(error)}`);
  }
  if (!Array.isArray(value)) throw new WireError(`${what} is no list`);
  return value;
}

/** Takes fields off a list one by one, each checked. */
class Fields {
  readonly #values: readonly unknown[];
  readonly #what: string;
  #at = 0;

  constructor(values: readonly unknown[], what: string) {
    this.#values = values;
    this.#what = what;
  }

  get left(): number {
    return this.#values.length - this.#at;
  }

  /** Whether the next field is there and a list: what only relays say comes before the text that damaged members add. */
  get nextIsList(): boolean {
    return Array.isArray(this.#values[this.#at]);
  }

  get nextIsTrue(): boolean {
    return this.#values[this.#at] === true;
  }

  number(name: string): number {
    const value = this.#take();
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw this.#wrong(name, 'a non-negative integer', value);
    }
    return value;
  }

  member(name: string): MemberId {
    const value = this.number(name);
    if (value === 0) throw this.#wrong(name, 'a member', value);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#take();
    if (typeof value !== 'boolean') throw this.#wrong(name, 'true or false', value);
    return value;
  }

  text(name: string, max: number): string {
    const value = this.#take();
    if (typeof value !== 'string' || value.length > max)
      throw this.#wrong(name, `text of at most ${max} characters`, value);
    return value;
  }

  bytes(name: string): Uint8Array {
    const value = this.#take();
    if (!(value instanceof Uint8Array)) throw this.#wrong(name, 'bytes', value);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }

  list(name: string, max: number): readonly unknown[] {
    const value = this.#take();
    if (!Array.isArray(value) || value.length > max)
      throw this.#wrong(name, `a list of at most ${max}`, value);
    return value;
  }

  /** A sorted list of distinct members. */
  members(name: string): readonly MemberId[] {
    let last = 0;
    return this.list(name, wire_limits.members).map((value) => {
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= last) {
        throw this.#wrong(name, 'sorted, distinct members', value);
      }
      last = value;
      return value;
    });
  }

  /** All that is left. */
  rest(name: string, max: number): readonly unknown[] {
    if (this.left > max) throw this.#wrong(name, `a list of at most ${max}`, this.left);
    const rest = this.#values.slice(this.#at);
    this.#at = this.#values.length;
    return rest;
  }

  end(): void {
    if (this.#at !== this.#values.length)
      throw new WireError(`${this.#what} has ${this.#values.length} fields`);
  }

  #take(): unknown {
    if (this.#at >= this.#values.length) throw new WireError(`${this.#what} ends after ${this.#at} fields`);
    return this.#values[this.#at++];
  }

  #wrong(name: string, expected: string, value: unknown): WireError {
    const shown = typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value;
    return new WireError(`${this.#what}.${name} is ${shown}, expected ${expected}`);
  }
}
