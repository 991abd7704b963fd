/**
 * A command's view of the state while it is applied: reads see what the command has written so far, and nothing
 * reaches the state before the whole command is accepted. A refused command's draft is dropped: that is all there is
 * to undoing it.
 */
import { cluster_key, jobKey, meta_key } from './keys.ts';
import type { Cluster, Disk, Instance, Job, Meta, Node, NodeGroup, TableName, Tables } from './model.ts';
import { refuse } from './refused.ts';
import type { Table } from './table.ts';

export type TableSet = { readonly [T in TableName]: Table<Tables[T]> };

export const table_names: readonly TableName[] = [
  'cluster',
  'groups',
  'nodes',
  'instances',
  'disks',
  'jobs',
  'steps',
  'tokens',
  'requests',
  'meta',
];

export interface DraftWrite {
  readonly table: TableName;
  readonly key: string;
  readonly value: Tables[TableName] | null;
}

export class Draft {
  readonly index: number;
  readonly #tables: TableSet;
  readonly #writes = new Map<TableName, Map<string, Tables[TableName] | null>>();

  constructor(index: number, tables: TableSet) {
    this.index = index;
    this.#tables = tables;
  }

  get<T extends TableName>(table: T, key: string): Tables[T] | undefined {
    const written = this.#writes.get(table)?.get(key);
    if (written === null) return undefined;
    return (written as Tables[T] | undefined) ?? this.#tables[table].get(key);
  }

  /** In key order for what was there before the command, then what it added. */
  *values<T extends TableName>(table: T): IterableIterator<Tables[T]> {
    const writes = this.#writes.get(table);
    if (writes === undefined) {
      yield* this.#tables[table].list();
      return;
    }
    for (const key of this.#tables[table].keys()) {
      const value = this.get(table, key);
      if (value !== undefined) yield value;
    }
    for (const [key, value] of writes) {
      if (value !== null && this.#tables[table].get(key) === undefined) yield value as Tables[T];
    }
  }

  count(table: TableName): number {
    let count = this.#tables[table].size;
    for (const [key, value] of this.#writes.get(table) ?? []) {
      const before = this.#tables[table].get(key) !== undefined;
      if (value === null && before) count -= 1;
      if (value !== null && !before) count += 1;
    }
    return count;
  }

  /** Keys that begin with `prefix`. */
  keysUnder(table: TableName, prefix: string): readonly string[] {
    const found = this.#tables[table]
      .keys()
      .filter((key) => key.startsWith(prefix) && this.get(table, key) !== undefined);
    for (const [key, value] of this.#writes.get(table) ?? []) {
      if (value !== null && key.startsWith(prefix) && this.#tables[table].get(key) === undefined)
        found.push(key);
    }
    return found;
  }

  put<T extends TableName>(table: T, key: string, value: Tables[T]): void {
    this.#write(table, key, value);
  }

  delete(table: TableName, key: string): void {
    this.#write(table, key, null);
  }

  /** What was written, each key once. */
  *writes(): IterableIterator<DraftWrite> {
    for (const [table, writes] of this.#writes) {
      for (const [key, value] of writes) yield { table, key, value };
    }
  }

  // ---- objects that a command cannot do without

  cluster(): Cluster {
    return (
      this.get('cluster', cluster_key) ??
      refuse('no-cluster', 'there is no cluster yet: expected `cluster init` first')
    );
  }

  meta(): Meta {
    return this.get('meta', meta_key) ?? { next_member: 1, next_job: 1 };
  }

  group(uuid: string): NodeGroup {
    return this.get('groups', uuid) ?? refuse('not-found', `there is no node group ${uuid}`);
  }

  node(uuid: string): Node {
    return this.get('nodes', uuid) ?? refuse('not-found', `there is no node ${uuid}`);
  }

  instance(uuid: string): Instance {
    return this.get('instances', uuid) ?? refuse('not-found', `there is no instance ${uuid}`);
  }

  disk(uuid: string): Disk {
    return this.get('disks', uuid) ?? refuse('not-found', `there is no disk ${uuid}`);
  }

  job(id: number): Job {
    return this.get('jobs', jobKey(id)) ?? refuse('not-found', `there is no job ${id}`);
  }

  #write(table: TableName, key: string, value: Tables[TableName] | null): void {
    let writes = this.#writes.get(table);
    if (writes === undefined) {
      writes = new Map();
      this.#writes.set(table, writes);
    }
    writes.set(key, value);
  }
}

/** The next version of an object: its serial number one higher, its mtime the command's. */
export function touched<T extends { readonly serial_no: number; readonly mtime: number }>(
  object: T,
  time: number,
): T {
  return { ...object, serial_no: object.serial_no + 1, mtime: time };
}
