/**
 * Runs the scripts of OS definitions. Guarantees a clean environment, the definition's directory as the working
 * directory, a log of everything said, an end by timeout or cancellation, and that nothing a script started outlives
 * it or us: a left-over writer could write to a disk that somebody else owns by then.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { containedArgv } from '../process/contained-argv.ts';
import { runCommand } from '../process/run-command.ts';
import { DriverError, type OsDefinition, type OsDriver, type OsRun } from '../types.ts';
import { commonApiVersion, listOsDefinitions } from './os-definition.ts';
import { createEnvironment, splitOsName, verifyEnvironment } from './os-environment.ts';

export interface OsDriverOptions {
  /** Directories of definitions; the first that has a name wins. */
  readonly paths: readonly string[];
  /** For runs that name no log file. */
  readonly log_dir: string;
}

const max_log_bytes = 16 << 20;
const tail_lines = 10;
const verify_timeout_ms = 60_000;

/** Throws `not-found` or `invalid`, saying what would be right. */
function checkRun(
  run: OsRun,
  definition: OsDefinition | undefined,
  known: readonly OsDefinition[],
): asserts definition is OsDefinition {
  const { name, variant } = splitOsName(run.os);
  const names = known.filter((one) => one.valid).map((one) => one.name);
  if (definition === undefined)
    throw new DriverError(
      'not-found',
      `OS "${name}": no such definition`,
      `known: ${names.join(', ') || 'none'}`,
    );
  if (!definition.valid)
    throw new DriverError('invalid', `OS "${name}" in ${definition.path} is not valid: ${definition.reason}`);
  const { variants, parameters } = definition;
  const choices = variants.map((one) => `${name}+${one}`).join(', ');
  if (variants.length === 0 && variant !== '')
    throw new DriverError('invalid', `OS "${run.os}": ${name} has no variants`, `use ${name}`);
  if (variants.length > 0 && !variants.includes(variant)) {
    const what = variant === '' ? 'a variant must be named' : `no variant "${variant}"`;
    throw new DriverError('invalid', `OS "${run.os}": ${what}, expected one of ${choices}`, `use ${choices}`);
  }
  const expected = parameters.map((one) => one.name);
  for (const key of Object.keys(run.osparams)) {
    if (expected.includes(key.toLowerCase())) continue;
    throw new DriverError(
      'invalid',
      `OS parameter ${key}: unknown to ${name}, expected ${expected.length === 0 ? 'none' : `one of ${expected.join(', ')}`}`,
    );
  }
}

class Log {
  readonly #stream: WriteStream;
  readonly tail: string[] = [];
  #written_bytes = 0;
  #error: Error | null = null;

  constructor(path: string) {
    this.#stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
    this.#stream.on('error', (error) => {
      this.#error = error;
    });
  }

  add(line: string): void {
    this.tail.push(line);
    if (this.tail.length > tail_lines) this.tail.shift();
    if (this.#written_bytes > max_log_bytes) return;
    this.#written_bytes += Buffer.byteLength(line) + 1;
    this.#stream.write(this.#written_bytes > max_log_bytes ? '(log cut off here)\n' : `${line}\n`);
  }

  /** Rejects when the log could not be written. */
  async end(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#stream.once('close', () => resolve());
      this.#stream.end();
    });
    if (this.#error !== null) throw new DriverError('failed', `cannot write the log: ${this.#error.message}`);
  }
}

/** Creates the driver for the definitions found in `paths`. */
export function createOsDriver(options: OsDriverOptions): OsDriver {
  async function runScript(
    run: OsRun,
    definition: OsDefinition,
    log: Log,
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const version = commonApiVersion(definition);
    const hear = (line: string): void => {
      log.add(line);
      onLine(line);
    };
    const cwd = definition.path;
    if (version >= 20) {
      const argv = await containedArgv([join(cwd, 'verify'), 'parameters']);
      await runCommand(argv, {
        timeout_ms: Math.min(verify_timeout_ms, run.timeout_ms),
        env: verifyEnvironment(run, version),
        cwd,
        onLine: hear,
        signal,
      });
    }
    const block_devices = await Promise.all(
      run.guest.disks.map(async ({ path }) => (await stat(path)).isBlockDevice()),
    );
    const argv = await containedArgv([join(cwd, 'create')]);
    await runCommand(argv, {
      timeout_ms: run.timeout_ms,
      env: createEnvironment(run, version, block_devices),
      cwd,
      onLine: hear,
      signal,
    });
  }

  return {
    list: () => listOsDefinitions(options.paths),

    async create(run, onLine, signal) {
      const known = await listOsDefinitions(options.paths);
      const { name } = splitOsName(run.os);
      const definition = known.find((one) => one.name === name);
      checkRun(run, definition, known);
      const log_file =
        run.log_file === '' ? join(options.log_dir, `create-${name}-${run.guest.name}.log`) : run.log_file;
      await mkdir(dirname(log_file), { recursive: true, mode: 0o700 });
      const log = new Log(log_file);
      try {
        await runScript(run, definition, log, onLine, signal);
      } catch (error) {
        const code = error instanceof DriverError ? error.code : 'failed';
        const said = log.tail.length === 0 ? (error as Error).message : log.tail.join('\n');
        const how =
          code === 'timeout'
            ? `did not end within ${run.timeout_ms} ms and was killed`
            : signal.aborted
              ? 'was canceled'
              : 'failed';
        throw new DriverError(
          code,
          `OS ${run.os} on ${run.guest.name} ${how}: ${said}`,
          `the whole log is in ${log_file}`,
        );
      } finally {
        await log.end();
      }
    },
  };
}
