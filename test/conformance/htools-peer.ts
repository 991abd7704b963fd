/**
 * Ganeti's htools and the samples of their test suite, where they are installed. Both belong to their authors: they are
 * run and read where a package or a person put them, and never become part of this project.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { hbal } from '../../cli/htools/hbal.ts';
import { hinfo } from '../../cli/htools/hinfo.ts';
import type { CommonOptions } from '../../cli/htools/options.ts';
import { type Program, runProgram, type World } from '../../cli/htools/program.ts';

/** Debian's ganeti-testsuite. */
const packaged = '/usr/share/ganeti/testsuite/test';
const variable = 'SKEIN_HTOOLS_TESTDATA';

/** Why tests that need the samples are skipped when there are none. */
export const no_samples =
  `no samples of Ganeti's htools: expected Debian's ganeti-testsuite, installed, or ${variable} naming a folder that ` +
  'holds data/htools and hs/shelltests';

/** Why tests that need the original are skipped without it. */
export const no_peer = 'no hbal of Ganeti on PATH: expected Debian’s ganeti-htools, installed';

/**
 * The folder of the samples; null when there is none.
 * @throws Error when {@link variable} names a folder without them: that is a mistake, not an absence
 */
export function samplesFolder(): string | null {
  const given = process.env[variable];
  const holds = (folder: string): boolean => existsSync(join(folder, 'data', 'htools'));
  if (given !== undefined && !holds(given)) throw new Error(`${variable}=${given}: no data/htools in it`);
  return given ?? (holds(packaged) ? packaged : null);
}

/** The sample clusters in Ganeti's text format. */
export function sampleFiles(folder: string): readonly string[] {
  const data = join(folder, 'data', 'htools');
  return readdirSync(data)
    .filter((name) => name.endsWith('.data'))
    .sort()
    .map((name) => join(data, name));
}

export function peerIsInstalled(): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'hbal')));
}

export interface Outcome {
  readonly out: string;
  readonly err: string;
  readonly exit: number;
}

export type ProgramName = 'hbal' | 'hinfo';

/** Ours, as the tests run them: in this process. */
export const our_programs: { readonly [name in ProgramName]: Program<CommonOptions> } = { hbal, hinfo };

export function runPeer(name: ProgramName, args: readonly string[]): Outcome {
  const { stdout, stderr, status } = spawnSync(name, args, { encoding: 'utf8', timeout: 300_000 });
  return { out: stdout, err: stderr, exit: status ?? -1 };
}

export async function runOurs(name: ProgramName, args: readonly string[]): Promise<Outcome> {
  const outcome = { out: '', err: '' };
  const world: World = {
    out: (text) => {
      outcome.out += text;
    },
    err: (text) => {
      outcome.err += text;
    },
    readFile: (path) => readFileSync(path, 'utf8'),
    writeFile: (path, text) => writeFileSync(path, text),
    get: async (url) => {
      throw new Error(`no network in this test: ${url}`);
    },
  };
  const exit = await runProgram(our_programs[name], args, world);
  return { ...outcome, exit };
}

/** A folder that is gone when the test is over. */
export function scratchFolder(t: { after(done: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'skein-htools-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The name of the first group of a file in the text format. */
export function firstGroup(path: string): string {
  return readFileSync(path, 'utf8').split('|', 1)[0] ?? '';
}
