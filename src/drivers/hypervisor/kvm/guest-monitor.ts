/** The few words that we exchange with a guest's QEMU, each on a connection of its own: it serves one at a time. */
import { existsSync } from 'node:fs';
import { logTail } from '../../process/log-tail.ts';
import { DriverError, type GuestInfo } from '../../types.ts';
import type { GuestFiles } from './guest-directory.ts';
import { connectQmp, type QmpClient } from './qmp.ts';

const retry_ms = 20;

export const pause = (delay_ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delay_ms));

/** What QEMU's run state means for us; states in which the CPUs stand still are all `paused`. */
export function guestState(status: string, started_paused: boolean): GuestInfo['state'] {
  switch (status) {
    case 'running':
      return 'running';
    case 'shutdown':
      return 'shutdown';
    case 'prelaunch':
    case 'inmigrate':
      return started_paused ? 'paused' : 'starting';
    default:
      return 'paused';
  }
}

/** Connects, lets `act` talk, and hangs up. */
export async function withMonitor<T>(
  files: GuestFiles,
  timeout_ms: number,
  act: (client: QmpClient) => Promise<T>,
): Promise<T> {
  const client = await connectQmp(files.qmp, { timeout_ms });
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

/** QEMU's own name of its run state. */
export async function queryStatus(client: QmpClient, timeout_ms: number): Promise<string> {
  const answer = (await client.execute('query-status', undefined, timeout_ms)) as
    | { status?: unknown }
    | undefined;
  if (typeof answer?.status === 'string') return answer.status;
  throw new DriverError('failed', `QMP query-status answered ${JSON.stringify(answer)}`);
}

async function qemuSaid(files: GuestFiles): Promise<string> {
  const said = (await logTail(files.qemu_log)).trim();
  return said === '' ? '' : `: ${said}`;
}

/** Waits for the monitor of a QEMU just started; gives up when the process ended or the time is over. */
export async function firstContact(
  files: GuestFiles,
  timeout_ms: number,
  lives: () => Promise<boolean>,
): Promise<QmpClient> {
  const deadline_ms = Date.now() + timeout_ms;
  for (;;) {
    if (existsSync(files.qmp)) {
      try {
        return await connectQmp(files.qmp, { timeout_ms: Math.max(1, deadline_ms - Date.now()) });
      } catch (error) {
        // The socket's file is there a moment before anybody listens.
        if (Date.now() >= deadline_ms) throw error;
      }
    }
    if (!(await lives())) throw new DriverError('failed', `QEMU ended at once${await qemuSaid(files)}`);
    if (Date.now() >= deadline_ms) {
      const said = await qemuSaid(files);
      throw new DriverError('timeout', `QEMU did not open its monitor within ${timeout_ms} ms${said}`);
    }
    await pause(retry_ms);
  }
}
