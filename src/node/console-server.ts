/**
 * The consoles of this host's guests, for the other members. Whether there is one is answered by a call, before a
 * stream is opened: a refusal in the stream itself would look like something the guest has said.
 */
import type { StateView } from '../config/api.ts';
import { checkLocalConsole, openLocalConsole, pipeStreams } from './console.ts';
import { type Drivers, hypervisorOf } from './drivers.ts';
import type { Mesh } from './mesh-types.ts';
import type { Env } from './real-env.ts';

export interface ConsoleServerDeps {
  readonly env: Pick<Env, 'after'>;
  readonly state: StateView;
  readonly drivers: Drivers;
  readonly mesh: Pick<Mesh, 'handle' | 'handleStream'>;
}

export function serveConsoles({ env, state, drivers, mesh }: ConsoleServerDeps): void {
  const named = (params: unknown) => state.get('instances', (params as { instance: string }).instance);

  mesh.handle('console.check', async (_from, params) => {
    const instance = named(params);
    if (!instance) throw new Error('its node does not know it');
    await checkLocalConsole(env, hypervisorOf(drivers, instance.hypervisor), instance.name);
    return null;
  });
  mesh.handleStream('console', (_from, hello, stream) => {
    const instance = named(hello);
    if (!instance) return stream.close();
    openLocalConsole(hypervisorOf(drivers, instance.hypervisor), instance.name).then(
      (local) => pipeStreams(local, stream),
      (error: Error) => {
        stream.write(Buffer.from(`${error.message}\r\n`));
        stream.close();
      },
    );
  });
}
