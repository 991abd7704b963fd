/**
 * Sets of small whole numbers as numbers: the same members always have the same id, 0 is the empty set. So a configuration
 * of the search is compared by comparing ids. Adding and removing are remembered and cost one look-up.
 */

const element_span = 2 ** 21;

export class IntSets {
  readonly #members: (readonly number[])[] = [[]];
  readonly #ids = new Map<string, number>([['', 0]]);
  readonly #added = new Map<number, number>();
  readonly #removed = new Map<number, number>();

  /** How many sets are known: what the table costs. */
  get size(): number {
    return this.#members.length;
  }

  /** Members in rising order. */
  members(id: number): readonly number[] {
    const members = this.#members[id];
    if (members === undefined) throw new Error(`no set ${id}`);
    return members;
  }

  has(id: number, element: number): boolean {
    return id !== 0 && this.members(id).includes(element);
  }

  with(id: number, element: number): number {
    const step = id * element_span + element;
    const known = this.#added.get(step);
    if (known !== undefined) return known;
    const members = this.members(id);
    const next = members.includes(element) ? id : this.#idOf([...members, element].sort((a, b) => a - b));
    this.#added.set(step, next);
    return next;
  }

  without(id: number, element: number): number {
    if (id === 0) return 0;
    const step = id * element_span + element;
    const known = this.#removed.get(step);
    if (known !== undefined) return known;
    const next = this.#idOf(this.members(id).filter((member) => member !== element));
    this.#removed.set(step, next);
    return next;
  }

  /** Whether every member of `a` is one of `b`. */
  isSubset(a: number, b: number): boolean {
    if (a === 0 || a === b) return true;
    const wider = this.members(b);
    return this.members(a).every((member) => wider.includes(member));
  }

  #idOf(members: readonly number[]): number {
    const key = members.join();
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#members.length;
    this.#members.push(members);
    this.#ids.set(key, id);
    return id;
  }
}
