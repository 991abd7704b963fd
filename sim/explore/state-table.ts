/**
 * The states found so far, in the order in which they were found, as rows of numbers: what a state is made of, where it
 * came from, and its canonical form, under which it is looked up. States that are equal but for the members' names have
 * one canonical form. Nothing is hashed away: a state is only ever taken for another that has the same form.
 */
import type { Cluster, Move } from './cluster.ts';
import { permutations } from './names.ts';

const form_columns = 5;
const row_columns = form_columns + 5 + 4;

export interface Row {
  readonly members: readonly number[];
  readonly network: number;
  readonly chronicle: number;
  /** The number of the state it came from, and the input to whom; -1: nowhere. */
  readonly parent: number;
  readonly who: number;
  readonly input: number;
  readonly again: boolean;
}

export class StateTable {
  #rows = new Int32Array(row_columns * 1024);
  #slots = new Int32Array(4096).fill(-1);
  #size = 0;
  readonly #form = new Int32Array(form_columns);
  readonly #trial = new Int32Array(form_columns);

  get size(): number {
    return this.#size;
  }

  /** The number of the state, and whether it is new. */
  add(cluster: Cluster, parent: number, move: Move | null): { number: number; fresh: boolean } {
    this.#canonical(cluster);
    const slot = this.#slotOf(this.#form);
    const known = this.#slots[slot]!;
    if (known !== -1) return { number: known, fresh: false };
    const number = this.#size++;
    this.#slots[slot] = number;
    if ((number + 1) * row_columns > this.#rows.length) {
      const larger = new Int32Array(2 * this.#rows.length);
      larger.set(this.#rows);
      this.#rows = larger;
    }
    const { members, network, chronicle } = cluster;
    const [a, b, c] = members;
    const plain = [a!.number, b!.number, c!.number, network.number, chronicle.number];
    this.#rows.set(this.#form, number * row_columns);
    const from = move === null ? [-1, -1, 0] : [move.who, move.input.number, Number(move.again)];
    this.#rows.set([...plain, parent, ...from], number * row_columns + form_columns);
    if (2 * this.#size > this.#slots.length) this.#grow();
    return { number, fresh: true };
  }

  row(number: number): Row {
    const at = number * row_columns + form_columns;
    const [a, b, c, network, chronicle, parent, who, input, again] = this.#rows.subarray(at, at + 9);
    return {
      members: [a!, b!, c!],
      network: network!,
      chronicle: chronicle!,
      parent: parent!,
      who: who!,
      input: input!,
      again: again === 1,
    };
  }

  /** The smallest of the forms under all renamings (Clarke, Emerson, Jha and Sistla, "Symmetry Reductions in Model Checking", 1998). */
  #canonical({ members, network, chronicle }: Cluster): void {
    const trial = this.#trial;
    for (let p = 0; p < permutations.length; p++) {
      const permutation = permutations[p]!;
      for (let i = 0; i < members.length; i++) trial[permutation[i]! - 1] = members[i]!.classes[p]!;
      trial[3] = network.classes[p]!;
      trial[4] = chronicle.classes[p]!;
      if (p === 0 || isLess(trial, this.#form)) this.#form.set(trial);
    }
  }

  #slotOf(form: Int32Array): number {
    let hash = 0;
    for (const number of form) {
      hash = Math.imul(hash ^ number, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let number = this.#slots[slot]!; number !== -1; number = this.#slots[slot]!) {
      if (this.#has(number, form)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #has(number: number, form: Int32Array): boolean {
    const at = number * row_columns;
    for (let i = 0; i < form_columns; i++) if (this.#rows[at + i] !== form[i]) return false;
    return true;
  }

  #grow(): void {
    this.#slots = new Int32Array(2 * this.#slots.length).fill(-1);
    for (let number = 0; number < this.#size; number++) {
      const at = number * row_columns;
      this.#slots[this.#slotOf(this.#rows.slice(at, at + form_columns))] = number;
    }
  }
}

function isLess(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}
