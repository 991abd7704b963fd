/**
 * All tests: units first (two files at a time), then the simulators' swarm, then the clusters of real
 * processes (one at a time, so that a slow machine is not mistaken for a lost node).
 * `node scripts/test.ts [unit|simulator|cluster] [file…]`. Ends with the runner's own counts, summed over all.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';

const suites: Record<
  string,
  { readonly files: readonly string[]; readonly concurrency: number; readonly timeout_ms: number }
> = {
  unit: {
    files: [
      'src/**/*.test.ts',
      'cli/**/*.test.ts',
      'sim/**/*.test.ts',
      'scripts/**/*.test.ts',
      'bench/**/*.test.ts',
      'test/conformance/**/*.test.ts',
    ],
    concurrency: 2,
    timeout_ms: 180_000,
  },
  simulator: { files: ['test/simulator/**/*.test.ts'], concurrency: 1, timeout_ms: 2_400_000 },
  cluster: { files: ['test/cluster/**/*.test.ts'], concurrency: 1, timeout_ms: 600_000 },
};

interface Counts {
  pass: number;
  fail: number;
  skipped: number;
  code: number;
}

function runSuite(name: string, only: readonly string[]): Promise<Counts> {
  const suite = suites[name]!;
  const files = only.length > 0 ? only : suite.files.flatMap((pattern) => globSync(pattern)).sort();
  if (files.length === 0) return Promise.resolve({ pass: 0, fail: 0, skipped: 0, code: 0 });
  process.stdout.write(`\n# ${name}: ${files.length} files\n`);
  const counts: Counts = { pass: 0, fail: 0, skipped: 0, code: 0 };
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        '--test',
        '--test-reporter=spec',
        `--test-concurrency=${suite.concurrency}`,
        `--test-timeout=${suite.timeout_ms}`,
        ...files,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let line_start = '';
    child.stdout.on('data', (bytes: Buffer) => {
      process.stdout.write(bytes);
      line_start += bytes.toString('utf8');
      const lines = line_start.split('\n');
      line_start = lines.pop()!;
      for (const line of lines) {
        const match = /^ℹ (pass|fail|cancelled|skipped) (\d+)$/.exec(line);
        if (!match) continue;
        const count = Number(match[2]);
        if (match[1] === 'pass') counts.pass += count;
        else if (match[1] === 'skipped') counts.skipped += count;
        else counts.fail += count;
      }
    });
    child.on('close', (code) => resolve({ ...counts, code: code ?? 1 }));
  });
}

const [wanted, ...only] = process.argv.slice(2);
const names = wanted === undefined ? Object.keys(suites) : [wanted];
for (const name of names) {
  if (!suites[name]) {
    process.stderr.write(`unknown suite "${name}"; known: ${Object.keys(suites).join(', ')}\n`);
    process.exit(2);
  }
}
const total: Counts = { pass: 0, fail: 0, skipped: 0, code: 0 };
for (const name of names) {
  const counts = await runSuite(name, only);
  total.pass += counts.pass;
  total.fail += counts.fail;
  total.skipped += counts.skipped;
  total.code ||= counts.code;
}
process.stdout.write(`\n${total.pass} passed, ${total.fail} failed, ${total.skipped} skipped\n`);
process.exit(total.code);
