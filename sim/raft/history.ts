/**
 * What clients saw, in the order they saw it. Every call and every return has a time of its own, so that "before" is
 * never in doubt: what happened in one moment of virtual time stands a microsecond apart. Registers go to the linearizability checker; lists are checked here: appends of unique values make a
 * list whose every state is a prefix of the last one, which tells the whole order (as in Elle, Kingsbury and Alvaro,
 * VLDB 2020).
 */
import type { Operation } from '../history/check.ts';
import type { Value } from './kv.ts';

export type Outcome = 'ok' | 'failed' | 'unknown';

export interface Op {
  readonly id: number;
  readonly client: number;
  readonly type: 'get' | 'put' | 'cas' | 'append';
  readonly key: string;
  readonly value: number | null;
  readonly expected: number | null;
  /** Both in microseconds. */
  readonly call: number;
  /** 0 while it is under way. */
  return: number;
  outcome: Outcome;
  result: Value | boolean;
}

export class History {
  readonly ops: Op[] = [];
  /** By client and key: what its last read of a register saw. */
  readonly #seen = new Map<string, number>();
  readonly #clock_us: () => number;
  #last_us = 0;

  /** @param clock_us virtual time */
  constructor(clock_us: () => number) {
    this.#clock_us = clock_us;
  }

  begin(client: number, type: Op['type'], key: string, value: number | null, expected: number | null): Op {
    const id = this.ops.length + 1;
    const call = this.#moment();
    const op: Op = {
      id,
      client,
      type,
      key,
      value,
      expected,
      call,
      return: 0,
      outcome: 'unknown',
      result: null,
    };
    this.ops.push(op);
    return op;
  }

  end(op: Op, outcome: Outcome, result: Value | boolean = null): void {
    op.return = this.#moment();
    op.outcome = outcome;
    op.result = result;
    if (op.type === 'get' && outcome === 'ok' && typeof result === 'number')
      this.#seen.set(`${op.client} ${op.key}`, result);
  }

  #moment(): number {
    this.#last_us = Math.max(this.#last_us + 1, Math.floor(this.#clock_us()));
    return this.#last_us;
  }

  /** What this client last saw in a register; null: nothing. */
  lastSeen(client: number, key: string): number | null {
    return this.#seen.get(`${client} ${key}`) ?? null;
  }

  /** The register operations; what failed for sure and reads without an answer are no part of it. */
  get operations(): readonly Operation[] {
    const kinds = { get: 'read', put: 'write', cas: 'cas' } as const;
    const list: Operation[] = [];
    for (const op of this.ops) {
      if (op.type === 'append' || op.key.startsWith('list')) continue;
      if (op.outcome === 'failed' || (op.type === 'get' && op.outcome !== 'ok')) continue;
      const { client, key, value, expected, call, result } = op;
      const ended = op.outcome === 'ok' ? op.return : null;
      list.push({ client, kind: kinds[op.type], key, value, expected, result, call, return: ended });
    }
    return list;
  }

  /** What is wrong with the lists, given what they hold at the end; null: nothing. */
  brokenLists(final: (key: string) => Value): string | null {
    const keys = new Set(this.ops.filter((op) => op.key.startsWith('list')).map((op) => op.key));
    for (const key of keys) {
      const last = final(key);
      const problem = brokenList(
        this.ops.filter((op) => op.key === key),
        Array.isArray(last) ? last : [],
      );
      if (problem !== null) return `${key}: ${problem}`;
    }
    return null;
  }
}

function brokenList(ops: readonly Op[], final: readonly number[]): string | null {
  const place = new Map(final.map((value, i) => [value, i]));
  if (place.size !== final.length) return 'an append took effect twice';
  // In the order of events: what must be in a list that is asked for now, and how long it was seen already.
  const events = ops
    .flatMap((op) => [
      { at: op.call, op, ended: false },
      { at: op.return, op, ended: true },
    ])
    .filter((event) => event.at > 0)
    .sort((a, b) => a.at - b.at);
  const floor_at_call = new Map<number, number>();
  let floor = 0;
  for (const { op, ended } of events) {
    if (!ended) {
      floor_at_call.set(op.id, floor);
      continue;
    }
    const least = floor_at_call.get(op.id)!;
    if (op.type === 'append') {
      const at = place.get(op.value!);
      if (op.outcome === 'failed' && at !== undefined) return `append ${op.id} failed for sure and is there`;
      if (op.outcome !== 'ok') continue;
      if (at === undefined) return `append ${op.id} was acknowledged and is lost`;
      if (at < least) return `append ${op.id} stands before one acknowledged earlier`;
      floor = Math.max(floor, at + 1);
    } else if (op.outcome === 'ok') {
      const seen = Array.isArray(op.result) ? op.result : [];
      if (seen.some((value, i) => final[i] !== value)) return `read ${op.id} saw what never was`;
      if (seen.length < least) return `read ${op.id} saw ${seen.length} items, ${least} were known: stale`;
      floor = Math.max(floor, seen.length);
    }
  }
  // Nothing is seen before it was asked for.
  const called = new Map(ops.filter((op) => op.type === 'append').map((op) => [op.value, op.call]));
  for (const op of ops) {
    if (op.type !== 'get' || !Array.isArray(op.result)) continue;
    const early = op.result.find((value) => (called.get(value) ?? Number.POSITIVE_INFINITY) > op.return);
    if (early !== undefined) return `read ${op.id} saw ${early} before it was appended`;
  }
  return null;
}
