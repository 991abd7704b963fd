/**
 * Coverage marks: how often a run reached a state that is rare and worth reaching. A test that never gets there proves
 * nothing about it, so the names are declared up front and the table shows zeros.
 */
export class Marks<Name extends string = string> {
  readonly #counts = new Map<Name, number>();

  /** @param names all that can be reached, in the order of the table */
  constructor(names: readonly Name[]) {
    for (const name of names) this.#counts.set(name, 0);
  }

  /** @throws RangeError for a name that was not declared */
  hit(name: Name, times = 1): void {
    const count = this.#counts.get(name);
    if (count === undefined) throw new RangeError(`mark '${name}' was not declared`);
    this.#counts.set(name, count + times);
  }

  count(name: Name): number {
    return this.#counts.get(name) ?? 0;
  }

  /** Adds what another run reached. */
  merge(other: Marks<Name>): void {
    for (const [name, count] of other.#counts) this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get reached(): readonly Name[] {
    return [...this.#counts].filter(([, count]) => count > 0).map(([name]) => name);
  }

  get missed(): readonly Name[] {
    return [...this.#counts].filter(([, count]) => count === 0).map(([name]) => name);
  }

  /** One line a mark: count, name. */
  table(): string {
    const width = Math.max(...[...this.#counts.values()].map((count) => String(count).length), 1);
    return [...this.#counts].map(([name, count]) => `${String(count).padStart(width)}  ${name}`).join('\n');
  }
}
