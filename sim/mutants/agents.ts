/** Mutants of what is built on consensus: leases, ownership, jobs. The simulator of whole agents must kill them. */
import type { Mutant } from './mutant.ts';

export const agent_mutants: readonly Mutant[] = [
  {
    name: 'apply-barrier-skipped',
    danger: 'A new leader takes up its duties on a state that lacks what its predecessors committed.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/consensus/role-view.ts',
        find: "established: role === 'leader' && applied_term === term",
        replace: "established: role === 'leader' && applied_term >= 0",
      },
    ],
  },
  {
    name: 'new-leader-does-not-wait',
    danger: 'A new leader takes nodes for lost that its predecessor has granted leases to.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/ha/evidence.ts',
        find: 'Math.max(heard?.heard_at_ms ?? view.leader_since_ms, view.leader_since_ms)',
        replace: 'heard?.heard_at_ms ?? 0',
      },
    ],
  },
  {
    name: 'power-proof-outlives-its-boot',
    danger: 'A host that was switched on again and is only cut off is taken for switched off still.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/ha/power-watch.ts',
        find: 'asked = next;',
        replace: 'asked = new Map([...asked, ...next]);',
      },
      {
        file: 'src/node/ha/power-watch.ts',
        find: 'known?.node.boot === node.boot && known.node.program === node.program',
        replace: 'known !== undefined',
      },
      {
        file: 'src/node/ha/evidence.ts',
        find: 'proof.boot >= (boot ?? node.boot) && ',
        replace: '',
      },
    ],
  },
  {
    name: 'horizon-too-short',
    danger:
      'A guest is started elsewhere while its node’s lease and its keeper’s deadline are still running.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/config/horizon.ts',
        find: 'return Math.ceil(own_ms * (1 + 2 * ha.drift) + ha.margin_ms);',
        replace: 'return Math.ceil((own_ms * (1 + 2 * ha.drift)) / 4);',
      },
    ],
  },
  {
    name: 'epoch-not-raised',
    danger: 'The guest of the former owner, or of a former boot, cannot be told from the new one.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/config/apply-instance.ts',
        find: 'epoch: before.owner.epoch + 1 };',
        replace: 'epoch: before.owner.epoch };',
      },
    ],
  },
  {
    name: 'keeper-does-not-fence',
    danger: 'A guest runs on where its agent is dead or stands still, while another host starts it.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/keeper/fence-action.ts',
        find: 'const expired = now_ms >= fence_at_ms;',
        replace: 'const expired = now_ms < 0;',
      },
    ],
  },
  {
    name: 'lost-boot-is-not-over',
    danger: 'A rebooted node keeps an epoch whose guests died with the boot, and nobody starts them.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/ha/evidence.ts',
        find: 'if (seen_boot > of_boot) {',
        replace: 'if (seen_boot > of_boot + 1_000_000) {',
      },
    ],
  },
  {
    name: 'superseded-guest-left-running',
    danger: 'A guest runs on a node that the configuration has given to another.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/guard.ts',
        find: 'if (!ours(guest)) return end(one,',
        replace: 'if (guest.epoch < 0) return end(one,',
      },
      {
        file: 'src/node/guard.ts',
        find: 'if (deps.mayStart() !== null || !ours(guest)) {',
        replace: 'if (deps.mayStart() !== null) {',
      },
      {
        file: 'src/node/guard.ts',
        find: 'found.filter(({ guest }) => !ours(guest)),',
        replace: 'found.filter(({ guest }) => guest.epoch < 0),',
      },
    ],
  },
  {
    name: 'lock-released-before-the-step-ended',
    danger: 'Two jobs change the same instance at once.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/ops/engine.ts',
        find: 'mine.running.set(job.id, runner);',
        replace: 'mine.running.set(job.id, runner);\n    mine.locks.release(job.id);',
      },
    ],
  },
  {
    name: 'undo-skipped',
    danger: 'What a failed job made stays: disks, guests, records that belong to nothing.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/ops/undo.ts',
        find: 'if (steps.length === 0) return;',
        replace: 'if (steps.length >= 0) return;',
      },
    ],
  },
  {
    name: 'done-step-repeated',
    danger: 'A new leader does again what the log says is done, perhaps on an instance that has moved on.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/ops/op-context.ts',
        find: "if (found && found.status !== 'open') return outcome<V>(found, options);",
        replace:
          "if (found && found.status !== 'open' && found.status !== 'done') return outcome<V>(found, options);",
      },
    ],
  },
  {
    name: 'request-not-deduplicated',
    danger: 'A client that asks again because it got no answer gets a second job.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/config/apply-job.ts',
        find: 'if (known !== undefined) return known.jobs;',
        replace: '',
      },
    ],
  },
  {
    name: 'lease-counted-from-the-reply',
    danger: 'A grant that was long under way lasts longer than the leader waits.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/node/lease-loop.ts',
        find: '.then((grant) => take(grant as LeaseGrant, sent))',
        replace:
          '.then((grant) => {\n          const sent_at_ms = env.now_ms();\n          take({ ...(grant as LeaseGrant), sent_at_ms }, { ...sent, sent_at_ms });\n        })',
      },
    ],
  },
  {
    name: 'renewals-too-rare',
    danger:
      'Guests are paused although nothing is wrong with their host, its leader or what is between them.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/node/lease-loop.ts',
        find: 'cancel = env.after(deps.ha().renew_ms, () => tick(false));',
        replace: 'cancel = env.after(8 * deps.ha().renew_ms, () => tick(false));',
      },
    ],
  },
  {
    name: 'grant-without-a-round',
    danger: 'A leader that was deposed unawares goes on granting.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/leader-duties.ts',
        find: 'readIndex: () => replica.readIndex(),',
        replace:
          'readIndex: () => Promise.resolve({ index: replica.status().applied, term: replica.status().term }),',
      },
    ],
  },
  {
    name: 'agent-reads-before-it-has-applied',
    danger: 'An agent answers from a replica that lacks what a client has been told of already.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/node/member.ts',
        find: 'await replica.waitApplied(answer.index, timeout_ms);',
        replace: '',
      },
    ],
  },
  {
    name: 'agent-reads-without-a-round',
    danger: 'A leader that was deposed unawares says up to where it is enough to have read.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/node/member.ts',
        find: 'const { index } = await replica.readIndex();',
        replace: 'const index = replica.status().applied;',
      },
    ],
  },
  {
    name: 'proposal-of-unknown-outcome-repeated',
    danger: 'A command is done twice: a client is told that it was refused, and it has happened.',
    simulator: 'cluster',
    edits: [
      {
        file: 'src/node/leader-client.ts',
        find: 'if (perhaps_done.has(code) && !options.repeat) {',
        replace: "if (perhaps_done.has(code) && code === '') {",
      },
    ],
  },
  {
    name: 'grant-index-not-required',
    danger: 'A node starts what the log has given to another since, because it has not read that far.',
    simulator: 'scenarios',
    edits: [
      {
        file: 'src/node/lease/node-lease.ts',
        find: 'if (applied < lease.index)',
        replace: 'if (applied < 0)',
      },
    ],
  },
];
