/**
 * Ganeti's own htools, to compare with, and the sample clusters that come with them. They belong to their authors: they
 * are run and read where a package or a person put them, and never become part of this project.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Said } from '../../cli/htools/test-world.ts';

const samples_variable = 'SKEIN_HTOOLS_SAMPLES';
const packaged = '/usr/share/ganeti/testsuite/test/data/htools';

/** Why tests that need a program of Ganeti's are skipped; false: it is there. */
export function peerMissing(program: string): string | false {
  const { error } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return error === undefined
    ? false
    : `no ${program} of Ganeti's: expected Debian's ganeti-htools, installed`;
}

/**
 * The sample clusters; null when there are none.
 * @throws Error when the variable names a folder without them: that is a mistake, not an absence
 */
export function sampleFolder(): string | null {
  const given = process.env[samples_variable];
  const holds = (folder: string): boolean => existsSync(join(folder, 'hroller-full.data'));
  if (given !== undefined && !holds(given))
    throw new Error(`${samples_variable}=${given}: no hroller-full.data in it`);
  return given ?? (holds(packaged) ? packaged : null);
}

export const samples_missing = `no sample clusters: expected Debian's ganeti-testsuite, installed, or ${samples_variable} naming its folder test/data/htools`;

/** Paths of the samples in Ganeti's text format, by name. */
export function samples(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.data'))
    .sort()
    .map((name) => join(folder, name));
}

export function runPeer(program: string, argv: readonly string[]): Said {
  const { stdout, stderr, status, error } = spawnSync(program, argv, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  return { out: stdout, err: stderr, status: status ?? -1 };
}
