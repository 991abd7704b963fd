/**
 * `npm run check`: format and lint, types, and the walls between the folders. Runs all three, says all that is wrong,
 * and exits with 1 if anything is.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkBoundaries, type Violation } from './boundaries.ts';

const root = join(import.meta.dirname, '..');
const source_folders = ['src', 'cli', 'sim', 'scripts', 'bench', 'test'];
const tool_timeout_ms = 300_000;

/** Runs a program of node_modules; its output goes straight to the terminal. */
function tool(title: string, program: string, args: readonly string[]): boolean {
  const { status, signal, error } = spawnSync(join(root, 'node_modules', '.bin', program), args, {
    cwd: root,
    stdio: 'inherit',
    timeout: tool_timeout_ms,
  });
  if (error !== undefined)
    console.error(`${title}: ${program} could not run: ${error.message} (try \`npm ci\`)`);
  else if (signal !== null) console.error(`${title}: ${program} was ended by ${signal}`);
  return status === 0;
}

function boundaries(): boolean {
  const violations: Violation[] = [];
  let files = 0;
  for (const folder of source_folders) {
    for (const file of typescriptFiles(folder)) {
      violations.push(...checkBoundaries(file, readFileSync(join(root, file), 'utf8')));
      files += 1;
    }
  }
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  console.log(`Boundaries: ${files} files, ${violations.length} violations.`);
  return violations.length === 0;
}

function typescriptFiles(folder: string): readonly string[] {
  let names: string[];
  try {
    names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  } catch (error) {
    // A folder that does not exist yet has nothing to check.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => `${folder}/${name}`)
    .sort();
}

const outcomes: readonly (readonly [string, boolean])[] = [
  ['format and lint', tool('format and lint', 'biome', ['check', '--error-on-warnings', '.'])],
  ['types', tool('types', 'tsc', ['-p', '.'])],
  ['boundaries', boundaries()],
];
const failed = outcomes.filter(([, ok]) => !ok).map(([title]) => title);
console.log(failed.length === 0 ? 'check: all is well' : `check: failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
