/**
 * What a long swarm run has done so far, in one small file, so that it goes on where it was stopped. The file is
 * replaced as a whole after every seed: at most the seeds under way are lost, and those are run again.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SwarmState } from './swarm/state.ts';

/** null when there is no such file yet. @throws Error when it is something else, or of another version */
export function readState(path: string): SwarmState | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const state = JSON.parse(text) as SwarmState;
  if (state.version !== 1) throw new Error(`${path} is no state of a swarm run, or of another version`);
  return state;
}

export function writeState(path: string, state: SwarmState): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(state, null, 1)}\n`);
  renameSync(temporary, path);
}

/** The commit of this checkout, with a `+` when files differ from it; `unknown` outside of one. */
export function checkoutCommit(): string {
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' });
  const head = git('rev-parse', '--short=12', 'HEAD');
  if (head.status !== 0) return 'unknown';
  const changed = git('status', '--porcelain', '--untracked-files=no').stdout.trim() !== '';
  return `${head.stdout.trim()}${changed ? '+' : ''}`;
}
