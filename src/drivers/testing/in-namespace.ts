/**
 * For tests that change the network: runs the test file once more in a network and mount namespace of its own, which
 * the kernel removes with its last process. Nothing of it is ever seen outside.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../process/program-path.ts';

const marker = 'SKEIN_TEST_NAMESPACE';
const timeout_ms = 60_000;

/** Why such tests cannot run here; false when they can. */
export async function missingForNamespaces(...programs: readonly string[]): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const program of ['unshare', 'ip', ...programs]) {
    if ((await findProgram(program)) === null) return `needs the program ${program}`;
  }
  return false;
}

/** Declares the tests in `body` to run inside namespaces of their own. Call it once, last, at a test file's top level. */
export async function inNamespaces(
  file_url: string,
  programs: readonly string[],
  body: () => void,
): Promise<void> {
  if (process.env[marker] === '1') return body();
  const skip = await missingForNamespaces(...programs);
  test('in a network namespace of its own', { skip }, async () => {
    const env: NodeJS.ProcessEnv = { ...process.env, [marker]: '1' };
    // Without this the inner run would speak the outer runner's binary protocol instead of printing.
    delete env['NODE_TEST_CONTEXT'];
    const argv = ['--net', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'];
    const child = spawn('unshare', [...argv, process.execPath, fileURLToPath(file_url)], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout_ms);
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearTimeout(timer);
    assert.equal(code, 0, output);
    assert.match(output, /pass [1-9]/, 'at least one test ran inside');
  });
}
