/** All mutants of the source. Those of the lease model's rules are its parameters (sim/lease), and counted apart. */
import { agent_mutants } from './agents.ts';
import { damage_mutants } from './damage.ts';
import { election_mutants } from './elections.ts';
import { membership_mutants } from './membership.ts';
import type { Mutant } from './mutant.ts';
import { relay_mutants } from './relays.ts';
import { replication_mutants } from './replication.ts';
import { storage_mutants } from './storage.ts';

export const mutants: readonly Mutant[] = [
  ...election_mutants,
  ...replication_mutants,
  ...membership_mutants,
  ...relay_mutants,
  ...storage_mutants,
  ...damage_mutants,
  ...agent_mutants,
];
