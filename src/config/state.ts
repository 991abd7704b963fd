/**
 * The replicated state: all tables, the index that they stand for, and their hash.
 *
 * Guarantees: the same commands at the same indices give the same state and hash on every replica; a refused command
 * changes nothing; `apply` never throws for a bad command. It does throw when its caller breaks the order of indices.
 */
import { hash } from 'node:crypto';
import type { Change, State } from './api.ts';
import { applyCommand } from './apply.ts';
import { sameData } from './canonical.ts';
import { isDecoded } from './codec.ts';
import { checkCommand } from './command-schemas.ts';
import type { ApplyResult, Command } from './commands.ts';
import { Draft, type TableSet, table_names } from './draft.ts';
import type { TableName, Tables } from './model.ts';
import { plainData } from './plain-data.ts';
import { Refused } from './refused.ts';
import { Table } from './table.ts';

/** An empty state at index 0. */
export function createState(): State {
  return new ClusterState();
}

function emptyTables(): TableSet {
  return {
    cluster: new Table('cluster'),
    groups: new Table('groups'),
    nodes: new Table('nodes'),
    instances: new Table('instances'),
    disks: new Table('disks'),
    jobs: new Table('jobs'),
    steps: new Table('steps'),
    tokens: new Table('tokens'),
    requests: new Table('requests'),
    meta: new Table('meta'),
  };
}

/**
 * Applies to the draft alone. An error that is no refusal is a mistake of ours, and the same on every replica: it is
 * answered like a refusal, because an entry that ended every agent that reads it would end the cluster.
 */
function outcomeOf(draft: Draft, command: Command): ApplyResult {
  try {
    // What was decoded was checked then, and has been frozen since.
    const checked = isDecoded(command) ? command : checkCommand(plainData(command));
    return { ok: true, value: applyCommand(draft, checked) ?? null };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, error: error.refusal };
    return { ok: false, error: { code: 'invalid', message: `the command failed: ${String(error)}` } };
  }
}

class ClusterState implements State {
  #index = 0;
  #tables = emptyTables();
  /** Keyed by table and key; a key that changes again moves to the end. */
  #changes = new Map<string, Change>();
  /** {@link ClusterState.hash} as of the last change; null: not asked since. */
  #hash: string | null = null;

  get index(): number {
    return this.#index;
  }

  get<T extends TableName>(table: T, key: string): Tables[T] | undefined {
    return this.#tables[table].get(key);
  }

  list<T extends TableName>(table: T): readonly Tables[T][] {
    return this.#tables[table].list();
  }

  count(table: TableName): number {
    return this.#tables[table].size;
  }

  apply(index: number, command: Command): ApplyResult {
    this.#advance(index);
    const draft = new Draft(index, this.#tables);
    const result = outcomeOf(draft, command);
    if (result.ok) for (const write of draft.writes()) this.#write(write.table, write.key, write.value);
    return result;
  }

  skip(index: number): void {
    this.#advance(index);
  }

  takeChanges(): readonly Change[] {
    const changes = [...this.#changes.values()];
    this.#changes.clear();
    return changes;
  }

  hash(): string {
    this.#hash ??= hash(
      'sha256',
      table_names.map((name) => `${name}=${this.#tables[name].hash()};`).join(''),
    );
    return this.#hash;
  }

  tableHashes(): Readonly<Record<TableName, string>> {
    const hashes = table_names.map((name) => [name, this.#tables[name].hash()] as const);
    return Object.fromEntries(hashes) as Record<TableName, string>;
  }

  entries(): Iterable<Change> {
    const found: Change[] = [];
    for (const table of table_names) {
      for (const key of this.#tables[table].keys())
        found.push({ table, key, value: this.#tables[table].get(key)! });
    }
    return found;
  }

  /** What differs from before is reported by `takeChanges`, as if it had been applied. */
  load(index: number, entries: Iterable<Change>): void {
    const before = this.#tables;
    const after = emptyTables();
    for (const { table, key, value } of entries) {
      if (value !== null) (after[table] as Table<Tables[TableName]>).put(key, value);
    }
    for (const table of table_names) {
      for (const key of before[table].keys()) {
        if (after[table].get(key) === undefined) this.#note({ table, key, value: null });
      }
      for (const key of after[table].keys()) {
        if (after[table].digest(key) !== before[table].digest(key))
          this.#note({ table, key, value: after[table].get(key)! });
      }
    }
    this.#tables = after;
    this.#hash = null;
    this.#index = index;
  }

  #advance(index: number): void {
    if (!Number.isSafeInteger(index) || index <= this.#index) {
      throw new Error(`entry ${index} cannot follow entry ${this.#index}: indices only rise`);
    }
    this.#index = index;
  }

  #write(table: TableName, key: string, value: Tables[TableName] | null): void {
    const target = this.#tables[table] as Table<Tables[TableName]>;
    if (value === null) {
      if (target.get(key) === undefined) return;
      target.delete(key);
    } else {
      // Written back as it was: no change, and nobody need hear of it.
      if (sameData(target.get(key), value)) return;
      target.put(key, value);
    }
    this.#hash = null;
    this.#note({ table, key, value });
  }

  #note(change: Change): void {
    const id = `${change.table}/${change.key}`;
    this.#changes.delete(id);
    this.#changes.set(id, change);
  }
}
