/**
 * Where the test data of the Raft library of etcd is on this machine. It belongs to its authors: it is read where a
 * package or a person put it, and never becomes part of this project.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { type Case, parseCases } from './datadriven.ts';

/** The library's folder in Debian packages: golang-etcd-server-dev of Debian 12, and its later paths. */
const packaged = [
  '/usr/share/gocode/src/go.etcd.io/etcd/raft',
  '/usr/share/gocode/src/go.etcd.io/etcd/raft/v3',
  '/usr/share/gocode/src/go.etcd.io/raft/v3',
  '/usr/share/gocode/src/go.etcd.io/raft',
];

const variable = 'SKEIN_RAFT_TESTDATA';

/** Why tests that need the data are skipped when there is none. */
export const missing =
  `no test data of etcd's Raft library: expected Debian's golang-etcd-server-dev, installed, ` +
  `or ${variable} naming a folder that holds quorum/testdata and confchange/testdata`;

export interface DataFile {
  readonly name: string;
  readonly text: string;
  readonly cases: readonly Case[];
}

/**
 * The library's folder; null when there is none.
 * @throws Error when {@link variable} names a folder without the data: that is a mistake, not an absence
 */
export function libraryFolder(): string | null {
  const given = process.env[variable];
  const holds = (folder: string): boolean => existsSync(join(folder, 'quorum', 'testdata'));
  if (given !== undefined && !holds(given)) throw new Error(`${variable}=${given}: no quorum/testdata in it`);
  return given ?? packaged.find(holds) ?? null;
}

/** Every test file of one part of the library, e.g. `quorum`, by name. @throws SyntaxError naming file and line */
export function dataFiles(library: string, part: string): readonly DataFile[] {
  const folder = join(library, part, 'testdata');
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return names.sort().map((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    try {
      return { name, text, cases: parseCases(text) };
    } catch (error) {
      throw new SyntaxError(`${join(folder, name)}: ${(error as Error).message}`);
    }
  });
}
