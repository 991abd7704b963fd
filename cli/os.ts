/** `skein os`: the OS definitions that the nodes have. */

import type { Row } from './fields.ts';
import { printInfo } from './info.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';

/** One name for each variant; a definition without variants is its own only one. */
export function osNames(row: Row): readonly string[] {
  const name = String(row.name);
  const variants = Array.isArray(row.variants) ? (row.variants as unknown[]).map(String) : [];
  return variants.length === 0 || name.includes('+')
    ? [name]
    : variants.map((variant) => `${name}+${variant}`);
}

async function list(session: Session, headers: boolean): Promise<void> {
  const rows = await session.query('os', [], false);
  const usable = rows.filter((row) => row.valid !== false && row.hidden !== true && row.blacklisted !== true);
  if (session.globals.json) {
    session.printJson(rows);
    return;
  }
  session.printLines([...(headers ? ['Name'] : []), ...usable.flatMap(osNames)]);
}

export const register: Register = (program, wrap) => {
  const os = program.command('os').description('OS definitions');
  os.command('list')
    .description('what instance add -o takes: valid on all nodes')
    .option('--no-headers', 'no title')
    .action(wrap((session, options: { readonly headers: boolean }) => list(session, options.headers)));
  os.command('info')
    .alias('show')
    .description('everything about OS definitions, invalid ones too')
    .argument('[os...]')
    .action(wrap((session, names: string[]) => printInfo(session, 'os', names, true, false)));
};
