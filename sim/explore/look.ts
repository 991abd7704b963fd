/**
 * A look into a core that has no window: questions whose answers tell apart states that its status does not (a
 * distinguishing sequence; Chow, "Testing Software Design Modeled by Finite-State Machines", 1978). The core is spent
 * afterwards. All peers are treated alike, so that the answers of a renamed member are the renamed answers.
 */
import type { Core } from '../../src/consensus/core-api.ts';
import type { CoreStatus, MemberId, MemberProgress } from '../../src/consensus/types.ts';
import { coreOptions } from './host.ts';
import { configurationText, entryText, messageText } from './names.ts';

/** Nobody of the cluster. */
const stranger: MemberId = 9;

export function statusLines(s: CoreStatus, progress: readonly MemberProgress[]): string[] {
  return [
    `@${s.id} ${s.role} t${s.term} leader @${s.leader} commit ${s.commit} applied ${s.applied} last ${s.last_index}`,
    `votes ${configurationText(s.configuration)}`,
    ...progress.map((of) => `@${of.id} ${of.state} ${of.match}${of.learner ? ' learner' : ''} ${of.active}`),
  ];
}

/** Lines in no particular order. */
export function look(core: Core): string[] {
  try {
    return core.status().role === 'leader' ? ofLeader(core) : ofOther(core);
  } catch (error) {
    // The question was wrong for this state: that, too, tells it apart.
    return [`look: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** Does it hear a leader? It would refuse a pre-vote then, and a pre-vote changes nothing. */
function ofOther(core: Core): string[] {
  const { id, term } = core.status();
  core.step({
    type: 'vote',
    from: stranger,
    to: id,
    term: term + 1,
    pre: true,
    last_index: 99,
    last_term: term + 1,
    transfer: false,
  });
  return said(core, 'asked').filter((line) => line.includes(`@${stranger}`));
}

/** What goes to whom next, and how long ago each was heard. */
function ofLeader(core: Core): string[] {
  const lines = [`quorum ${core.quorumAgeTicks()}`];
  const taken = core.propose([new Uint8Array(2)]);
  lines.push(
    taken.ok ? 'open' : taken.detail.replace(/member (\d)/, 'member @$1'),
    ...said(core, 'proposed'),
  );
  for (let tick = 1; tick <= coreOptions(0).election_ticks; tick++) {
    core.tick();
    const active = core.progress().map((of) => `tick ${tick} @${of.id} ${of.active}`);
    lines.push(`tick ${tick} ${core.status().role}`, ...active, ...said(core, `tick ${tick}`));
  }
  return lines;
}

function said(core: Core, after: string): string[] {
  const lines: string[] = [];
  for (let ready = core.ready(); ready !== null; ready = core.ready()) {
    lines.push(...ready.entries.map((entry) => `${after} writes ${entryText(entry)}`));
    lines.push(...ready.messages.map((m) => `${after} ${messageText(m)}`));
    lines.push(...ready.messages_after_sync.map((m) => `${after} later ${messageText(m)}`));
  }
  return lines;
}
