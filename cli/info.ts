/** The info command of every resource: each row in full. */
import type { QueryResource } from '../src/node/api-types.ts';
import { dumpLines } from './dump.ts';
import { CliError, usageError } from './exit-status.ts';
import { formatTime, type Row } from './fields.ts';
import type { Session } from './session.ts';

const times = new Set(['ctime', 'mtime', 'health_since', 'received_ts', 'start_ts', 'end_ts']);

/** Name first, times readable. */
function readable(row: Row): Record<string, unknown> {
  const shown: Record<string, unknown> = { name: row.name };
  for (const [key, value] of Object.entries(row)) shown[key] = times.has(key) ? formatTime(value) : value;
  if (shown.name === undefined) delete shown.name;
  return shown;
}

/** Rows by name; every name must exist. `all` permits no names. */
export async function printInfo(
  session: Session,
  resource: QueryResource,
  names: readonly string[],
  all: boolean,
  stale: boolean,
): Promise<void> {
  if (names.length === 0 && !all) {
    throw usageError(`${resource} info: nothing was named`, `skein ${resource} info NAME, or --all`);
  }
  const rows = await session.query(resource, names, stale);
  const known = new Set(rows.flatMap((row) => [String(row.name), String(row.uuid), String(row.id)]));
  const missing = names.find((name) => !known.has(name));
  // A short name that the agent resolved is no missing one: then there are as many rows as names.
  if (missing !== undefined && rows.length < names.length) {
    throw new CliError(`there is no ${resource} "${missing}"`, `skein ${resource} list`);
  }
  if (session.globals.json) {
    session.printJson(rows);
    return;
  }
  rows.forEach((row, at) => {
    if (at > 0) session.print('');
    session.printLines(dumpLines(readable(row)));
  });
}
