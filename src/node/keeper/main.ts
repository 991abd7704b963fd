/**
 * `skeind`: keeper --data DIR --run DIR -- AGENT_ARGV...
 * The parent of the agent and of the guests. On SIGTERM it asks the agent to stop (10 s), drops the master IP and ends
 * the guests, which cannot outlive it; to keep guests running, restart the agent, not the keeper.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bootTimeMs, readBootId } from './boot-clock.ts';
import { detectFreezer, sweepGroups } from './freezer.ts';
import { Keeper } from './keeper.ts';
import { beginBoot } from './keeper-file.ts';
import { takeKeeperLock } from './keeper-lock.ts';
import { first_delay_ms } from './restart-policy.ts';

interface Arguments {
  readonly data_dir: string;
  readonly run_dir: string;
  readonly agent_argv: readonly string[];
}

/** For one run of the master IP script; the driver removes the address itself afterwards. */
const master_script_timeout_ms = 10_000;

const usage = 'usage: keeper --data DIR --run DIR -- AGENT_ARGV...';

function parseArguments(argv: readonly string[]): Arguments {
  const split = argv.indexOf('--');
  const agent_argv = split < 0 ? [] : argv.slice(split + 1);
  const options = new Map<string, string>();
  const own = split < 0 ? argv : argv.slice(0, split);
  for (let i = 0; i < own.length; i += 2) {
    const [key = '', value] = own.slice(i, i + 2);
    if (!['--data', '--run'].includes(key) || value === undefined)
      throw new Error(`unexpected '${key}'; ${usage}`);
    options.set(key, value);
  }
  const data_dir = options.get('--data');
  const run_dir = options.get('--run');
  if (data_dir === undefined || run_dir === undefined || agent_argv.length === 0) throw new Error(usage);
  return { data_dir: resolve(data_dir), run_dir: resolve(run_dir), agent_argv };
}

/** Tests that kill an agent again and again do not wait for the back-off that protects a real host. */
function testRestartDelay(env: NodeJS.ProcessEnv): { readonly most_restart_delay_ms?: number } {
  const text = env['SKEIN_TEST_RESTART_MS'];
  if (env['SKEIN_TEST'] !== '1' || text === undefined) return {};
  const delay_ms = Number(text);
  if (!Number.isInteger(delay_ms) || delay_ms < first_delay_ms)
    throw new Error(`SKEIN_TEST_RESTART_MS=${text}: expected milliseconds, at least ${first_delay_ms}`);
  return { most_restart_delay_ms: delay_ms };
}

function log(message: string, fields: Record<string, unknown> = {}): void {
  const line = { time: new Date().toISOString(), level: 'info', agent: 'keeper', message, ...fields };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

function run({ data_dir, run_dir, agent_argv }: Arguments): void {
  for (const dir of [data_dir, run_dir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const unlock = takeKeeperLock(join(data_dir, 'keeper.pid'));
  const boot = beginBoot(data_dir, readBootId(process.env));
  const freezer = detectFreezer(data_dir, process.getuid?.() ?? -1);
  const swept = sweepGroups(freezer);
  log('keeper started', { pid: process.pid, boot: boot.file.boot, freezer: freezer.kind, swept });
  const keeper = new Keeper({
    agent_argv,
    env: { ...process.env, SKEIN_DATA_DIR: data_dir, SKEIN_RUN_DIR: run_dir },
    file_path: boot.path,
    file: boot.file,
    freezer,
    now_ms: bootTimeMs,
    ...testRestartDelay(process.env),
    masterIpDriver: async () =>
      (await import('../../drivers/master-ip/master-ip-driver.ts')).createMasterIpDriver({
        timeout_ms: master_script_timeout_ms,
      }),
    log,
  });
  const end = () => {
    keeper.end().then(
      () => {
        unlock();
        process.exit(0);
      },
      (error: Error) => {
        log('ending failed', { error: error.message });
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  keeper.start();
}

// A reader of our log that went away must not take the guests with it.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
try {
  run(parseArguments(process.argv.slice(2)));
} catch (error) {
  log('keeper cannot start', { error: (error as Error).message });
  process.exitCode = 70;
}
