/**
 * Reading and writing a {@link Configuration}: who is in it, who votes, and its form inside a config entry.
 * A configuration is a value: nothing here changes one. The encoding has a fixed key order, so equal means equal bytes.
 */
import type { Configuration, MemberId } from './types.ts';

/** Nobody: what a new learner has until the log reaches it. */
export const empty_configuration: Configuration = {
  voters: [],
  voters_outgoing: [],
  learners: [],
  learners_next: [],
  auto_leave: false,
};

/** A configuration of these voters and learners, not joint. */
export function configurationOf(
  voters: readonly MemberId[],
  learners: readonly MemberId[] = [],
): Configuration {
  return { ...empty_configuration, voters: sorted(voters), learners: sorted(learners) };
}

export function sorted(ids: Iterable<MemberId>): readonly MemberId[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.voters_outgoing.length > 0;
}

/** Whether `id` counts in either half. */
export function isVoter(configuration: Configuration, id: MemberId): boolean {
  return configuration.voters.includes(id) || configuration.voters_outgoing.includes(id);
}

/** Everybody that the leader replicates to, itself included, sorted. */
export function membersOf(configuration: Configuration): readonly MemberId[] {
  const { voters, voters_outgoing, learners, learners_next } = configuration;
  return sorted([...voters, ...voters_outgoing, ...learners, ...learners_next]);
}

/** Whether `id` is the only one who votes. */
export function isLoneVoter(configuration: Configuration, id: MemberId): boolean {
  return !isJoint(configuration) && configuration.voters.length === 1 && configuration.voters[0] === id;
}

/** The payload of a config entry. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { voters, voters_outgoing, learners, learners_next, auto_leave } = configuration;
  return new TextEncoder().encode(
    JSON.stringify({ voters, voters_outgoing, learners, learners_next, auto_leave }),
  );
}

/** @throws TypeError naming the field, when the bytes are not what {@link encodeConfiguration} writes. */
export function decodeConfiguration(data: Uint8Array): Configuration {
  const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  if (typeof parsed !== 'object' || parsed === null) {
    throw new TypeError(`configuration: expected an object, got ${JSON.stringify(parsed)}`);
  }
  const fields = new Map<string, unknown>(Object.entries(parsed));
  const auto_leave = fields.get('auto_leave');
  if (typeof auto_leave !== 'boolean') {
    throw new TypeError(`configuration.auto_leave: expected a boolean, got ${JSON.stringify(auto_leave)}`);
  }
  const ids = (name: string): readonly MemberId[] => memberList(name, fields.get(name));
  return {
    voters: ids('voters'),
    voters_outgoing: ids('voters_outgoing'),
    learners: ids('learners'),
    learners_next: ids('learners_next'),
    auto_leave,
  };
}

function memberList(name: string, value: unknown): readonly MemberId[] {
  const wrong = (): TypeError =>
    new TypeError(
      `configuration.${name}: expected positive integers in rising order, got ${JSON.stringify(value)}`,
    );
  if (!Array.isArray(value)) throw wrong();
  const ids: MemberId[] = [];
  for (const id of value as readonly unknown[]) {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id <= (ids.at(-1) ?? 0)) throw wrong();
    ids.push(id);
  }
  return ids;
}
