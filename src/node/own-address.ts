/** Where others reach this agent. */
import { isIP } from 'node:net';
import type { AgentOptions } from './agent-options.ts';
import { ApiFailure } from './api-server.ts';

/** The addresses that others reach: the listen addresses that are no wildcards. */
export function ownAddresses(options: AgentOptions): readonly string[] {
  return options.listen.filter((address) => !/\/(0\.0\.0\.0|::)\//.test(address));
}

/** @throws ApiFailure when there is no address to give to others. */
export function primaryIp(options: AgentOptions): string {
  const ip = ownAddresses(options)[0]?.split('/')[2] ?? '';
  if (isIP(ip) === 0) {
    throw new ApiFailure(
      'invalid',
      `this agent listens on a wildcard address only: ${options.listen.join(', ')}`,
      'start it with --listen /ip4/ADDRESS/tcp/1820',
    );
  }
  return ip;
}
