/**
 * Is the history of one register linearizable? The search of Wing and Gong ("Testing and verifying concurrent objects",
 * 1993) with configurations (operations that have taken effect, state) each looked at once, and with an operation placed
 * only when one must be: at the latest when it returns (Lowe, "Testing for linearizability", 2017, sections 4 and 6). It
 * goes through the history in the order of time and holds the set of all configurations that are possible so far; at a
 * moment in which nothing is open that set is the register's possible values, so a history falls apart there by itself.
 *
 * What keeps the set small, none of which changes the answer:
 * - An operation that can happen without changing anything happens at once.
 * - An operation of unknown outcome happens only just before one that needs it. It may be late, so it is free to wait;
 *   and what it set is noticed at once or never. Of equal ones the oldest goes first; of two configurations that differ
 *   only in which of them have happened, the one with fewer stands for both.
 * - A configuration dies when a value is overwritten that a known operation has still to find and none will set again.
 * - A write whose value can matter to nobody happens unseen just before another, where it can.
 */

import { type Configuration, Seen } from './configuration.ts';
import { IntSets } from './int-sets.ts';
import { describeOperation, type Operation } from './operation.ts';
import { markOverwrites } from './overwrites.ts';
import { canHappen, isInert, type Step, toStep } from './step.ts';
import { type Value, Values } from './values.ts';

const sweep_values = 4_096;
const most_sets = 65_536;
/** How many operations ahead are looked through for failed compare-and-sets. */
const look_ahead = 64;

export class RegisterSearch {
  readonly #values = new Values();
  #open_sets = new IntSets();
  #unknown_sets = new IntSets();
  #incoming: Step[] = [];
  #queue: Step[] = [];
  #next = 0;
  /** Steps that end after the known part of the history. */
  #late: Step[] = [];
  /** Open operations by their end, and the same by slot. */
  readonly #open: Step[] = [];
  readonly #slots: (Step | null)[] = [];
  #unknowns: Step[] = [];
  #unknown_count = 0;
  #configurations: Configuration[];
  #known_to = Number.NEGATIVE_INFINITY;
  /** Call of the first failed compare-and-set that may yet need a particular value to be there; set for each search. */
  #next_miss = Number.NEGATIVE_INFINITY;
  #sweep_at = sweep_values;
  /** Values for whose sake the last search gave configurations up. */
  readonly #dead = new Set<Value>();
  #failure: string | null = null;

  constructor(initial: unknown) {
    this.#configurations = [{ state: this.#values.of(initial), done: 0, used: 0 }];
  }

  /** Why the history so far is not linearizable; null: it is. */
  get failure(): string | null {
    return this.#failure;
  }

