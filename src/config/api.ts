/**
 * The replicated state as the rest of the program sees it.
 */
import type { ApplyResult, Command } from './commands.ts';
import type { TableName, Tables } from './model.ts';

export interface Change<T extends TableName = TableName> {
  readonly table: T;
  readonly key: string;
  /** null: removed. */
  readonly value: Tables[T] | null;
}

/** Reads of a consistent state. Objects are immutable and may be kept. */
export interface StateView {
  /** Index of the last applied entry. */
  readonly index: number;
  get<T extends TableName>(table: T, key: string): Tables[T] | undefined;
  /** In key order (jobs: by id). */
  list<T extends TableName>(table: T): readonly Tables[T][];
  /** Number of objects. */
  count(table: TableName): number;
}

/** Keys: cluster `cluster`; meta `meta`; groups, nodes, instances, disks `UUID`; jobs the id padded to 12 digits; steps `stepKey()`; tokens id; requests id. */
export interface State extends StateView {
  /** Applies one command at `index`; deterministic; a refused command changes nothing. */
  apply(index: number, command: Command): ApplyResult;
  /** Advances `index` past an entry that is no command. */
  skip(index: number): void;
  /** Changes since the last call, each key once, oldest first. */
  takeChanges(): readonly Change[];
  /** Hash over all tables at `index` (hex); maintained incrementally: no cost that grows with the state. */
  hash(): string;
  tableHashes(): Readonly<Record<TableName, string>>;
  /** All objects, as of the call, for a snapshot; later changes do not show in it. */
  entries(): Iterable<Change>;
  /** Replaces everything. */
  load(index: number, entries: Iterable<Change>): void;
}
