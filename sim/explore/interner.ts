/**
 * Numbers for things with texts: equal text, same number. For each of them and each renaming of the members also the
 * number of its renamed text (its class), which may belong to a thing that never occurred.
 */
import { permutations, renamed } from './names.ts';

export class Classes {
  readonly #numbers = new Map<string, number>();

  /** The class of the text under each of {@link permutations}, in their order. */
  of(text: string): Int32Array {
    return Int32Array.from(permutations, (permutation) => this.number(renamed(text, permutation)));
  }

  number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}

export interface Interned<T> {
  readonly number: number;
  readonly text: string;
  readonly classes: Int32Array;
  readonly value: T;
}

export class Interner<T> {
  readonly #known = new Map<string, Interned<T>>();
  readonly #list: Interned<T>[] = [];
  readonly #classes: Classes;

  constructor(classes: Classes) {
    this.#classes = classes;
  }

  get size(): number {
    return this.#list.length;
  }

  intern(text: string, value: () => T): Interned<T> {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const made = { number: this.#list.length, text, classes: this.#classes.of(text), value: value() };
    this.#known.set(text, made);
    this.#list.push(made);
    return made;
  }

  find(text: string): Interned<T> | undefined {
    return this.#known.get(text);
  }

  /** @param number one that {@link intern} gave */
  at(number: number): Interned<T> {
    return this.#list[number]!;
  }
}
