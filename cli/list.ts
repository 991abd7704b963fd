/**
 * The list command of every resource: Ganeti's options, default columns and special cells.
 */
import type { Command } from 'commander';
import { usageError } from './exit-status.ts';
import {
  default_fields,
  fieldNames,
  fieldSpec,
  fieldValue,
  formatCell,
  type ListResource,
  type Row,
  selectFields,
  sourceFields,
} from './fields.ts';
import type { Session } from './session.ts';
import type { SizeUnit } from './sizes.ts';
import { type Column, formatTable } from './table.ts';

export interface ListOptions {
  readonly output?: string;
  readonly headers: boolean;
  readonly separator?: string;
  readonly units?: string;
  readonly stale?: boolean;
}

/** Adds the options of a list command. */
export function addListOptions(command: Command): Command {
  return command
    .option('-o, --output <fields>', 'columns: a,b instead of the usual ones, +a,b beside them')
    .option('--no-headers', 'no titles')
    .option('--separator <text>', 'between fields, which are then not aligned')
    .option('--units <unit>', 'h (readable), m, g or t')
    .option('--stale', 'answer from this node’s own copy, without asking the leader');
}

/** The environment variable that holds the default columns of some lists. */
const field_variables: Partial<Record<ListResource, string>> = {
  instance: 'GNT_INSTANCE_LIST',
  node: 'GNT_NODE_LIST',
  group: 'GNT_GROUP_LIST',
};

function parseUnit(text: string | undefined): SizeUnit {
  if (text === undefined) return 'h';
  if (text === 'h' || text === 'm' || text === 'g' || text === 't') return text;
  throw usageError(`--units "${text}" is not known`, 'h, m, g or t');
}

/** Rows by name, with `*` and `?` in names; every plain name must exist. */
export async function selectRows(
  session: Session,
  resource: ListResource,
  names: readonly string[],
  stale: boolean,
  fields: readonly string[] | null = null,
): Promise<readonly Row[]> {
  const has_glob = names.some((name) => /[*?]/.test(name));
  const rows = await session.query(resource, has_glob ? [] : names, stale, fields);
  if (!has_glob) return rows;
  const patterns = names.map(
    (name) =>
      new RegExp(
        `^${name
          .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')}$`,
      ),
  );
  return rows.filter((row) => patterns.some((pattern) => pattern.test(String(row.name ?? row.id))));
}

export async function printList(
  session: Session,
  resource: ListResource,
  names: readonly string[],
  options: ListOptions,
  keep: (row: Row) => boolean = () => true,
): Promise<void> {
  const variable = field_variables[resource];
  const fields = selectFields(resource, options.output ?? (variable && session.terminal.env[variable]));
  const unit = parseUnit(options.units);
  const everything = session.globals.json && options.output === undefined;
  const needed = everything ? null : [...new Set(['name', 'id', 'status', ...fields.flatMap(sourceFields)])];
  const rows = (await selectRows(session, resource, names, options.stale === true, needed)).filter(keep);
  if (session.globals.json) {
    session.printJson(
      options.output === undefined
        ? rows
        : rows.map((row) =>
            Object.fromEntries(fields.map((field) => [field, fieldValue(row, field) ?? null])),
          ),
    );
    return;
  }
  const columns = fields.map((field): Column => {
    const { title, kind } = fieldSpec(resource, field);
    return { title, align: kind === 'number' || kind === 'size' ? 'right' : 'left' };
  });
  const raw = options.separator !== undefined && options.units === undefined;
  const cells = rows.map((row) => fields.map((field) => formatCell(resource, field, row, { unit, raw })));
  session.printLines(
    formatTable(columns, cells, { headers: options.headers, separator: options.separator ?? null }),
  );
}

/** `list-fields`: names, titles and kinds. */
export function printFields(session: Session, resource: ListResource, headers: boolean): void {
  const defaults = new Set(default_fields[resource]);
  const rows = fieldNames(resource).map((name) => {
    const { title, kind } = fieldSpec(resource, name);
    return [name, kind, title, defaults.has(name) ? 'Y' : 'N'];
  });
  if (session.globals.json) {
    session.printJson(
      rows.map(([name, kind, title, shown]) => ({ name, kind, title, default: shown === 'Y' })),
    );
    return;
  }
  const columns = ['Name', 'Type', 'Title', 'Default'].map((title): Column => ({ title, align: 'left' }));
  session.printLines(formatTable(columns, rows, { headers, separator: null }));
}