  /** @throws RangeError: it begins before a time up to which all was said to be known, or ends before it begins. */
  add(op: Operation): void {
    if (!(op.call >= this.#known_to)) {
      throw new RangeError(
        `${describeOperation(op)} comes after all before ${this.#known_to} was said to be known`,
      );
    }
    if (this.#failure !== null) return;
    const step = toStep(op, this.#values);
    if (step !== null) this.#incoming.push(step);
  }

  /** All operations called before `time` have been added. */
  advance(time: number): void {
    if (time <= this.#known_to || this.#failure !== null) return;
    this.#known_to = time;
    this.#take();
    for (;;) {
      const call = this.#queue[this.#next]?.call ?? Number.POSITIVE_INFINITY;
      const end = this.#open[0]?.end ?? Number.POSITIVE_INFINITY;
      if (Math.min(call, end) >= time) break;
      if (call <= end) this.#begin(this.#queue[this.#next++]!);
      else this.#end(this.#open[0]!);
      if (this.#failure !== null) {
        this.#drop();
        return;
      }
    }
    this.#queue = this.#queue.slice(this.#next);
    this.#next = 0;
    if (this.#values.size > this.#sweep_at) {
      this.#values.sweep(new Set(this.#configurations.map(({ state }) => state)));
      this.#sweep_at = 2 * this.#values.size + sweep_values;
    }
  }

  #take(): void {
    const incoming = this.#incoming.sort((a, b) => a.call - b.call);
    this.#incoming = [];
    for (const step of incoming) {
      this.#queue.push(step);
      if (step.sets) step.sets.sources++;
      if (step.sees) step.sees.mentions++;
      if (step.misses) step.misses.mentions++;
    }
    const late: Step[] = [];
    for (const step of [...this.#late, ...incoming]) {
      if (step.end === Number.POSITIVE_INFINITY) continue;
      if (step.end >= this.#known_to) {
        late.push(step);
        continue;
      }
      step.counted = true;
      if (step.sees) step.sees.seen++;
    }
    this.#late = late;
    markOverwrites([...this.#open, ...this.#queue], this.#queue, this.#known_to);
  }

  #begin(step: Step): void {
    if (step.end === Number.POSITIVE_INFINITY) {
      step.slot = this.#unknown_count++;
      this.#unknowns.push(step);
      step.sets!.unknowns.push(step);
      return;
    }
    const free = this.#slots.indexOf(null);
    step.slot = free === -1 ? this.#slots.length : free;
    this.#slots[step.slot] = step;
    let at = this.#open.length;
    while (at > 0 && this.#open[at - 1]!.end > step.end) at--;
    this.#open.splice(at, 0, step);
    this.#configurations = this.#configurations.map((c) =>
      isInert(step, c.state) ? { ...c, done: this.#open_sets.with(c.done, step.slot) } : c,
    );
  }

  #end(step: Step): void {
    const reached = this.#search(step);
    if (reached.length === 0) {
      this.#failure = this.#why(step);
      return;
    }
    this.#open.shift();
    this.#slots[step.slot] = null;
    if (step.sets) step.sets.sources--;
    if (step.sees) {
      step.sees.mentions--;
      if (step.counted) step.sees.seen--;
    }
    if (step.misses) step.misses.mentions--;
    this.#configurations = this.#least(
      reached.map((c) => ({ ...c, done: this.#open_sets.without(c.done, step.slot) })),
    );
    if (this.#configurations.length === 1) this.#settle(this.#configurations[0]!);
  }

  /** One configuration only: what has happened in it has happened. */
  #settle(only: Configuration): void {
    if (only.used === 0 && (only.done !== 0 || this.#open_sets.size < most_sets)) return;
    if (only.used !== 0) {
      for (const slot of this.#unknown_sets.members(only.used)) {
        const step = this.#unknowns.find((unknown) => unknown.slot === slot)!;
        step.sets!.unknowns.splice(step.sets!.unknowns.indexOf(step), 1);
        step.sets!.sources--;
        if (step.sees) step.sees.mentions--;
      }
      const { used } = only;
      this.#unknowns = this.#unknowns.filter((step) => !this.#unknown_sets.has(used, step.slot));
      this.#unknown_sets = new IntSets();
      this.#configurations = [{ ...only, used: 0 }];
    }
    if (only.done === 0) this.#open_sets = new IntSets();
  }

  /** All configurations that can be reached from the present ones by placing open operations, `last` at the end. */
  #search(last: Step): readonly Configuration[] {
    const reached: Configuration[] = [];
    const work: Configuration[] = [];
    for (const c of this.#configurations) {
      (this.#open_sets.has(c.done, last.slot) ? reached : work).push(c);
    }
    if (work.length === 0) return reached;
    this.#next_miss = this.#nextMiss();
    this.#dead.clear();
    const seen = new Seen();
    for (const c of work) seen.isNew(c);
    const visit = (c: Configuration | null): void => {
      if (c === null || !seen.isNew(c)) return;
      (this.#open_sets.has(c.done, last.slot) ? reached : work).push(c);
    };
    for (let c = work.pop(); c !== undefined; c = work.pop()) {
      for (const step of this.#open) {
        if (this.#open_sets.has(c.done, step.slot) || !canHappen(step, c.state)) continue;
        visit(this.#after(c, step, this.#open_sets.with(c.done, step.slot), c.used));
      }
      if (this.#unknowns.length === 0) continue;
      for (const step of this.#useful(c)) {
        visit(this.#after(c, step, c.done, this.#unknown_sets.with(c.used, step.slot)));
      }
    }
    return reached;
  }

  /** The configuration after `step` happened; null: it leads nowhere. */
  #after(c: Configuration, step: Step, done: number, used: number): Configuration | null {
    const state = step.sets ?? c.state;
    let all = done;
    if (state !== c.state && this.#isDead(c.state, done)) {
      this.#dead.add(c.state);
      return null;
    }
    for (const other of this.#open) {
      const unseen = step.sees === null && step.sets !== null && this.#isBlind(other);
      if (unseen || isInert(other, state)) all = this.#open_sets.with(all, other.slot);
    }
    return { state, done: all, used };
  }

  /** A known operation has still to find this value, and nothing will set it again. */
  #isDead(value: Value, done: number): boolean {
    if (value.seen === 0) return false;
    let { seen, sources } = value;
    for (const slot of this.#open_sets.members(done)) {
      const step = this.#slots[slot]!;
      if (step.sees === value && step.counted) seen--;
      if (step.sets === value) sources--;
    }
    return seen > 0 && sources <= 0;
  }

  /**
   * A write that nobody has noticed or will: its value is mentioned nowhere, and for as long as it could be there no
   * compare-and-set fails only thanks to it.
   */
  #isBlind(step: Step): boolean {
    return (
      step.sees === null &&
      step.sets !== null &&
      step.sets.mentions === 0 &&
      (step.gone < this.#next_miss || this.#next_miss === Number.POSITIVE_INFINITY)
    );
  }

  /** Infinity: none will, and all of the history is known. */
  #nextMiss(): number {
    const states = new Set(this.#configurations.map(({ state }) => state));
    const isHard = ({ misses }: Step): boolean =>
      misses !== null && (misses.sources > 0 || states.has(misses));
    const undone = (step: Step): boolean =>
      this.#configurations.some((c) => !this.#open_sets.has(c.done, step.slot));
    if (this.#open.some((step) => isHard(step) && undone(step))) return Number.NEGATIVE_INFINITY;
    const until = Math.min(this.#next + look_ahead, this.#queue.length);
    for (let at = this.#next; at < until; at++) if (isHard(this.#queue[at]!)) return this.#queue[at]!.call;
    return this.#queue[until]?.call ?? this.#known_to;
  }

  /** Operations of unknown outcome that are worth placing now: something open needs them, or what they lead to. */
  #useful(c: Configuration): readonly Step[] {
    const needed = new Set<Value>();
    let leave = false;
    for (const step of this.#open) {
      if (this.#open_sets.has(c.done, step.slot)) continue;
      if (step.sees !== null && step.sees !== c.state) needed.add(step.sees);
      if (step.misses === c.state) leave = true;
    }
    const useful: Step[] = [];
    for (const value of needed) {
      let written = false;
      for (const step of value.unknowns) {
        if (this.#unknown_sets.has(c.used, step.slot)) continue;
        if (step.sees === null) {
          if (!written) useful.push(step);
          written = true;
        } else if (step.sees === c.state) useful.push(step);
        else needed.add(step.sees);
      }
    }
    if (leave) useful.push(...this.#waysOut(c));
    return useful;
  }

  /** To leave the present value at all, any will do; of those that set what nobody mentions the oldest stands for all. */
  #waysOut(c: Configuration): readonly Step[] {
    const ways: Step[] = [];
    let plain = false;
    for (const step of this.#unknowns) {
      if (step.sets === c.state || !canHappen(step, c.state) || this.#unknown_sets.has(c.used, step.slot))
        continue;
      const unmentioned = step.sees === null && step.sets!.mentions === 0;
      if (unmentioned && plain) continue;
      plain ||= unmentioned;
      ways.push(step);
    }
    return ways;
  }

  /** Without doubles, and without those that are another with more of the unknown used up. */
  #least(all: readonly Configuration[]): Configuration[] {
    if (all.length < 2) return [...all];
    const seen = new Seen();
    const distinct = all.filter((c) => seen.isNew(c));
    if (distinct.every((c) => c.used === distinct[0]!.used)) return distinct;
    return distinct.filter((c) => {
      const alike = seen.alike(c);
      return !alike.some((used) => used !== c.used && this.#unknown_sets.isSubset(used, c.used));
    });
  }

  #why(step: Step): string {
    const states = [...new Set(this.#configurations.map(({ state }) => JSON.stringify(state.shown)))];
    const could = `the register could only hold ${states.slice(0, 5).join(' or ')}${states.length > 5 ? ' or others' : ''}`;
    const lost = [...this.#open, ...this.#queue.slice(this.#next)].find(
      (other) => other.counted && other !== step && other.sees !== null && this.#dead.has(other.sees),
    );
    if (lost === undefined) return `${describeOperation(step.op)} cannot be placed: ${could}`;
    return `${describeOperation(lost.op)} and ${describeOperation(step.op)} cannot both be placed: what the one found is overwritten before the other can happen, and not set again`;
  }

  /** After a failure nothing is looked at any more. */
  #drop(): void {
    this.#queue = [];
    this.#incoming = [];
    this.#late = [];
    this.#open.length = 0;
  }
}
