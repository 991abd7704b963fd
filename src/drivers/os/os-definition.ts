/**
 * Reads OS definitions, the directories in which a script installs an operating system: Ganeti's interface, in the
 * versions 10, 15 and 20. An invalid definition is reported with the reason, never left out.
 */
import { constants, type Stats } from 'node:fs';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OsDefinition } from '../types.ts';

export const known_api_versions: readonly number[] = [10, 15, 20];

/** Where Ganeti looks, in its order; the first definition of a name wins. Ours come last. */
export const default_os_paths: readonly string[] = [
  '/srv/ganeti/os',
  '/usr/local/lib/ganeti/os',
  '/usr/lib/ganeti/os',
  '/usr/share/ganeti/os',
  fileURLToPath(new URL('./definitions', import.meta.url)),
];

class Invalid extends Error {}

async function readLines(path: string): Promise<readonly string[] | null> {
  try {
    return (await readFile(path, 'utf8'))
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Invalid(`${path}: ${(error as Error).message}`);
  }
}

/** Only a path that does not exist is missing; one that cannot be looked at is an error to tell. */
async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new Invalid(`${path}: ${(error as Error).message}`);
  }
}

async function requireScript(directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  const found = await statOrNull(path);
  if (found === null || !found.isFile()) throw new Invalid(`script "${name}" is missing`);
  await access(path, constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    throw new Invalid(
      error.code === 'EACCES' ? `script "${name}" is not executable` : `${path}: ${error.message}`,
    );
  });
}

async function apiVersions(directory: string): Promise<readonly number[]> {
  const lines = await readLines(join(directory, 'ganeti_api_version'));
  if (lines === null) throw new Invalid('file "ganeti_api_version" is missing');
  const bad = lines.find((line) => !/^\d+$/.test(line));
  if (bad !== undefined) throw new Invalid(`ganeti_api_version has the line "${bad}", expected a number`);
  const versions = lines.map(Number).sort((a, b) => b - a);
  if (!versions.some((version) => known_api_versions.includes(version))) {
    throw new Invalid(
      `API versions ${versions.join(', ') || '(none)'}: expected one of ${known_api_versions.join(', ')}`,
    );
  }
  return versions;
}

/** The highest API version that the definition and we have in common; 0 if there is none. */
export function commonApiVersion(definition: Pick<OsDefinition, 'api_versions'>): number {
  return Math.max(0, ...definition.api_versions.filter((version) => known_api_versions.includes(version)));
}

function parameterOf(line: string): { readonly name: string; readonly description: string } {
  const [, name = line, description = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
  return { name: name.toLowerCase(), description };
}

/** Reads one definition; what is wrong with it is in `reason`. */
export async function readOsDefinition(path: string, name: string): Promise<OsDefinition> {
  const found: { -readonly [K in keyof OsDefinition]: OsDefinition[K] } = {
    name,
    path,
    api_versions: [],
    variants: [],
    parameters: [],
    valid: false,
    reason: '',
  };
  try {
    found.api_versions = await apiVersions(path);
    const version = commonApiVersion(found);
    if (version >= 15) found.variants = (await readLines(join(path, 'variants.list'))) ?? [];
    if (version === 15 && found.variants.length === 0)
      throw new Invalid('API version 15 needs a variants.list with at least one variant');
    if (version >= 20) {
      const lines = await readLines(join(path, 'parameters.list'));
      if (lines === null) throw new Invalid('file "parameters.list" is missing (API version 20 needs it)');
      found.parameters = lines.map(parameterOf);
      await requireScript(path, 'verify');
    }
    const untrusted = await statOrNull(join(path, 'create_untrusted'));
    const create = await statOrNull(join(path, 'create'));
    if (create === null && untrusted !== null)
      throw new Invalid('it has only "create_untrusted", which is not supported yet');
    for (const script of ['create', 'import', 'export', 'rename']) await requireScript(path, script);
    found.valid = true;
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    found.reason = error.message;
  }
  return found;
}

/** Null: nothing there, or no directory. An entry that cannot be looked at is told, not left out. */
async function definitionAt(path: string, name: string): Promise<OsDefinition | null> {
  try {
    if (!(await statOrNull(path))?.isDirectory()) return null;
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    return {
      name,
      path,
      api_versions: [],
      variants: [],
      parameters: [],
      valid: false,
      reason: error.message,
    };
  }
  return readOsDefinition(path, name);
}

/** All definitions in `paths`, by name; directories that do not exist are passed over. */
export async function listOsDefinitions(paths: readonly string[]): Promise<readonly OsDefinition[]> {
  const found = new Map<string, OsDefinition>();
  for (const path of paths) {
    const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
      throw error;
    });
    for (const name of names.sort()) {
      if (found.has(name) || name.startsWith('.')) continue;
      const definition = await definitionAt(join(path, name), name);
      if (definition !== null) found.set(name, definition);
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
