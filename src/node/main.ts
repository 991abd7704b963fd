/**
 * The agent process: started by the keeper with a pipe on descriptor 3. It makes the real world's parts and hands them
 * to the agent; it ends when its keeper is gone, on a signal after handing the lead on, and on anything unforeseen.
 */

import { LogCorruptError } from '../consensus/index.ts';
import { startAgent } from './agent.ts';
import { makeDirectories, parseAgentOptions, UsageError } from './agent-options.ts';
import { createCrashPoint } from './crash-point.ts';
import { isDiskFull } from './fatal-error.ts';
import { loadOrCreateIdentity } from './identity.ts';
import { disk_full_status, fatal_status } from './keeper/restart-policy.ts';
import { connectKeeper } from './keeper-client.ts';
import { createDrivers } from './make-drivers.ts';
import { createRealEnv } from './real-env.ts';
import { createRealHost } from './real-host.ts';
import { version } from './version.ts';

const exit_usage = 2;
const close_timeout_ms = 8_000;
const keeper_fd = 3;

/** After anything unforeseen: the keeper is told of a full disk, and tries the rest again. */
const endStatus = (error: unknown) => (isDiskFull(error) ? disk_full_status : 1);

async function main(): Promise<void> {
  const options = parseAgentOptions(process.argv.slice(2), process.env);
  const env = createRealEnv(options.name, process.env['SKEIN_LOG'] === 'debug' ? 'debug' : 'info');
  process.on('uncaughtException', (error) => {
    env.log('error', 'uncaught exception', { error: error.stack });
    process.exit(error.name === 'InvariantError' ? fatal_status : endStatus(error));
  });
  process.on('unhandledRejection', (reason) => {
    env.log('error', 'unhandled rejection', {
      error: reason instanceof Error ? reason.stack : String(reason),
    });
    process.exit(endStatus(reason));
  });
  makeDirectories(options);
  const keeper = await connectKeeper({ stream: keeper_fd });
  // An agent without its keeper may not hold a lease, hence may do nothing.
  keeper.onClosed(() => {
    env.log('error', 'the keeper is gone');
    process.exit(1);
  });
  const identity = await loadOrCreateIdentity(options.data_dir);
  const host = createRealHost(options, identity, env);
  const drivers = createDrivers(options, keeper, env);
  const agent = await startAgent({
    options,
    env,
    host,
    keeper,
    drivers,
    version,
    crash: options.test_hooks
      ? createCrashPoint(env.after, () => process.kill(process.pid, 'SIGKILL'))
      : null,
    exit: (code) => void stop(code),
  });

  let stopping = false;
  async function stop(code: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(code === 0 ? 1 : code), close_timeout_ms).unref();
    await agent.close();
    process.exit(code);
  }
  process.on('SIGTERM', () => void stop(0));
  process.on('SIGINT', () => void stop(0));
}

main().catch((error: Error) => {
  // A damaged log is set aside; this one was begun just now and reads back wrong. The keeper must not try it for ever.
  if (error instanceof LogCorruptError) {
    const what = {
      time: new Date().toISOString(),
      level: 'error',
      agent: 'agent',
      message: 'fatal',
      reason: `${error.message}. What this disk is given it does not give back: replace it, skein node remove on another node, and skein join`,
    };
    process.stderr.write(`${JSON.stringify(what)}\n`);
    process.exit(fatal_status);
  }
  process.stderr.write(`${error instanceof UsageError ? error.message : (error.stack ?? error.message)}\n`);
  process.exit(error instanceof UsageError ? exit_usage : endStatus(error));
});
