/**
 * A guest's serial console as a byte stream, from the unix socket that its hypervisor serves on this host.
 */
import { connect } from 'node:net';
import type { HypervisorDriver } from '../drivers/types.ts';
import type { FlowStream } from './flow.ts';
import type { Env } from './real-env.ts';
import { socketStream } from './socket-stream.ts';
import { within } from './within.ts';

export { pipeStreams } from './flow.ts';

const connect_timeout_ms = 5_000;
/** A reader that does not read is dropped when this much waits for it. */
const max_unread_bytes = 4 * 1024 * 1024;

/**
 * Whether a console can be opened here at all; does not touch it. A stream from another node has no place for a
 * refusal: that would look like something the guest has said.
 *
 * @throws Error that says why not
 */
export async function checkLocalConsole(
  env: Pick<Env, 'after'>,
  driver: Pick<HypervisorDriver, 'console' | 'list'>,
  instance: string,
): Promise<void> {
  const info = driver.console(instance);
  if (info.kind !== 'unix') throw new Error(info.message || `${instance} has no serial console`);
  const guests = await within(env.after, driver.list(), connect_timeout_ms, 'listing guests');
  if (!guests.some((guest) => guest.name === instance)) throw new Error(`${instance} does not run there`);
}

/** The console's unix socket on this host, connected. */
export function openLocalConsole(
  driver: Pick<HypervisorDriver, 'console'>,
  instance: string,
): Promise<FlowStream> {
  const info = driver.console(instance);
  if (info.kind !== 'unix')
    return Promise.reject(new Error(info.message || `${instance} has no serial console`));
  return new Promise((resolve, reject) => {
    const socket = connect(info.path);
    const failed = (error: Error) =>
      reject(new Error(`the console of ${instance} does not answer (${error.message})`));
    socket.setTimeout(connect_timeout_ms, () => socket.destroy(new Error('timeout')));
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.off('error', failed);
      // Its close, which follows, is what those who use it are told.
      socket.on('error', () => socket.destroy());
      resolve(socketStream(socket, max_unread_bytes));
    });
  });
}
