/** Refused with what to do instead: a node joins by a one-time token, on its own host. */
import type { Opcode } from '../types.ts';
import { OpError } from '../types.ts';

export const nodeAdd: Opcode<never> = {
  id: 'OP_NODE_ADD',
  version: 1,
  parse() {
    throw new OpError(
      'OpPrereqError',
      'OP_NODE_ADD is not used here: a node joins by a token. Type `skein node add` on any node, and what it prints on the new host',
      'wrong_input',
    );
  },
  summary: () => 'NODE_ADD',
  locks: () => [],
  run: () => Promise.reject(new OpError('OpPrereqError', 'OP_NODE_ADD is not used here', 'wrong_input')),
};
