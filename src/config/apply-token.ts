/**
 * Commands on join tokens. The state holds the hash of a token's secret, never the secret.
 */
import type { Command } from './commands.ts';
import type { Draft } from './draft.ts';
import { limits } from './limits.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Value: null. Forgets tokens that expired more than a day ago. */
export function applyTokenAdd(draft: Draft, command: Of<'token-add'>): null {
  draft.cluster();
  draft.group(command.group);
  if (draft.get('tokens', command.id) !== undefined)
    refuse('exists', `there is a join token ${command.id} already`);
  if (command.expires <= command.time) {
    refuse('invalid', `expires is ${command.expires}: expected a time after now (${command.time})`);
  }
  const forgotten_before = command.time - limits.token_memory_s;
  for (const token of [...draft.values('tokens')]) {
    if (token.expires < forgotten_before) draft.delete('tokens', token.id);
  }
  if (draft.count('tokens') >= limits.tokens) {
    refuse('full', `there are ${limits.tokens} join tokens: revoke some first`);
  }
  const { type: _type, time: _time, ...token } = command;
  draft.put('tokens', command.id, { ...token, used_by: '' });
  return null;
}

/** Value: null. A used token may be revoked as well: its host's retry is refused from then on. */
export function applyTokenRevoke(draft: Draft, command: Of<'token-revoke'>): null {
  draft.cluster();
  if (draft.get('tokens', command.id) === undefined)
    refuse('not-found', `there is no join token ${command.id}`);
  draft.delete('tokens', command.id);
  return null;
}
