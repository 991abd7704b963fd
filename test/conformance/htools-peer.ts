/**
 * Ganeti's own htools, to compare with, and the samples and shell tests that come with them. They belong to their
 * authors: they are run and read where a package or a person put them, and never become part of this project.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Said } from '../../cli/htools/test-world.ts';

/** Debian's ganeti-testsuite. */
const packaged = '/usr/share/ganeti/testsuite/test';
const variable = 'SKEIN_HTOOLS_TESTDATA';

export const samples_missing =
  `no samples of Ganeti's htools: expected Debian's ganeti-testsuite, installed, or ${variable} naming its folder ` +
  'test, which holds data/htools and hs/shelltests';

/** Why tests that need a program of Ganeti's are skipped; false: it is there. */
export function peerMissing(program: string): string | false {
  const { error } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return error === undefined
    ? false
    : `no ${program} of Ganeti's: expected Debian's ganeti-htools, installed`;
}

/** @throws Error when the variable names a folder without the samples: that is a mistake, not an absence */
function suiteFolder(): string | null {
  const given = process.env[variable];
  const holds = (folder: string): boolean => existsSync(join(folder, 'data', 'htools', 'hroller-full.data'));
  if (given !== undefined && !holds(given)) throw new Error(`${variable}=${given}: no data/htools in it`);
  return given ?? (holds(packaged) ? packaged : null);
}

/** The folder of the sample clusters; null when there is none. */
export function sampleFolder(): string | null {
  const suite = suiteFolder();
  return suite === null ? null : join(suite, 'data', 'htools');
}

/** The folder of the shell tests; null when there is none. */
export function shellTestFolder(): string | null {
  const suite = suiteFolder();
  return suite === null ? null : join(suite, 'hs', 'shelltests');
}

/** Paths of the samples in Ganeti's text format, by name. */
export function samples(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.data'))
    .sort()
    .map((name) => join(folder, name));
}

/** The name of the first group of a file in the text format. */
export function firstGroup(path: string): string {
  return readFileSync(path, 'utf8').split('|', 1)[0] ?? '';
}

export function runPeer(program: string, argv: readonly string[]): Said {
  const { stdout, stderr, status, error } = spawnSync(program, argv, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  return { out: stdout, err: stderr, status: status ?? -1 };
}

/** A folder that is gone when the test is over. */
export function scratchFolder(t: { after(done: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'skein-htools-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Of a help text what both have: without the version, and without what `-L` reads, which here is no Ganeti. */
export function commonHelp(text: string): string {
  return text
    .replace(/\((ganeti|skein)\) version .*/, '')
    .replace(
      /collect data (via Luxi|from this host's agent), optionally using the given SOCKET path \[.*\]/,
      '',
    );
}
