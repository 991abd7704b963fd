/**
 * Everything that can happen to one member, as data with a text: a trace is a list of these texts, and is replayed by
 * looking them up. Losing a message is not among
 * them: one that never arrives is lost.
 */
import type { MemberChange, MemberId, Message } from '../../src/consensus/types.ts';
import { messageText } from './names.ts';

export type Input =
  /** Its election timeout passes: it campaigns. */
  | { readonly type: 'timeout' }
  /** An election timeout without its leader passes, but its own, longer one does not. */
  | { readonly type: 'silence' }
  /** A heartbeat interval passes at the leader: it also ages what the leader last heard of the others. */
  | { readonly type: 'heartbeat' }
  | { readonly type: 'deliver'; readonly message: Message }
  /** The oldest write that is under way becomes durable. */
  | { readonly type: 'sync' }
  /** Stops and starts again. The `kept` oldest writes reached the disk, though nobody was told; the others are lost. */
  | { readonly type: 'crash'; readonly kept: number }
  | { readonly type: 'propose'; readonly payload: string }
  | { readonly type: 'apply' }
  | { readonly type: 'transfer'; readonly to: MemberId }
  | { readonly type: 'change'; readonly changes: readonly MemberChange[] }
  | { readonly type: 'read'; readonly context: number };

export function inputText(input: Input): string {
  switch (input.type) {
    case 'deliver':
      return messageText(input.message);
    case 'crash':
      return `crash kept ${input.kept}`;
    case 'propose':
      return `propose ${input.payload}`;
    case 'transfer':
      return `transfer to @${input.to}`;
    case 'change':
      return `change ${input.changes.map(({ type, id }) => `${type} @${id}`).join(', ')}`;
    case 'read':
      return `read ${input.context}`;
    default:
      return input.type;
  }
}
