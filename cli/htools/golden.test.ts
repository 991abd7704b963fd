/**
 * What the programs print, byte for byte, for the clusters in `golden/`. Each `*.golden` there is a command line, what it
 * printed to standard output and to standard error, and its exit code; all were compared with Ganeti 3.0.2's. To write
 * them anew: `SKEIN_GOLDEN=write node --test cli/htools/golden.test.ts`.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { hbal } from './hbal.ts';
import { hcheck } from './hcheck.ts';
import { hinfo } from './hinfo.ts';
import type { CommonOptions } from './options.ts';
import { type Program, runProgram } from './program.ts';
import { testWorld } from './test-world.ts';

const programs: ReadonlyMap<string, Program<CommonOptions>> = new Map(
  [hbal, hcheck, hinfo].map((program) => [program.name, program]),
);
const folder = join(import.meta.dirname, 'golden');

for (const file of readdirSync(folder).filter((name) => name.endsWith('.golden'))) {
  test(`${file}: as it was`, async () => {
    const path = join(folder, file);
    const golden = readFileSync(path, 'utf8');
    const command = golden.split('\n', 1)[0]!.replace(/^\$ /, '');
    const [name = '', ...args] = command.split(' ');
    const world = testWorld({ read: (wanted) => readFileSync(join(folder, wanted), 'utf8') });
    const exit = await runProgram(programs.get(name)!, args, world);
    const written = [...world.written].map(([to, text]) => `--- ${to}\n${text}`).join('');
    const printed = `$ ${command}\n--- out\n${world.printed.out}--- err\n${world.printed.err}${written}--- exit ${exit}\n`;
    if (process.env['SKEIN_GOLDEN'] === 'write') writeFileSync(path, printed);
    assert.equal(printed, golden);
  });
}
